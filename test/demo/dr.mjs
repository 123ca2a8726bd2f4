// @ts-check
import { buildDr, pageSize, settledSnapshot } from '../clusters/index.mjs'
import { connectionsOf, requests, roundRobin, tally, weightedRoundRobin } from './balance.mjs'
import { described, hostOf, ipvsOf } from './machines.mjs'
import { Narrator } from './narrate.mjs'
import { drTopology } from './topology.mjs'

/** @typedef {import('../clusters/index.mjs').DrCluster} DrCluster */
/** @typedef {import('../clusters/index.mjs').Family} Family */
/** @typedef {import('../clusters/index.mjs').Machine} Machine */
/** @typedef {import('./report.mjs').Answers} Answers */
/** @typedef {import('./report.mjs').Report} Report */
/** @typedef {Awaited<ReturnType<typeof configureDirector>>} Director */
/** @typedef {Awaited<ReturnType<typeof hostOf>>} Host */

/** Requests before the cluster is complete: one for each real server. */
const [unanswered, unhidden] = [3, 3]
/** Milliseconds after which a request counts as unanswered; answers take a few. */
const patience = 1000

const nameOf = (/** @type {Machine | undefined} */ machine) => machine?.name ?? 'nobody'

/**
 * Virtual server via direct routing. The director passes a request on as it is, still to the
 * virtual address, which the real servers therefore have as well, hidden; they answer the client
 * themselves, by the router.
 *
 * @param {Report} report
 * @param {Family} family
 */
export async function dr(report, family) {
  const cluster = await buildDr({ family })
  try {
    report.chapter('DR', 'the real servers answer the client themselves', drTopology(cluster))
    const narrator = new Narrator(report)
    const director = await configureDirector(cluster, narrator)
    await nothingOnTheRealServers(cluster, report)

    const hosts = await vipOnly(cluster, narrator)
    await vipAndArp(cluster, hosts, report)
    await balanced(cluster, director, report)
  } finally {
    await cluster.close()
  }
}

/** @param {DrCluster} cluster @param {Narrator} narrator */
async function configureDirector(cluster, narrator) {
  const { director, realServers, vip } = cluster
  narrator.report.step(
    'The director has the virtual address, and a virtual service with three real servers',
  )
  const host = await hostOf(cluster, director, narrator)
  const { changed } = await host.prepareDirector({ forwarding: 'dr', vip, device: 'eth0' })
  for (const change of changed) narrator.report.note('', described(change))

  const { ipvs, quietly } = await ipvsOf(cluster, director, narrator)
  const service = narrator.name(director.name, 'service', {
    protocol: /** @type {const} */ ('tcp'),
    address: vip,
    port: 80,
  })
  await ipvs.addService({ ...service, scheduler: 'rr' })
  for (const { address } of realServers) {
    await ipvs.addDestination(service, { address, forwarding: 'dr' })
  }
  return { ipvs, quietly, service }
}

/**
 * The real servers get the packets, but drop them: they are for an address that they do not have.
 *
 * @param {DrCluster} cluster
 * @param {Report} report
 */
async function nothingOnTheRealServers(cluster, report) {
  report.step(`Nothing is done on the real servers yet: the client asks ${unanswered} times`)
  const answers = await cluster.get(unanswered, { timeout: patience })
  report.answers(answers)
  const none = answers.every((answer) => answer === undefined)
  report.check('without the virtual address no real server answers', none, answers.join(' '))
}

/**
 * The real servers have the address. With IPv4 that is not enough: Linux answers ARP for all of a
 * machine's addresses, on whichever device they are. IPv6's neighbour discovery does not: what is
 * on lo stays hidden.
 *
 * @param {DrCluster} cluster
 * @param {Narrator} narrator
 */
async function vipOnly(cluster, narrator) {
  const { family, realServers, router, vip } = cluster
  const { report } = narrator
  report.step(
    `Only the virtual address on lo of every real server: the client asks ${unhidden} times`,
  )
  /** @type {Host[]} */
  const hosts = []
  for (const machine of realServers) {
    const host = await hostOf(cluster, machine, narrator)
    const added = await host.addVip({ address: vip })
    report.note('', `${added.label ?? added.device} has ${added.address}/${added.prefixLength}`)
    hosts.push(host)
  }
  await router.forgetNeighbours()
  const answers = await cluster.get(unhidden)
  report.answers(answers)
  const holder = await cluster.vipHolder()
  if (family === 'ipv4') await bypassed(cluster, answers, holder, report)
  else
    report.check(
      'IPv6 hides it by itself: the router finds the director',
      holder === cluster.director,
      nameOf(holder),
    )
  return hosts
}

