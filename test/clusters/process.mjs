// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'

/**
 * Runs a program to its end and answers what it wrote to its standard output.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ input?: string, timeout?: number, mayFail?: boolean }} [options] timeout in milliseconds;
 *   mayFail: answer the output whatever the exit status
 */
export async function run(program, args, { input = '', timeout = 20_000, mayFail = false } = {}) {
  const child = spawn(program, args, { timeout, killSignal: 'SIGKILL' })
  // A program that ends without reading everything breaks the pipe; its status tells what happened.
  child.stdin.on('error', () => {}).end(input)
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  if (status !== 0 && !mayFail) {
    const why =
      stderr.trim() || (status === null ? `no end within ${timeout} ms` : `status ${status}`)
    throw new Error(`${program} ${args.join(' ')}: ${why}\n${input}`.trimEnd())
  }
  return stdout
}

/**
 * Starts a program that runs until `stop` is called, or this process ends, however it ends: setpriv
 * sees to that.
 *
 * @param {string} program
 * @param {readonly string[]} args
 */
export function start(program, args) {
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const closed = once(child, 'close')
  const complaint = text(child.stderr)
  const failed = closed.then(async ([status, signal]) => {
    throw new Error(`${program} ${args.join(' ')} ended (${signal ?? status}): ${await complaint}`)
  })
  failed.catch(() => {})
  return {
    pid: child.pid,
    /** Rejects when the program ends. */
    failed,
    async stop() {
      child.kill('SIGKILL')
      await closed
    },
  }
}
