// @ts-check
// For how long does the package hold the event loop, and what do calls of another handle see
// meanwhile? A millisecond is a million instructions here.
import { readSync, openSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { openIpvs } from 'ipvs-netlink'
import { answer, inNamespaces, progress, raw } from './support/guest.mjs'
import { objects } from './support/table.mjs'

/** @typedef {Awaited<ReturnType<typeof openIpvs>>} Ipvs */

const spread = { services: 10_000, each: 10 }
const one = { services: 1, each: 10_000 }

const own = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r')
const text = Buffer.alloc(64)

/** Milliseconds that the main thread has run. */
function mainThread() {
  process.cpuUsage() // has the kernel bring its books up to date
  return Number(text.toString('latin1', 0, readSync(own, text, 0, 64, 0)).split(' ')[0]) / 1e6
}

/** @param {number[]} values @param {number} share */
const quantile = (values, share) => values.sort((a, b) => a - b)[Math.floor(values.length * share)]

/**
 * Looks at every turn of the event loop while something is done, and changes a weight through
 * another handle all the while.
 *
 * @param {string} work
 * @param {Ipvs} other
 * @param {() => Promise<unknown>} doIt
 */
async function observed(work, other, doIt) {
  progress(work)
  let isDone = false
  let longest = 0
  const latencies = /** @type {number[]} */ ([])
  const turns = async () => {
    for (let start = mainThread(); !isDone;) {
      await nextTurn()
      const now = mainThread()
      longest = Math.max(longest, now - start)
      start = now
    }
  }
  const [{ service, destination } = { service: undefined, destination: undefined }] = objects(
    { services: 1, each: 1 },
    1,
  )
  const calls = async () => {
    for (let weight = 1; service && destination && !isDone; ++weight) {
      const start = performance.now()
      await other.editDestination(service, { ...destination, weight })
      latencies.push(performance.now() - start)
    }
  }
  const meanwhile = [turns(), calls()]
  await nextTurn()
  const start = performance.now()
  await doIt()
  const whole = performance.now() - start
  isDone = true
  await Promise.all(meanwhile)
  const calm = quantile(latencies, 0.5)
  return {
    work,
    contender: 'ours',
    count: 1,
    whole,
    longest,
    p50: calm,
    max: Math.max(...latencies),
  }
}

const rows = await inNamespaces(1, 1, async ([quiet = '']) => {
  raw('change', 1, 1, 128, 0, quiet)
  const other = await openIpvs({ netns: quiet })
  /** @type {(size: typeof one, filled: boolean, work: (ipvs: Ipvs) => Promise<unknown>) => Promise<void>} */
  const inOne = async ({ services, each }, filled, work) =>
    inNamespaces(1, services, async ([netns = '']) => {
      if (filled) raw('change', services, each, 128, 0, netns)
      const ipvs = await openIpvs({ netns })
      await work(ipvs)
      await ipvs.close()
    })
  const found = /** @type {Awaited<ReturnType<typeof observed>>[]} */ ([])
  /** @type {(work: string, doIt: () => Promise<unknown>) => Promise<void>} */
  const note = async (work, doIt) => void found.push(await observed(work, other, doIt))

  await inOne(spread, true, async (ipvs) => {
    await note('snapshot() of 100,000', () => ipvs.snapshot())
    await note('snapshot() of 100,000, again', () => ipvs.snapshot())
    await note('columns() of 100,000', () => ipvs.columns())
  })
  const adds = objects(one, 1)
  const operations = adds.map((change) => ({
    op: /** @type {const} */ ('addDestination'),
    ...change,
  }))
  await inOne(one, false, (ipvs) =>
    note('batch() of 10,000 adds to one service', () => ipvs.batch(operations)),
  )
  await inOne(one, false, (ipvs) =>
    note('10,000 promises of adds to one service', () =>
      Promise.all(
        adds.map(({ service, destination }) => ipvs.addDestination(service, destination)),
      ),
    ),
  )
  await other.close()
  return found
})
answer(rows)