/**
 * @param {DrCluster} cluster
 * @param {Answers} answers
 * @param {Machine | undefined} holder
 * @param {Report} report
 */
async function bypassed(cluster, answers, holder, report) {
  await whoHas(cluster, report)
  const { realServers } = cluster
  const number = realServers.findIndex((machine) => machine === holder) + 1
  report.check(
    'without ARP suppression the router takes a real server for the director',
    number > 0,
    nameOf(holder),
  )
  const all = answers.every((answer) => answer === number)
  report.check('which answers all requests alone: nothing is balanced', all, answers.join(' '))
}

/** @param {DrCluster} cluster @param {Report} report */
async function whoHas(cluster, report) {
  const claimants = await cluster.vipClaimants()
  const names = claimants.map(nameOf).join(', ') || nameOf(undefined)
  const order = claimants.length > 1 ? ', the quickest first' : ''
  report.note('router', `who has ${cluster.vip}?  ${names}${order}`)
  return claimants
}

/** @param {DrCluster} cluster @param {readonly Host[]} hosts @param {Report} report */
async function vipAndArp(cluster, hosts, report) {
  const { director, router, vip } = cluster
  report.step(
    'All that a real server needs, in one call: ARP first, then the virtual address if it is missing',
  )
  for (const [index, host] of hosts.entries()) {
    const { changed } = await host.prepareRealServer({ forwarding: 'dr', vip, device: 'eth0' })
    if (index > 0) continue
    for (const change of changed) report.note('', described(change))
    if (changed.length === 0) report.note('', 'nothing was left to change')
  }
  await router.forgetNeighbours()
  if (cluster.family === 'ipv6') return
  const claimants = await whoHas(cluster, report)
  const alone = claimants.length === 1 && claimants[0] === director
  report.check(
    'with ARP suppression the director alone answers for the virtual address',
    alone,
    claimants.map(nameOf).join(', '),
  )
}

/** @param {DrCluster} cluster @param {Director} director @param {Report} report */
async function balanced(cluster, director, report) {
  const before = await sentTowardsClient(cluster)
  const even = await roundRobin(cluster, report)
  const weighted = await weightedRoundRobin(cluster, director, 'dr', report)
  const after = await sentTowardsClient(cluster)

  await counters(cluster, director, [...even, ...weighted], report)
  wayBack(
    { director: after.director - before.director, router: after.router - before.router },
    report,
  )
}

/**
 * @param {DrCluster} cluster
 * @param {Director} director
 * @param {Answers} answers
 * @param {Report} report
 */
async function counters(cluster, { ipvs, quietly }, answers, report) {
  report.step('What the kernel has counted on the director')
  // In the step with the VIP only, the director was bypassed, but not with IPv6.
  const early = unanswered + (cluster.family === 'ipv6' ? unhidden : 0)
  await settledSnapshot(quietly, early + answers.length)
  const table = await ipvs.snapshot()
  report.table(`${early} requests from before, and ${answers.length} since`, table)

  const counted = connectionsOf(table, cluster).join(' : ')
  const expected = tally(answers).map((count) => count + early / 3)
  report.check(
    'as many connections for each as came by the director',
    counted === expected.join(' : '),
    counted,
  )
  const { packetsIn = 0, packetsOut = 0 } = table[0]?.stats ?? {}
  const found = `${packetsIn} in, ${packetsOut} out`
  report.check(
    "the director saw only the client's packets",
    packetsIn > 0 && packetsOut === 0,
    found,
  )
}

/**
 * Bytes that left the director, and those that left the router to the client's side.
 *
 * @param {DrCluster} cluster
 */
async function sentTowardsClient({ director, router }) {
  const [fromDirector, fromRouter] = await Promise.all([
    director.counters('eth0'),
    router.counters('eth1'),
  ])
  return { director: fromDirector.bytesOut, router: fromRouter.bytesOut }
}

/** @param {{ director: number, router: number }} sent @param {Report} report */
function wayBack(sent, report) {
  const answers = 2 * requests * pageSize
  report.note(
    'router',
    `${sent.router} bytes sent to the client, of which ${answers} are the pages`,
  )
  report.note('director', `${sent.director} bytes sent: the requests, passed on`)
  const holds = sent.router > answers && sent.director < answers / 4
  report.check(
    'the answers left by the router, not by the director',
    holds,
    `router ${sent.router}, director ${sent.director}`,
  )
}
