// @ts-check
import { spawn } from 'node:child_process'

/** @typedef {import('node:child_process').ChildProcess} ChildProcess */

/** @typedef {Pick<import('node:child_process').SpawnOptions, 'stdio' | 'cwd'>} TiedOptions */

/**
 * Starts a program that dies with this process, however this process ends, and that a Ctrl-C in the terminal does not
 * reach: the test bed ends its programs itself, in order.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {TiedOptions} options
 * @returns {ChildProcess}
 */
export function startTied(program, args, options) {
  return spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
    ...options,
    detached: true,
  })
}

/**
 * Resolves when a child has ended and its pipes are read.
 *
 * @param {ChildProcess} child
 * @returns {Promise<{ code: number | null, signal: NodeJS.Signals | null }>}
 */
export function ended(child) {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
}

/** @param {ChildProcess} child */
export const hasEnded = (child) => child.exitCode !== null || child.signalCode !== null

/**
 * Kills a child that still runs and waits until it is gone.
 *
 * @param {ChildProcess} child
 */
export async function kill(child) {
  if (hasEnded(child) || child.pid === undefined) return
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

/**
 * Runs a program to its end and gives its standard output; its standard error goes to ours.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 * @returns {Promise<string>}
 */
export async function output(program, args, options = {}) {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'inherit'] })
  /** @type {Buffer[]} */
  const chunks = []
  child.stdout.on('data', (chunk) => chunks.push(chunk))
  const { code, signal } = await ended(child)
  if (code !== 0) {
    throw new Error(
      `${program} ${args.join(' ')}: ${signal === null ? `exit status ${code}` : signal}`,
    )
  }
  return Buffer.concat(chunks).toString('utf8')
}

/**
 * Runs a program to its end with all that it prints on our standard error: standard output is the guest command's.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 */
export async function run(program, args, options = {}) {
  const { code, signal } = await ended(
    spawn(program, args, { ...options, stdio: ['ignore', 2, 2] }),
  )
  if (code !== 0) {
    throw new Error(
      `${program} ${args.join(' ')}: ${signal === null ? `exit status ${code}` : signal}`,
    )
  }
}
