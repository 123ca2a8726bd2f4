// @ts-check
// What does a change of the table cost? 10,000 destinations over 1,000 services are added, then their
// weights changed.
import {
  answer,
  coldAndWarm,
  costOfIpvsadm,
  inNamespaces,
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
const few = { services: 100, each: 1 }
const very = { services: 20, each: 1 }

/** Each with a namespace of its own. */
const adds = 6
/** For each of those. So many that the code is warm: V8 compiles the last of it after some 200,000. */
const edits = 8

/**
 * A contender that is one process for all passes.
 *
 * @param {string} contender
 * @param {Size} size
 * @param {(size: Size, namespaces: string[]) => number[][]} run
 * @param {number} [count] of changes that each cost is of
 * @returns {Promise<Row[]>}
 */
async function oneProcess(contender, size, run, count = size.services * size.each) {
  progress(contender)
  const passes = await inNamespaces(adds, size.services, (namespaces) => {
    const costs = run(size, namespaces)
    assertDone(contender, size, namespaces.at(-1) ?? '', 1 + edits)
    return costs
  })
  const added = passes.map(([add = NaN]) => add)
  const edited = passes.flatMap(([, ...edit]) => edit)
  return [
    { work: 'add', contender, count, ...coldAndWarm(added, count) },
    { work: 'edit', contender, count, ...coldAndWarm(edited, count) },
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

/** @param {string} way @returns {(size: Size, namespaces: string[]) => number[][]} */
const ourWay =
  (way) =>
  ({ services, each }, namespaces) =>
    ours(way, services, each, edits, ...namespaces)

/** @param {number} perSend @returns {(size: Size, namespaces: string[]) => number[][]} */
const rawWay =
  (perSend) =>
  ({ services, each }, namespaces) =>
    raw('change', services, each, perSend, edits, ...namespaces)

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
  ...(await oneProcess('ours, batch()', table, ourWay('batch'))),
  ...(await oneProcess('ours, promises of one tick', table, ourWay('promises'))),
  ...(await oneProcess('ours, awaited one by one', few, ourWay('awaited'), 1)),
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
