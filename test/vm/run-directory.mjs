// @ts-check
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile, copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { guestDir, runsDir } from './paths.mjs'
import { script } from './job.mjs'

/**
 * The directory through which the host and the guest of one run talk. Runs that were killed leave theirs, which the
 * next one, alone as it holds the lock, removes.
 */
export async function makeRunDirectory() {
  await mkdir(runsDir, { recursive: true })
  const stale = await readdir(runsDir)
  await Promise.all(
    stale.map((entry) => rm(join(runsDir, entry), { recursive: true, force: true })),
  )
  return await mkdtemp(join(runsDir, 'run-'))
}

/**
 * @param {string} directory
 * @param {import('./job.mjs').Job} job
 */
export async function writeJob(directory, job) {
  const files = {
    job: script(job),
    stdout: '',
    stderr: '',
    ...(job.terminal ? { terminal: '' } : {}),
  }
  await Promise.all([
    copyFile(join(guestDir, 'supervise'), join(directory, 'supervise')),
    ...Object.entries(files).map(([name, content]) => writeFile(join(directory, name), content)),
  ])
}

/**
 * What the guest left behind: the job's exit status, the kernel's log, and when the job began.
 *
 * @param {string} directory
 */
export async function readResults(directory) {
  const text = (/** @type {string} */ name) =>
    readFile(join(directory, name), 'utf8').catch(() => undefined)
  const status = await text('status')
  const started = await stat(join(directory, 'started')).catch(() => undefined)
  return {
    status: status === undefined ? undefined : Number(status),
    kernelLog: await text('kernel-log'),
    started: started?.mtimeMs,
  }
}
