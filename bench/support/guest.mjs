// @ts-check
// What the questions share inside the virtual machine: the contenders as programs, and network
// namespaces that nobody has used. (Deleted destinations stay in the kernel for minutes, and make
// every add dearer.)
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdtempSync } from 'node:fs'
import { release } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** @typedef {import('./table.mjs').Size} Size */

/**
 * What one thing costs one contender, for each change or each destination.
 *
 * @typedef {object} Row
 * @property {string} work
 * @property {string} contender the first row of a work is the yardstick of the others
 * @property {number} count so many changes or destinations are one pass
 * @property {number} [cold] the first pass of a fresh process
 * @property {number} [warm] what later ones settle at
 */

const { BENCH_PROGRAMS = '' } = process.env
if (BENCH_PROGRAMS === '') throw new Error('BENCH_PROGRAMS names the directory of raw and cost')

// Programs start from memory: what the shared file system costs is not the question.
const programs = mkdtempSync('/run/bench-')

/** @param {string} path */
function copied(path) {
  const copy = join(programs, basename(path))
  copyFileSync(path, copy)
  return copy
}

/** @param {string} name */
const findProgram = (name) =>
  execFileSync('/bin/sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim()

/** @param {string} program */
const librariesOf = (program) =>
  execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+/g) ?? []

const rawProgram = copied(join(BENCH_PROGRAMS, 'raw'))
const costProgram = copied(join(BENCH_PROGRAMS, 'cost'))
const node = copied(process.execPath)
const ipvsadm = copied(findProgram('ipvsadm'))
librariesOf(ipvsadm).forEach(copied)
const oursProgram = fileURLToPath(new URL('ours.mjs', import.meta.url))

/**
 * What a program has printed; its complaints are ours.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {string} [input]
 */
const output = (program, args, input = '') =>
  execFileSync(program, args, {
    input,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'inherit'],
    maxBuffer: 2 ** 30,
  })

/** The numbers of each line. @param {string} text @returns {number[][]} */
const numbers = (text) =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(' ').map(Number))

/** @param {readonly (string | number)[]} args */
export const raw = (...args) => numbers(output(rawProgram, args.map(String)))

/** @param {readonly (string | number)[]} args */
export const ours = (...args) => numbers(output(node, [oursProgram, ...args.map(String)]))

/** @param {string} netns @param {readonly string[]} args */
const inNamespace = (netns, args) => [`--net=${netns}`, ...args]

/**
 * What an ipvsadm of its own takes, from its start to its end.
 *
 * @param {string} netns
 * @param {readonly string[]} args
 * @param {string} [input]
 * @returns {{ time: number, memory: number }}
 */
export function costOfIpvsadm(netns, args, input = '') {
  const result = spawnSync('nsenter', inNamespace(netns, [costProgram, ipvsadm, ...args]), {
    input,
    env: { ...process.env, LD_LIBRARY_PATH: programs },
    stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
  })
  if (result.status !== 0) throw new Error(`ipvsadm ${args.join(' ')} ended with ${result.status}`)
  const [[time = NaN, memory = NaN] = []] = numbers(String(result.output[3]))
  return { time, memory }
}

/** The rules that make the destinations of a table. @param {string} netns */
export const savedRules = (netns) =>
  output('nsenter', inNamespace(netns, [ipvsadm, '-Sn']))
    .split('\n')
    .filter((line) => line.startsWith('-a'))

let made = 0

/** @param {readonly string[]} names @param {'add' | 'delete'} verb */
const namespaceCommands = (names, verb) => names.map((name) => `netns ${verb} ${name}\n`).join('')

/**
 * Does something with network namespaces that have so many services, and nothing else.
 *
 * @template T
 * @param {number} length
 * @param {number} services
 * @param {(namespaces: string[]) => T} work
 * @returns {Promise<Awaited<T>>}
 */
export async function inNamespaces(length, services, work) {
  const names = Array.from({ length }, () => `bench${++made}`)
  const namespaces = names.map((name) => `/run/netns/${name}`)
  output('ip', ['-batch', '-'], namespaceCommands(names, 'add'))
  output(rawProgram, ['prepare', String(services), ...namespaces])
  const result = await work(namespaces)
  output('ip', ['-batch', '-'], namespaceCommands(names, 'delete'))
  // The kernel takes them apart in the background.
  await sleep(1000)
  return result
}

/** The first of all would pay for loading modules, and for files and pages that are kept. */
export const warmUp = () =>
  inNamespaces(2, 10, ([first = '', second = '']) => {
    raw('change', 10, 10, 128, 1, first)
    ours('batch', 10, 10, 1, second)
  })

/** @param {readonly number[]} values */
export const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN

/**
 * The first pass, and what the later half of them settles at.
 *
 * @param {readonly number[]} passes
 * @param {number} count
 */
export const coldAndWarm = (passes, count) => ({
  cold: (passes[0] ?? NaN) / count,
  warm: median(passes.slice(passes.length >> 1)) / count,
})

/** @param {string} what */
export const progress = (what) => console.error(`measuring: ${what}`)

/** What a question answers. @param {readonly Row[]} rows */
export const answer = (rows) =>
  console.log(JSON.stringify({ kernel: release(), node: process.version, rows }))
