// @ts-check
// How does the cost of an operation grow with the table? Destinations spread over services, and
// destinations of one service, where the kernel itself searches a list.
import { answer, inNamespaces, median, ours, progress, raw, warmUp } from './support/guest.mjs'

/** @typedef {import('./support/guest.mjs').Row} Row */
/** @typedef {import('./support/table.mjs').Size} Size */

const passes = 3

/** @type {readonly { curve: string, sizes: readonly Size[] }[]} */
const curves = [
  {
    curve: '10 destinations a service',
    sizes: [1, 10, 100, 1000, 10_000].map((services) => ({ services, each: 10 })),
  },
  {
    curve: 'one service',
    sizes: [10, 100, 1000, 3000, 10_000].map((each) => ({ services: 1, each })),
  },
]

/** What our process does before it counts as warm. */
const before = Array.from({ length: 5 }, () => ({ services: 1000, each: 10 }))

/** For each size: the add, the median edit and the median read, of all destinations. */
const works = ['add', 'edit', 'read']

/** @param {Size} size */
const rawCosts = ({ services, each }) =>
  inNamespaces(1, services, ([netns = '']) => {
    const [[add = NaN, ...edits] = []] = raw('change', services, each, 128, passes, netns)
    const [reads = []] = raw('read', passes, netns)
    return [add, median(edits), median(reads)]
  })

/**
 * One process for all sizes.
 *
 * @param {readonly Size[]} sizes
 * @param {string[]} given
 * @returns {Promise<number[][]>}
 */
async function ourCosts([size, ...rest], given = []) {
  if (!size) return ours('grow', passes, ...given)
  const { services, each } = size
  return inNamespaces(1, services, ([netns = '']) =>
    ourCosts(rest, [...given, String(services), String(each), netns]),
  )
}

await warmUp()
/** @type {(Row & { curve: string, size: number })[]} */
const rows = []
for (const { curve, sizes } of curves) {
  progress(`${curve}: raw C`)
  const floor = []
  for (const size of sizes) floor.push(await rawCosts(size))
  progress(`${curve}: ours`)
  const found = (await ourCosts([...before, ...sizes])).slice(before.length)
  for (const [at, work] of works.entries()) {
    for (const [index, { services, each }] of sizes.entries()) {
      const count = services * each
      const shared = { work: `${work} ${count}, ${curve}`, curve: `${work}, ${curve}`, size: count }
      const warm = (/** @type {number[][]} */ costs) => (costs[index]?.[at] ?? NaN) / count
      rows.push(
        { ...shared, contender: 'raw C', count, warm: warm(floor) },
        { ...shared, contender: 'ours', count, warm: warm(found) },
      )
    }
  }
}
answer(rows)
