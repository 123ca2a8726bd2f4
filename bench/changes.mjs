// @ts-check
// What does a change cost, relative to a raw C loop in the same run? Runs in the virtual machine,
// as root, and prints JSON; run.mjs is how to start it.
//
//   node bench/changes.mjs PROGRAMS     the directory that has raw and cost, compiled
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync } from 'node:fs'
import { release } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { destinations, rules } from './table.mjs'

/**
 * Nanoseconds of CPU time of one pass over a fresh table.
 *
 * @typedef {{ add: number, edit: number }} Pass
 */

/**
 * @typedef {object} Contender
 * @property {string} name
 * @property {number} changes of one pass
 * @property {boolean} oneProcess whether all passes are of one process, which thus becomes warm
 * @property {(namespaces: string[], changes: number) => Pass[]} run
 */

/** The best of so many passes, the last ones, counts. */
const counted = 3

/**
 * All passes of one process. The same number for every contender, as each namespace in use makes the
 * kernel's share of an add about 2 % dearer. Ten, as in later ones hardly anything is cheaper.
 */
const passesOfOneProcess = 10

/** Where each pass is a process of its own, or twenty, two differ by less than 1 %. */
const passesOfProcesses = 2

const [compiled] = process.argv.slice(2)
if (compiled === undefined) throw new Error('usage: node bench/changes.mjs PROGRAMS')

// Programs start from memory: what the shared file system costs is not the question.
const programs = mkdtempSync('/run/bench-')

/** @param {string} path */
function copied(path) {
  const copy = join(programs, basename(path))
  copyFileSync(path, copy)
  return copy
}

/** @param {string} program */
const librariesOf = (program) =>
  execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+/g) ?? []

/** @param {string} name */
const findProgram = (name) =>
  execFileSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()

const raw = copied(join(compiled, 'raw'))
const cost = copied(join(compiled, 'cost'))
const node = copied(process.execPath)
const ipvsadm = copied(findProgram('ipvsadm'))
librariesOf(ipvsadm).forEach(copied)
const ours = fileURLToPath(new URL('ours.mjs', import.meta.url))

/**
 * What a program has printed; its complaints are ours.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} [input]
 */
const output = (program, args, input = '') =>
  execFileSync(program, args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'inherit'] })

/** @param {string} text @returns {Pass[]} */
const passes = (text) =>
  text
    .trim()
    .split('\n')
    .map((line) => {
      const [add = NaN, edit = NaN] = line.split(' ').map(Number)
      return { add, edit }
    })

/** @param {string} netns @param {readonly string[]} args */
const inNamespace = (netns, args) => [`--net=${netns}`, ...args]

/**
 * The CPU time of an ipvsadm of its own, from its start to its end.
 *
 * @param {string} netns
 * @param {readonly string[]} args
 * @param {string} [input]
 */
function costOfIpvsadm(netns, args, input = '') {
  const result = spawnSync('nsenter', inNamespace(netns, [cost, ipvsadm, ...args]), {
    input,
    env: { ...process.env, LD_LIBRARY_PATH: programs },
    stdio: ['pipe', 'inherit', 'inherit', 'pipe'],
  })
  if (result.status !== 0) throw new Error(`ipvsadm ${args.join(' ')} ended with ${result.status}`)
  return Number(result.output[3])
}

/** @param {string} name @param {string} way @param {number} changes @returns {Contender} */
const ourWay = (name, way, changes) => ({
  name,
  changes,
  oneProcess: true,
  run: (namespaces) => passes(output(node, [ours, way, String(changes), ...namespaces])),
})

/** @param {string} name @returns {Contender} */
const rawLoop = (name) => ({
  name,
  changes: destinations,
  oneProcess: true,
  run: (namespaces) => passes(output(raw, ['measure', ...namespaces])),
})

/** @type {Contender} */
const restore = {
  name: 'ipvsadm -R',
  changes: destinations,
  oneProcess: false,
  run: (namespaces, changes) =>
    namespaces.map((netns) => ({
      add: costOfIpvsadm(netns, ['-R'], rules('-a', changes, 1).join('\n')),
      edit: costOfIpvsadm(netns, ['-R'], rules('-e', changes, 2).join('\n')),
    })),
}

/** @param {string} netns @param {readonly string[]} commands */
const eachAProcess = (netns, commands) =>
  commands.reduce((sum, command) => sum + costOfIpvsadm(netns, command.split(' ')), 0)

/** @type {Contender} */
const processes = {
  name: 'ipvsadm, a process a change',
  changes: 20,
  oneProcess: false,
  run: (namespaces, changes) =>
    namespaces.map((netns) => ({
      add: eachAProcess(netns, rules('-a', changes, 1)),
      edit: eachAProcess(netns, rules('-e', changes, 2)),
    })),
}

const contenders = [
  rawLoop('raw C'),
  ourWay('ours, batch()', 'batch', destinations),
  ourWay('ours, promises of one tick', 'promises', destinations),
  ourWay('ours, awaited one by one', 'awaited', 200),
  restore,
  processes,
  rawLoop('raw C, once more'),
]

/**
 * Whether the contender did what the others do: the figures of one that did less would mean nothing.
 *
 * @param {Contender} contender
 * @param {string} netns
 */
function assertDone({ name, changes }, netns) {
  const saved = output('nsenter', inNamespace(netns, [ipvsadm, '-Sn']))
  const found = saved.split('\n').filter((line) => line.startsWith('-a'))
  const wanted = rules('-a', changes, 2)
  if (found.sort().join('\n') !== wanted.sort().join('\n'))
    throw new Error(`${name} left another table than the others`)
}

/** @param {readonly string[]} names @param {'add' | 'delete'} verb */
const namespaceCommands = (names, verb) => names.map((name) => `netns ${verb} ${name}\n`).join('')

/**
 * The passes of one contender, each in a network namespace that nobody has used: deleted
 * destinations stay in the kernel for minutes, and make every add dearer.
 *
 * @param {Contender} contender
 */
async function measured(contender) {
  const { changes, oneProcess, run } = contender
  const length = oneProcess ? passesOfOneProcess : passesOfProcesses
  const names = Array.from({ length }, (_, index) => `bench${index}`)
  const namespaces = names.map((name) => `/run/netns/${name}`)
  output('ip', ['-batch', '-'], namespaceCommands(names, 'add'))
  output(raw, ['prepare', ...namespaces])
  const result = run(namespaces, changes)
  for (const netns of namespaces.slice(-1)) assertDone(contender, netns)
  output('ip', ['-batch', '-'], namespaceCommands(names, 'delete'))
  // The kernel takes them apart in the background.
  await sleep(1000)
  return result
}

/** @param {readonly Pass[]} passes @param {keyof Pass} kind @param {Contender} contender */
function costs(passes, kind, { changes, oneProcess }) {
  const each = passes.map((pass) => pass[kind] / changes)
  const best = Math.min(...each.slice(-counted))
  // Processes of their own are all cold.
  return oneProcess ? { cold: each[0] ?? NaN, warm: best } : { cold: best }
}

// The first of all pays for loading modules and for pages that the kernel keeps afterwards.
await measured(rawLoop('nobody'))
output(node, [ours, 'batch', '0', '/proc/self/ns/net'])

const rows = []
for (const contender of contenders) {
  console.error(`measuring: ${contender.name}`)
  const all = await measured(contender)
  rows.push({
    name: contender.name,
    changes: contender.changes,
    add: costs(all, 'add', contender),
    edit: costs(all, 'edit', contender),
  })
}

console.log(JSON.stringify({ kernel: release(), node: process.version, rows }))
