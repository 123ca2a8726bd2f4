#!/usr/bin/env node
// @ts-check
import { constants } from 'node:os'
import { excerpt } from './kernel-log.mjs'
import { usage, parse } from './options.mjs'
import { cachedKernel } from './provision.mjs'
import { kernels, provision, runInVm, VmError } from './vm.mjs'

/** @typedef {import('./options.mjs').Options} Options */

async function list() {
  for (const { name, suite } of kernels) {
    const kernel = await cachedKernel(name)
    const what = kernel === undefined ? 'not fetched yet' : `${kernel.release} (${kernel.version})`
    console.log(`${name.padEnd(5)} ${suite.padEnd(16)} ${what}`)
  }
}

/**
 * @param {Options} options
 * @param {AbortSignal} signal
 */
async function provisionAll({ kernel, refresh }, signal) {
  for (const { name } of kernels) {
    if (kernel !== undefined && kernel !== name) continue
    const { release, version } = await provision(name, { refresh, signal })
    console.error(`vm: kernel ${release} (${version}) is ready`)
  }
}

/**
 * @param {Options} options
 * @param {AbortSignal} signal
 * @returns {Promise<number>}
 */
async function runCommand({ kernel = '6.12', command, args, shell, verbose, ...rest }, signal) {
  if (rest.refresh) await provision(kernel, { refresh: true, signal })
  const what = shell
    ? { command: process.env['SHELL'] ?? '/bin/sh', args: [], terminal: true }
    : { command, args }
  const result = await runInVm({ kernel, ...rest, ...what, signal })
  const trouble = excerpt(result.kernelLog)
  if (trouble !== '') console.error(`vm: trouble in the kernel log:\n${trouble}`)
  if (verbose) {
    console.error(
      `vm: ${result.release}: command after ${result.bootSeconds.toFixed(1)} s, all ${result.seconds.toFixed(1)} s`,
    )
  }
  return result.status
}

/** @param {AbortSignal} signal */
async function main(signal) {
  const options = parse(process.argv.slice(2))
  if (options.help) {
    console.log(usage)
    return 0
  }
  if (options.list) {
    await list()
    return 0
  }
  if (options.provision) {
    await provisionAll(options, signal)
    return 0
  }
  return await runCommand(options, signal)
}

const stopped = new AbortController()
for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(name, () => {
    process.exitCode = 128 + constants.signals[name]
    stopped.abort()
  })
}
// A reader that has gone away, as in `... | head`.
process.stdout.on('error', () => {
  process.exitCode = 128 + constants.signals.SIGPIPE
  stopped.abort()
})

try {
  process.exitCode = await main(stopped.signal)
} catch (error) {
  if (!stopped.signal.aborted) {
    console.error(`vm: ${error instanceof Error ? error.message : error}`)
    process.exitCode = error instanceof VmError ? error.exitStatus : 125
  }
}
