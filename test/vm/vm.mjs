// @ts-check
import { rmSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { boot } from './boot.mjs'
import { initramfs } from './initramfs.mjs'
import { baseEnvironment } from './job.mjs'
import { mistakes } from './kernel-log.mjs'
import { withLock } from './lock.mjs'
import { provisionLocked } from './provision.mjs'
import { attend } from './output.mjs'
import { makeRunDirectory, readResults, writeJob } from './run-directory.mjs'
import { keepTerminal } from './terminal.mjs'

export { kernels } from './kernels.mjs'
export { provision } from './provision.mjs'

/** @typedef {import('./provision.mjs').Kernel} Kernel */
/** @typedef {import('node:stream').Writable} Writable */

/**
 * @typedef {object} RunOptions
 * @property {string} kernel a line of `kernels`
 * @property {string} command
 * @property {readonly string[]} [args]
 * @property {Readonly<Record<string, string>>} [env] beside PATH, HOME, TERM, CI and VM_*
 * @property {string} [cwd] default: ours
 * @property {string} [scratch] a directory of the host that the guest may write to, at the same place and named by
 *   VM_SCRATCH. Default: one that is gone after the run
 * @property {number} [timeout] seconds that the VM may run; 600 unless told otherwise
 * @property {number} [memory] MiB; 2048 unless told otherwise
 * @property {boolean} [icount] makes one guest nanosecond one executed instruction
 * @property {boolean} [terminal] runs the command on our own terminal, as the guest's serial console
 * @property {Writable} [stdout] default: ours
 * @property {Writable} [stderr] default: ours
 * @property {AbortSignal} [signal] ends the VM
 */

/**
 * @typedef {object} RunResult
 * @property {number} status the command's exit status; 125 where it was 0 and the kernel reported an error
 * @property {string} release the kernel's
 * @property {string[]} kernelErrors lines of its log
 * @property {string[]} kernelWarnings lines of its log
 * @property {string} kernelLog
 * @property {number} bootSeconds from starting the VM to starting the command
 * @property {number} seconds from starting the VM to its end
 */

/** A VM that did not bring its command to an end. */
export class VmError extends Error {
  /** The exit status of a VM that ran too long. */
  static timedOut = 124

  /**
   * @param {string} message
   * @param {number} exitStatus what a command line does well to end with
   */
  constructor(message, exitStatus) {
    super(message)
    this.name = 'VmError'
    this.exitStatus = exitStatus
  }
}

const brokenKernel = 125

/** @param {string} text */
const lastLines = (text) => text.trimEnd().split('\n').slice(-40).join('\n')

/**
 * @param {string} directory
 * @param {import('./boot.mjs').Running} running
 * @param {Kernel} kernel
 * @param {number} start
 * @returns {Promise<RunResult>}
 */
async function conclude(directory, running, { release }, start) {
  const seconds = (Date.now() - start) / 1000
  const { status, kernelLog = '', started } = await readResults(directory)
  if (status === undefined) {
    throw new VmError(
      `kernel ${release} gave no exit status; its console:\n${lastLines(running.console())}`,
      brokenKernel,
    )
  }
  const { errors, warnings } = mistakes(kernelLog)
  return {
    status: status === 0 && errors.length > 0 ? brokenKernel : status,
    release,
    kernelErrors: errors,
    kernelWarnings: warnings,
    kernelLog,
    bootSeconds: ((started ?? start) - start) / 1000,
    seconds,
  }
}

/**
 * Writes what the guest starts from and with.
 *
 * @param {string} directory the run's own
 * @param {Kernel} kernel
 * @param {RunOptions} options
 * @returns {Promise<string>} the initramfs
 */
async function prepare(directory, kernel, options) {
  const { command, args = [], cwd = process.cwd(), terminal = false } = options
  const scratch = resolve(options.scratch ?? join(directory, 'scratch'))
  await mkdir(scratch, { recursive: true })
  const own = { VM_KERNEL: kernel.name, VM_SCRATCH: scratch }
  const env = { ...baseEnvironment(), ...own, ...options.env }
  await writeJob(directory, { command, args, cwd, env, terminal })
  const config = {
    RELEASE: kernel.release,
    MODULES: join(kernel.directory, 'lib', 'modules', kernel.release),
    RUN: directory,
    SCRATCH: scratch,
    // A checkout below /tmp is to be seen; its /tmp is then the overlay's, which writes do not leave either.
    OWN_TMP: `${cwd}/`.startsWith('/tmp/') ? '' : 'yes',
  }
  const path = join(directory, 'initramfs')
  await writeFile(path, await initramfs(kernel.modules, config))
  return path
}

/**
 * @param {string} directory the run's own
 * @param {Kernel} kernel
 * @param {RunOptions} options
 * @returns {Promise<RunResult>}
 */
async function runIn(directory, kernel, options) {
  const { timeout = 600, memory = 2048, icount = false, terminal = false } = options
  const { stdout = process.stdout, stderr = process.stderr } = options
  const ramdisk = await prepare(directory, kernel, options)
  const restoreTerminal = terminal ? keepTerminal() : () => {}
  const start = Date.now()
  const limit = AbortSignal.timeout(timeout * 1000)
  const signal = options.signal === undefined ? limit : AbortSignal.any([limit, options.signal])
  const machine = { directory, image: kernel.image, initramfs: ramdisk, memory, icount, terminal }
  const running = await boot(machine)
  try {
    await attend(directory, running, { stdout, stderr }, signal)
    return await conclude(directory, running, kernel, start)
  } catch (error) {
    if (!limit.aborted || options.signal?.aborted) throw error
    const said = `its console:\n${lastLines(running.console())}`
    throw new VmError(
      `kernel ${kernel.release} stopped after ${timeout} s; ${said}`,
      VmError.timedOut,
    )
  } finally {
    await running.stop()
    restoreTerminal()
  }
}

/**
 * Boots a VM with a kernel of the given line and runs a command in it, with what is needed for that installed and
 * fetched first. Runs wait for each other.
 *
 * @param {RunOptions} options
 * @returns {Promise<RunResult>}
 * @throws {VmError} where the guest did not bring the command to an end
 */
export async function runInVm(options) {
  if (process.getuid?.() !== 0) {
    throw new Error('sharing the file system with a VM needs root: run the same command as root')
  }
  return await withLock(options.signal, async () => {
    const kernel = await provisionLocked(options.kernel)
    options.signal?.throwIfAborted()
    const directory = await makeRunDirectory()
    const cleanUp = () => rmSync(directory, { recursive: true, force: true })
    // Should someone call process.exit() meanwhile; the VM itself ends with us in any case.
    process.once('exit', cleanUp)
    try {
      return await runIn(directory, kernel, options)
    } finally {
      process.off('exit', cleanUp)
      await rm(directory, { recursive: true, force: true })
    }
  })
}
