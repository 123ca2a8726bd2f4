// @ts-check
// Asks a question in the virtual machine.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { runInVm } from '../../test/vm/vm.mjs'

/** @typedef {import('./questions.mjs').Question} Question */
/** @typedef {import('./report.mjs').Figures} Figures */

const root = fileURLToPath(new URL('../..', import.meta.url))
const programs = `${root}out/bench`

/** Seconds. The longest question takes half of that on a machine with other work. */
const limit = 600

/**
 * MiB of the machine. V8 sizes its young generation by it: with 2 GiB it is half of what
 * most machines that balance load would give it.
 */
export const memory = 8192

/** About 2 of 35 runs that count instructions hang. */
const attempts = 2

export function assertBuilt() {
  const release = `${root}build/Release`
  const addon = existsSync(release) && readdirSync(release).some((name) => name.endsWith('.node'))
  if (!addon || !existsSync(`${root}dist/index.js`))
    throw new Error('not built: run `npm run build` and `npm run build:native`')
}

export function compile() {
  mkdirSync(programs, { recursive: true })
  for (const name of ['raw', 'cost']) {
    const source = fileURLToPath(new URL(`${name}.c`, import.meta.url))
    const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror']
    execFileSync('cc', [...flags, '-o', `${programs}/${name}`, source], { stdio: 'inherit' })
  }
}

/**
 * @param {Question} question
 * @param {{ kernel: string, memory: number, signal: AbortSignal }} machine
 */
async function attempt({ name, counted }, machine) {
  let text = ''
  const stdout = new Writable({
    write: (chunk, _encoding, done) => {
      text += String(chunk)
      done()
    },
  })
  const result = await runInVm({
    ...machine,
    icount: counted,
    command: process.execPath,
    args: [`${root}bench/${name}.mjs`],
    env: { BENCH_PROGRAMS: programs },
    cwd: root,
    timeout: limit,
    stdout,
  })
  for (const line of [...result.kernelErrors, ...result.kernelWarnings])
    console.error(`kernel log: ${line}`)
  if (result.status !== 0) throw new Error(`${name} ended with ${result.status}`)
  return text
}

/**
 * @param {Question} question
 * @param {{ kernel: string, memory: number, signal: AbortSignal }} machine
 * @returns {Promise<Figures>}
 */
export async function measure(question, machine) {
  for (let left = attempts; ;) {
    try {
      return JSON.parse(await attempt(question, machine))
    } catch (error) {
      if (
        --left === 0 ||
        machine.signal.aborted ||
        !(error instanceof Error) ||
        error.name !== 'VmError'
      )
        throw error
      console.error(`bench: once more, as ${error.message.split('\n')[0]}`)
    }
  }
}
