// @ts-check
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exists } from './files.mjs'

/** @typedef {import('node:stream').Writable} Writable */

/**
 * Copies what is new in a file that grows.
 *
 * @param {string} path
 * @param {Writable} to
 * @param {AbortSignal} signal ends the waiting for a slow reader
 */
async function follow(path, to, signal) {
  const file = await open(path)
  const chunk = Buffer.alloc(64 * 1024)
  return {
    async copy() {
      for (;;) {
        const { bytesRead } = await file.read(chunk, 0, chunk.length, null)
        if (bytesRead === 0) return
        // A copy, as the stream may keep what it is given.
        const ready = to.write(Buffer.from(chunk.subarray(0, bytesRead)))
        if (!ready) await once(to, 'drain', { signal })
      }
    },
    close: () => file.close(),
  }
}

/**
 * Copies the job's output while the VM runs, until the job's exit status is there or the VM has ended.
 *
 * @param {string} directory
 * @param {import('./boot.mjs').Running} running
 * @param {{ stdout: Writable, stderr: Writable }} to
 * @param {AbortSignal} signal
 */
export async function attend(directory, running, { stdout, stderr }, signal) {
  const followed = await Promise.all([
    follow(join(directory, 'stdout'), stdout, signal),
    follow(join(directory, 'stderr'), stderr, signal),
  ])
  let ended = false
  void running.ended.then(() => (ended = true))
  try {
    for (;;) {
      signal.throwIfAborted()
      // Asked before the copying, so that nothing written before the end is left out.
      const done = ended || (await exists(join(directory, 'status')))
      for (const file of followed) await file.copy()
      if (done) return
      await Promise.race([sleep(50), running.ended])
    }
  } finally {
    await Promise.all(followed.map((file) => file.close()))
  }
}
