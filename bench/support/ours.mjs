// @ts-check
// This package, measured: one process, one pass for each network namespace, each a fresh table.
//
//   node ours.mjs batch|promises|awaited COUNT NETNS...
//
// Prints the nanoseconds of CPU time that the adds and the weight changes took, a line a pass: of
// the whole process, so with the thread that speaks to the kernel, the compiler's and the garbage
// collector's. The arguments of the calls are made beforehand.
import { openIpvs } from 'ipvs-netlink'
import { objects } from './table.mjs'

/** @typedef {Awaited<ReturnType<typeof openIpvs>>} Ipvs */
/** @typedef {'addDestination' | 'editDestination'} Verb */
/** @typedef {ReturnType<typeof objects>} Changes */

/** @type {Record<string, (ipvs: Ipvs, op: Verb, changes: Changes) => () => Promise<unknown>>} */
const ways = {
  batch: (ipvs, op, changes) => {
    const operations = changes.map((change) => ({ op, ...change }))
    return async () => {
      const outcomes = await ipvs.batch(operations)
      for (const outcome of outcomes) if (!outcome.ok) throw outcome.error
    }
  },
  promises: (ipvs, op, changes) => () =>
    Promise.all(changes.map(({ service, destination }) => ipvs[op](service, destination))),
  awaited: (ipvs, op, changes) => async () => {
    for (const { service, destination } of changes) await ipvs[op](service, destination)
  },
}

/** @param {() => Promise<unknown>} work */
async function cost(work) {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return 1000 * (user + system)
}

const [way = '', count = '', ...namespaces] = process.argv.slice(2)
const prepare = ways[way]
if (!prepare) throw new Error(`no such way: ${way}`)

const adds = objects(Number(count), 1)
const edits = objects(Number(count), 2)
for (const netns of namespaces) {
  const ipvs = await openIpvs({ netns })
  const added = await cost(prepare(ipvs, 'addDestination', adds))
  const changed = await cost(prepare(ipvs, 'editDestination', edits))
  await ipvs.close()
  console.log(`${added} ${changed}`)
}
