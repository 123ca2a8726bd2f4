// @ts-check
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { kernels } from '../test/vm/vm.mjs'
import { assertBuilt, compile, measure, memory } from './support/measure.mjs'
import { picture } from './support/picture.mjs'
import { checked, questions } from './support/questions.mjs'
import { regressions, table, tolerance } from './support/report.mjs'

const usage = `What the package costs, relative to a raw C loop. Measured in a virtual machine.

usage: npm run bench [-- [question...] [options]]

  question        ${questions.map(({ name }) => name).join(', ')}; all of them take about
                  15 minutes
  --kernel LINE   6.1, 6.12 (default) or 7.3
  --memory MIB    of the machine: ${memory}
  --plain         time of the emulated processor instead of counted instructions: noisy
  --json FILE     write the figures to FILE too
  --check         ask only ${checked.join(' and ')}, and fail when anything of ours has become
                  ${100 * tolerance} % dearer, relative to raw C, than bench/figures.json says
  --store         write the figures of these questions to bench/figures.json, and the picture
  --help          this text`

const stored = fileURLToPath(new URL('figures.json', import.meta.url))
const curves = fileURLToPath(new URL('growth.svg', import.meta.url))

/** @typedef {import('./support/report.mjs').Figures} Figures */
/** @typedef {Record<string, Figures>} All by question */

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      kernel: { type: 'string', default: '6.12' },
      memory: { type: 'string', default: String(memory) },
      plain: { type: 'boolean', default: false },
      json: { type: 'string' },
      check: { type: 'boolean', default: false },
      store: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const lines = kernels.map(({ name }) => name)
  if (!lines.includes(values.kernel))
    throw new Error(`--kernel takes ${lines.join(', ')}, not ${values.kernel}`)
  if (!/^[1-9]\d*$/.test(values.memory))
    throw new Error(`--memory takes a number of MiB, not ${values.memory}`)
  const named = positionals.length > 0 ? positionals : values.check ? checked : undefined
  if (values.plain && (values.check || values.store)) throw new Error('stored figures are counted')
  const unknown = positionals.find((name) => questions.every((question) => question.name !== name))
  if (unknown !== undefined) throw new Error(`there is no question ${unknown}`)
  const asked = questions.filter(({ name }) => named?.includes(name) ?? true)
  return { ...values, asked: values.plain ? asked.map(uncounted) : asked }
}

/** @param {import('./support/questions.mjs').Question} question */
const uncounted = (question) => ({
  ...question,
  counted: false,
  unit: question.unit.replace('instructions', 'nanoseconds'),
})

/** @returns {All} */
const storedFigures = () => (existsSync(stored) ? JSON.parse(readFileSync(stored, 'utf8')) : {})

/** @param {string} path @param {object} value */
const writeJson = (path, value) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)

/** @param {All} found */
function check(found) {
  const before = storedFigures()
  const dearer = Object.entries(found).flatMap(([name, figures]) => {
    const known = before[name]
    if (!known) throw new Error(`no figures of ${name} are stored`)
    return regressions(figures, known)
  })
  for (const line of dearer) console.error(`dearer: ${line}`)
  if (dearer.length > 0) process.exitCode = 1
  else console.log(`nothing is more than ${100 * tolerance} % dearer than stored`)
}

/** @param {All} found */
function store(found) {
  const all = { ...storedFigures(), ...found }
  writeJson(stored, all)
  if (all['growth']) writeFileSync(curves, picture(all['growth'].rows))
}

async function main() {
  const { asked, kernel, memory: size, json, help, ...wanted } = options()
  if (help) {
    console.log(usage)
    return
  }
  assertBuilt()
  compile()
  const machine = { kernel, memory: Number(size), signal: stopped.signal }
  /** @type {All} */
  const found = {}
  for (const question of asked) {
    const figures = await measure(question, machine)
    const date = new Date().toISOString().slice(0, 10)
    found[question.name] = Object.assign({ date }, figures)
    console.log(`${table(question, figures)}\n`)
    if (json !== undefined) writeJson(json, found)
  }
  if (wanted.check) check(found)
  if (wanted.store) store(found)
}

const stopped = new AbortController()
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, () => {
    process.exitCode = 128 + constants.signals[signal]
    stopped.abort()
  })
}

try {
  await main()
} catch (error) {
  if (!stopped.signal.aborted) {
    process.exitCode = 1
    console.error(`bench: ${error instanceof Error ? error.message : error}`)
  }
}
