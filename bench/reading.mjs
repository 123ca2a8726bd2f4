// @ts-check
// What does reading the table cost, for each destination? As objects, as columns, a part at a time;
// 1,000 and 10,000 services with 10 destinations each.
import {
  answer,
  coldAndWarm,
  costOfIpvsadm,
  inNamespaces,
  ours,
  progress,
  raw,
  warmUp,
} from './support/guest.mjs'

/** @typedef {import('./support/guest.mjs').Row} Row */

const each = 10

/**
 * @param {number} services
 * @param {number} passes
 * @returns {Promise<Row[]>}
 */
const read = (services, passes) =>
  inNamespaces(1, services, ([netns = '']) => {
    const count = services * each
    const work = `read ${services} x ${each}`
    raw('change', services, each, 128, 0, netns)
    /** @param {string} contender @param {() => number[][]} run @returns {Row} */
    const measured = (contender, run) => {
      progress(`${work}: ${contender}`)
      return { work, contender, count, ...coldAndWarm(run()[0] ?? [], count) }
    }
    return [
      measured('raw C', () => raw('read', 3, netns)),
      measured('ours, snapshot()', () => ours('snapshot', passes, netns)),
      measured('ours, columns()', () => ours('columns', passes, netns)),
      measured('ours, stream()', () => ours('stream', passes, netns)),
      ...['-Sn', '-Ln'].map((option) => ({
        work,
        contender: `ipvsadm ${option}`,
        count,
        cold: costOfIpvsadm(netns, [option]).time / count,
      })),
    ]
  })

await warmUp()
// V8 compiles the last of it after some 200,000 destinations. Of a large table, it finds out only after a
// dozen readings which objects had better not be made among the young ones, as they live on.
answer([...(await read(1000, 40)), ...(await read(10_000, 24))])
