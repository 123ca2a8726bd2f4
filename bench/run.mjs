// @ts-check
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { kernels, runInVm } from '../test/vm/vm.mjs'

const usage = `What does a change of the table cost, relative to a raw C loop? Measured in a virtual machine.

usage: npm run bench [-- options]

  --kernel LINE   6.1, 6.12 (default) or 7.3
  --plain         CPU time of the emulated processor instead of executed instructions: noisy
  --json FILE     write the figures to FILE too
  --help          this text`

const root = fileURLToPath(new URL('..', import.meta.url))
const programs = `${root}out/bench`

/** @typedef {{ cold: number, warm?: number }} Costs what one change costs */
/** @typedef {{ name: string, changes: number, add: Costs, edit: Costs }} Row */
/** @typedef {{ kernel: string, node: string, rows: Row[] }} Figures */

function options() {
  const { values } = parseArgs({
    options: {
      kernel: { type: 'string', default: '6.12' },
      plain: { type: 'boolean', default: false },
      json: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const lines = kernels.map(({ name }) => name)
  if (!lines.includes(values.kernel))
    throw new Error(`--kernel takes ${lines.join(', ')}, not ${values.kernel}`)
  return values
}

function assertBuilt() {
  const release = `${root}build/Release`
  const addon = existsSync(release) && readdirSync(release).some((name) => name.endsWith('.node'))
  if (!addon || !existsSync(`${root}dist/index.js`))
    throw new Error('not built: run `npm run build` and `npm run build:native`')
}

function compile() {
  mkdirSync(programs, { recursive: true })
  for (const name of ['raw', 'cost']) {
    const source = fileURLToPath(new URL(`${name}.c`, import.meta.url))
    const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror']
    execFileSync('cc', [...flags, '-o', `${programs}/${name}`, source], { stdio: 'inherit' })
  }
}

/**
 * @param {string} kernel
 * @param {boolean} icount
 * @returns {Promise<Figures>}
 */
async function measure(kernel, icount) {
  let text = ''
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      text += String(chunk)
      done()
    },
  })
  const script = fileURLToPath(new URL('changes.mjs', import.meta.url))
  const result = await runInVm({
    kernel,
    icount,
    command: process.execPath,
    args: [script, programs],
    cwd: root,
    timeout: 900,
    stdout,
    signal: stopped.signal,
  })
  for (const line of [...result.kernelErrors, ...result.kernelWarnings])
    console.error(`kernel log: ${line}`)
  if (result.status !== 0) throw new Error(`the benchmark ended with ${result.status}`)
  return JSON.parse(text)
}

/** @param {number} value */
const short = (value) =>
  value >= 1e6 ? `${(value / 1e6).toFixed(2)}M` : `${(value / 1e3).toFixed(2)}k`

/** @param {number | undefined} value @param {number | undefined} yardstick */
const cells = (value, yardstick) =>
  value === undefined || yardstick === undefined
    ? ['-', '']
    : [short(value), `(${(value / yardstick).toFixed(value < 10 * yardstick ? 2 : 0)})`]

/** @param {Figures} figures @param {string} unit */
function table({ kernel, node, rows }, unit) {
  const [yardstick] = rows
  const lines = rows.map(({ name, changes, add, edit }) => [
    name,
    String(changes),
    ...cells(add.cold, yardstick?.add.cold),
    ...cells(add.warm, yardstick?.add.warm),
    ...cells(edit.cold, yardstick?.edit.cold),
    ...cells(edit.warm, yardstick?.edit.warm),
  ])
  const heads = [
    '',
    'changes',
    'add, cold',
    '',
    'add, warm',
    '',
    'edit, cold',
    '',
    'edit, warm',
    '',
  ]
  const widths = heads.map((head, at) =>
    Math.max(head.length, ...lines.map((line) => line[at]?.length ?? 0)),
  )
  const formatted = [heads, ...lines].map((line) =>
    line
      .map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return [`Linux ${kernel}, Node.js ${node}; ${unit} a change (times raw C)`, ...formatted].join(
    '\n',
  )
}

const stopped = new AbortController()
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, () => {
    process.exitCode = 128 + constants.signals[signal]
    stopped.abort()
  })
}

try {
  const { kernel, plain, json, help } = options()
  if (help) {
    console.log(usage)
  } else {
    assertBuilt()
    compile()
    const unit = plain ? 'nanoseconds' : 'instructions'
    const figures = await measure(kernel, !plain)
    console.log(table(figures, unit))
    if (json !== undefined) {
      const all = { date: new Date().toISOString().slice(0, 10), unit, ...figures }
      writeFileSync(json, `${JSON.stringify(all, null, 2)}\n`)
    }
  }
} catch (error) {
  if (!stopped.signal.aborted) {
    process.exitCode = 1
    console.error(`bench: ${error instanceof Error ? error.message : error}`)
  }
}
