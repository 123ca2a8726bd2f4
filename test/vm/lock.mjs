// @ts-check
import { mkdir } from 'node:fs/promises'
import { once } from 'node:events'
import { kill, startTied } from './child.mjs'
import { cacheDir, lockFile } from './paths.mjs'

/**
 * Runs `work` while this process alone holds the test bed: one VM at a time, and no kernel replaced under a running VM.
 *
 * The lock is flock(2)'s, held by a child for as long as our end of its pipe is open. So it is never stale: the kernel
 * gives it back when we end, by whatever means. The lock file itself stays.
 *
 * @template T
 * @param {AbortSignal | undefined} signal ends the waiting
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(signal, work) {
  signal?.throwIfAborted()
  await mkdir(cacheDir, { recursive: true })
  const holder = startTied(
    'flock',
    ['--no-fork', '--exclusive', lockFile, 'sh', '-c', 'echo held; exec cat'],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  const waiting = setTimeout(() => console.error('vm: waiting for another run to end'), 1000)
  try {
    const gone = once(holder, 'exit', { signal }).then(() => {
      throw new Error(`flock could not lock ${lockFile}`)
    })
    gone.catch(() => {})
    await Promise.race([
      once(/** @type {import('node:stream').Readable} */ (holder.stdout), 'data', { signal }),
      gone,
    ])
    clearTimeout(waiting)
    return await work()
  } finally {
    clearTimeout(waiting)
    await kill(holder)
  }
}
