// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { launch, run as runToEnd } from '../support/launcher.mjs'

/**
 * Runs a program to its end and answers what it wrote to its standard output.
 *
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ netns?: string, input?: string, timeout?: number, mayFail?: boolean }} [options] netns: path of the network
 *   namespace to run it in; timeout in milliseconds; mayFail: answer the output whatever the exit status
 */
export async function run(program, args, { mayFail = false, ...options } = {}) {
  const limited = { timeout: 60_000, ...options }
  if (!mayFail) return await runToEnd([program, ...args], limited)
  return (await launch([program, ...args], limited)).stdout
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
