// Whether the figures of a soak show a leak, or an event loop that is held up.
//
// A leak lifts the lowest that there is, and nothing else does: descriptors come and go with requests, memory
// with the collector. So the lowest of the last quarter is compared with that of the second; in the first
// everything starts.
//
// The event loop's delay is what its own work takes and what the machine takes. The latter also delays a thread
// that only sleeps, so three times the delay of that one is always allowed: a machine that halts for seconds
// fails nobody. Else a turn may take 40 ms, half of which is the timer that measures, and 0.12 ms for each
// change that the handles have under way together, which is what it takes on an emulated processor when all
// bursts are made in one turn. Were they sent from it, too, what the kernel does would come on top: as much again
// for most changes, 6 to 27 ms for a scheduler's. Each interval is judged by its own delays, and nine in ten must
// hold (of 89 on a machine with nothing else to do, 88 did); where the idle thread is late in most of them, a loop
// that is held no longer than three times that is not seen.

/**
 * @typedef {object} Sample
 * @property {number} rss in bytes
 * @property {number} descriptors
 * @property {number} delay of the main thread's event loop, the 99th percentile in milliseconds
 * @property {number} [idleDelay] the same of a thread that only sleeps
 */

/** With fewer samples a quarter is one moment or two, which says nothing. */
const fewest = 12

/** @param {number} underWay */
const turnMayTake = (underWay) => 40 + 0.12 * underWay

/**
 * The heap breathes.
 * @param {number} bytes
 */
export const mayGrowTo = (bytes) => bytes + Math.max(2 ** 24, bytes / 4)

/**
 * The 99th percentile since the last time, in milliseconds.
 * @param {import('node:perf_hooks').IntervalHistogram} histogram
 */
export const delayOf = (histogram) => {
  const delay = Math.round(histogram.percentile(99) / 1e4) / 100
  histogram.reset()
  return delay
}

/**
 * What is wrong with a curve, in words.
 * @param {readonly Sample[]} curve
 * @param {number} underWay how many changes the main thread's handles have under way together
 * @returns {string[]}
 */
export const faultsOf = (curve, underWay) => {
  if (curve.length < fewest) return []
  const quarter = Math.floor(curve.length / 4)
  const settled = curve.slice(quarter)
  /** @param {'rss' | 'descriptors'} name */
  const lowest = (name) =>
    [settled.slice(0, quarter), settled.slice(-quarter)].map((part) =>
      Math.min(...part.map((each) => each[name])),
    )
  const [first = 0, last = 0] = lowest('descriptors')
  const [before = 0, after = 0] = lowest('rss')
  const late = settled.filter(
    ({ delay, idleDelay = 0 }) => delay > Math.max(turnMayTake(underWay), 3 * idleDelay),
  )
  return [
    ...(last > first ? [`descriptors leak: ${first}, at the end ${last}`] : []),
    ...(after > mayGrowTo(before) ? [`memory leaks: ${before}, at the end ${after} bytes`] : []),
    ...(10 * late.length > settled.length
      ? [`the event loop is held in ${late.length} of ${settled.length} intervals`]
      : []),
  ]
}
