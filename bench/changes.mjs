// @ts-check
// What does a change of the table cost? 10,000 destinations over 1,000 services are added, then their
// weights changed.
import {
  answer,
  costOfIpvsadm,
  inNamespaces,
  median,
  ours,
  progress,
  raw,
  savedRules,
  warmUp,
} from './support/guest.mjs'
import { rules } from './support/table.mjs'

/** @typedef {import('./support/guest.mjs').Row} Row */
/** @typedef {import('./support/table.mjs').Size} Size */

const table = { services: 1000, each: 10 }
const few = { services: 500, each: 1 }
const very = { services: 20, each: 1 }

/** Each a process with a namespace of its own. Tables of others would make adds dearer. */
const runs = 3
/** For each of those. Awaited one by one, of few destinations, more: how two threads meet varies. */
const edits = 8
const awaitedEdits = 60

/**
 * A contender whose passes are made by one process. With `warms`, the first process shows what it
 * costs cold, and the others become warm before.
 *
 * @param {string} contender
 * @param {Size} size
 * @param {(size: Size, netns: string, warmNetns?: string) => number[]} run what the add and each
 *     edit took
 * @param {{ warms?: boolean, count?: number }} [options] `count`: the changes that each cost is of
 * @returns {Promise<Row[]>}
 */
async function oneProcess(contender, size, run, options = {}) {
  const { warms = false, count = size.services * size.each } = options
  progress(contender)
  const measured = []
  for (let each = 0; each <= runs; ++each) {
    const costs = await inNamespaces(2, size.services, ([netns = '', other = '']) => {
      const found = run(size, netns, warms && each > 0 ? other : undefined)
      assertDone(contender, size, netns, found.length)
      return found
    })
    measured.push(costs)
  }
  const [[coldAdd = NaN, coldEdit = NaN] = [], ...warm] = measured
  const added = warm.map(([add = NaN]) => add)
  const edited = warm.flatMap(([, ...edit]) => edit.slice(edit.length >> 1))
  const row = { contender, count }
  return [
    { work: 'add', ...row, cold: coldAdd / count, warm: median(added) / count },
    { work: 'edit', ...row, cold: coldEdit / count, warm: median(edited) / count },
  ]
}

/**
 * Whether the contender did what the others do: the figures of one that did less would mean nothing.
 *
 * @param {string} contender
 * @param {Size} size
 * @param {string} netns
 * @param {number} weight
 */
function assertDone(contender, size, netns, weight) {
  const wanted = rules('-a', size, weight).sort().join('\n')
  if (savedRules(netns).sort().join('\n') !== wanted)
    throw new Error(`${contender} left another table than the others`)
}

/** @param {string} way */
const passesOf = (way) => (way === 'awaited' ? awaitedEdits : edits)

/** @param {string} way @returns {(size: Size, netns: string, warmNetns?: string) => number[]} */
const ourWay =
  (way) =>
  ({ services, each }, ...namespaces) =>
    ours(
      way,
      services,
      each,
      passesOf(way),
      ...namespaces.filter((netns) => netns !== undefined),
    )[0] ?? []

/** @param {number} perSend @returns {(size: Size, netns: string) => number[]} */
const rawWay =
  (perSend) =>
  ({ services, each }, netns) =>
    raw('change', services, each, perSend, edits, netns)[0] ?? []

/**
 * A contender whose passes are processes of their own, hence all cold.
 *
 * @param {string} contender
 * @param {Size} size
 * @param {(netns: string, rules: string[]) => number} run
 * @returns {Promise<Row[]>}
 */
async function processes(contender, size, run) {
  progress(contender)
  const count = size.services * size.each
  const [add, edit] = await inNamespaces(1, size.services, ([netns = '']) => {
    const costs = [run(netns, rules('-a', size, 1)), run(netns, rules('-e', size, 2))]
    assertDone(contender, size, netns, 2)
    return costs
  })
  return [
    { work: 'add', contender, count, cold: (add ?? NaN) / count },
    { work: 'edit', contender, count, cold: (edit ?? NaN) / count },
  ]
}

await warmUp()
const rows = [
  ...(await oneProcess('raw C', table, rawWay(128))),
  ...(await oneProcess('ours, batch()', table, ourWay('batch'), { warms: true })),
  ...(await oneProcess('ours, promises of one tick', table, ourWay('promises'), { warms: true })),
  ...(await oneProcess('ours, awaited one by one', few, ourWay('awaited'), {
    warms: true,
    count: 1,
  })),
  ...(await oneProcess('raw C, once more', table, rawWay(128))),
  ...(await oneProcess('raw C, one a send', few, rawWay(1))),
  ...(await processes(
    'ipvsadm -R',
    { services: 1000, each: 1 },
    (netns, lines) => costOfIpvsadm(netns, ['-R'], lines.join('\n')).time,
  )),
  ...(await processes('ipvsadm, a process each', very, (netns, lines) =>
    lines.reduce((sum, line) => sum + costOfIpvsadm(netns, line.split(' ')).time, 0),
  )),
]
answer(rows.sort((a, b) => a.work.localeCompare(b.work)))
