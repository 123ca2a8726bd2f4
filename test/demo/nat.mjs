// @ts-check
import { buildNat, pageSize, settledSnapshot } from '../clusters/index.mjs'
import { connectionsOf, roundRobin, tally, weightedRoundRobin } from './balance.mjs'
import { described, hostOf, ipvsOf } from './machines.mjs'
import { Narrator } from './narrate.mjs'
import { natTopology } from './topology.mjs'

/** @typedef {import('../clusters/index.mjs').Cluster} Cluster */
/** @typedef {import('../clusters/index.mjs').Family} Family */
/** @typedef {import('./report.mjs').Answers} Answers */
/** @typedef {import('./report.mjs').Report} Report */
/** @typedef {Awaited<ReturnType<typeof configure>>} Director */

/**
 * Virtual server via NAT. The director rewrites the address of every packet: that of a request from
 * the virtual address to a real server's, that of an answer back. So the answers, too, must pass
 * it: it is the real servers' gateway.
 *
 * @param {Report} report
 * @param {Family} family
 */
export async function nat(report, family) {
  const cluster = await buildNat({ family })
  try {
    report.chapter('NAT', 'the director rewrites addresses, both ways', natTopology(cluster))
    const director = await configure(cluster, report)
    const even = await roundRobin(cluster, report)
    const weighted = await weightedRoundRobin(cluster, director, 'nat', report)
    await counters(cluster, director, [...even, ...weighted], report)
  } finally {
    await cluster.close()
  }
}

/** @param {Cluster} cluster @param {Report} report */
async function configure(cluster, report) {
  const { director, realServers, vip } = cluster
  const narrator = new Narrator(report)

  report.step('The director forwards packets, and has a virtual service with three real servers')
  const host = await hostOf(cluster, director, narrator)
  const { changed } = await host.prepareDirector({
    forwarding: 'nat',
    vip,
    device: ['eth1', 'eth0'],
  })
  for (const change of changed) report.note('', described(change))

  const { ipvs, quietly } = await ipvsOf(cluster, director, narrator)
  const service = narrator.name(director.name, 'service', {
    protocol: /** @type {const} */ ('tcp'),
    address: vip,
    port: 80,
  })
  await ipvs.addService({ ...service, scheduler: 'rr' })
  for (const { address } of realServers) {
    await ipvs.addDestination(service, { address, forwarding: 'nat' })
  }
  await nothingToDo(cluster, narrator)
  return { ipvs, quietly, service }
}

/**
 * Real servers get packets under their own address, and need nothing but the way back.
 *
 * @param {Cluster} cluster
 * @param {Narrator} narrator
 */
async function nothingToDo(cluster, narrator) {
  const [machine] = cluster.realServers
  if (machine === undefined) return
  const host = await hostOf(cluster, machine, narrator)
  const { changed } = await host.prepareRealServer({ forwarding: 'nat' })
  const found = changed.map(described).join(', ')
  narrator.report.check('a real server is ready as it is', changed.length === 0, found)
}

/**
 * @param {Cluster} cluster
 * @param {Director} director
 * @param {Answers} answers
 * @param {Report} report
 */
async function counters(cluster, { ipvs, quietly }, answers, report) {
  report.step('What the kernel has counted')
  await settledSnapshot(quietly, answers.length)
  const table = await ipvs.snapshot()
  report.table(`${answers.length} requests, ${pageSize} bytes each answer`, table)

  const counted = connectionsOf(table, cluster).join(' : ')
  report.check(
    'as many connections for each as the client saw answered',
    counted === tally(answers).join(' : '),
    counted,
  )
  const { bytesOut = 0 } = table[0]?.stats ?? {}
  report.check(
    'all answers passed the director',
    bytesOut > answers.length * pageSize,
    `${bytesOut} bytes did`,
  )
}
