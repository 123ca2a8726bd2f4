// @ts-check
// What both clusters do once they are configured.

/** @typedef {import('../clusters/index.mjs').Cluster} Cluster */
/** @typedef {import('ipvs-netlink').Ipvs} Ipvs */
/** @typedef {import('ipvs-netlink').AddressServiceKey} AddressServiceKey */
/** @typedef {import('./report.mjs').Answers} Answers */
/** @typedef {import('./report.mjs').Report} Report */

export const requests = 12
const weights = [1, 2, 3]

/**
 * How often each real server answered, the first one first.
 *
 * @param {Answers} answers
 */
export const tally = (answers) =>
  [1, 2, 3].map((number) => answers.filter((answer) => answer === number).length)

/**
 * Whether every request was answered, and the real servers answered in the ratio of the weights.
 *
 * @param {Answers} answers
 * @param {readonly number[]} ratio
 */
function isSpread(answers, ratio) {
  const total = ratio.reduce((sum, weight) => sum + weight, 0)
  return tally(answers).every(
    (count, index) => count * total === answers.length * (ratio[index] ?? 0),
  )
}

/** @param {Cluster} cluster @param {Report} report */
export async function roundRobin(cluster, report) {
  report.step(`rr: the client asks ${requests} times`)
  const answers = await cluster.get(requests)
  report.answers(answers)
  report.check(
    'rr spreads the requests evenly',
    isSpread(answers, [1, 1, 1]),
    tally(answers).join(' : '),
  )
  return answers
}

/**
 * @param {Cluster} cluster
 * @param {{ ipvs: Ipvs, service: AddressServiceKey }} director
 * @param {'nat' | 'dr'} forwarding
 * @param {Report} report
 */
export async function weightedRoundRobin(cluster, { ipvs, service }, forwarding, report) {
  report.step(
    `wrr with weights ${weights.join(', ')} from now on: the client asks ${requests} times`,
  )
  await ipvs.editService({ ...service, scheduler: 'wrr' })
  for (const [index, { address }] of cluster.realServers.entries()) {
    await ipvs.editDestination(service, { address, forwarding, weight: weights[index] })
  }
  const answers = await cluster.get(requests)
  report.answers(answers)
  const what = `wrr spreads them in the ratio ${weights.join(' : ')}`
  report.check(what, isSpread(answers, weights), tally(answers).join(' : '))
  return answers
}

/**
 * How many connections the kernel has counted for each real server of the only service.
 *
 * @param {readonly import('ipvs-netlink').VirtualServerState[]} table
 * @param {Cluster} cluster
 */
export function connectionsOf([service], { realServers }) {
  const counts = new Map(
    service?.destinations.map(({ address, stats }) => [address, stats.connections]),
  )
  return realServers.map(({ address }) => counts.get(address))
}
