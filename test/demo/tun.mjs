// @ts-check
import { buildDr } from '../clusters/index.mjs'
import { roundRobin } from './balance.mjs'
import { described, hostOf, ipvsOf } from './machines.mjs'
import { Narrator } from './narrate.mjs'
import { drTopology } from './topology.mjs'

/** @typedef {import('../clusters/index.mjs').DrCluster} DrCluster */
/** @typedef {import('../clusters/index.mjs').Family} Family */
/** @typedef {import('./report.mjs').Report} Report */

/** One for each real server, with the device out of which its packets come. */
const tunnels = /** @type {const} */ ([
  { tunnel: { type: 'ipip' }, devices: { ipv4: 'tunl0', ipv6: 'ip6tnl0' } },
  { tunnel: { type: 'gre' }, devices: { ipv4: 'gre0', ipv6: 'ip6gre0' } },
  { tunnel: { type: 'gue', port: 6080 }, devices: { ipv4: 'tunl0', ipv6: 'ip6tnl0' } },
])

/**
 * Virtual server via tunnels: as direct routing, but the director wraps each request in a packet to
 * the real server, which may therefore be in another network. Here each real server has another
 * kind of tunnel.
 *
 * @param {Report} report
 * @param {Family} family
 */
export async function tun(report, family) {
  const cluster = await buildDr({ family })
  try {
    report.chapter('TUN', 'the director wraps requests in tunnels', drTopology(cluster))
    const narrator = new Narrator(report)
    await configureDirector(cluster, narrator)
    await configureRealServers(cluster, narrator)
    const before = await arrived(cluster)
    await roundRobin(cluster, report)
    const after = await arrived(cluster)
    const counts = after.map((count, index) => count - (before[index] ?? 0))
    report.check(
      'each real server got its requests out of its tunnel',
      counts.every((count) => count > 0),
      counts.join(' : '),
    )
  } finally {
    await cluster.close()
  }
}

/** @param {DrCluster} cluster @param {Narrator} narrator */
async function configureDirector(cluster, narrator) {
  const { director, realServers, vip } = cluster
  narrator.report.step('The director, with a tunnel of another kind to each real server')
  const host = await hostOf(cluster, director, narrator)
  await host.prepareDirector({ forwarding: 'tun', vip, device: 'eth0' })
  const { ipvs } = await ipvsOf(cluster, director, narrator)
  const service = narrator.name(director.name, 'service', {
    protocol: /** @type {const} */ ('tcp'),
    address: vip,
    port: 80,
  })
  await ipvs.addService({ ...service, scheduler: 'rr' })
  for (const [index, { tunnel }] of tunnels.entries()) {
    const address = realServers[index]?.address ?? ''
    await ipvs.addDestination(service, { address, forwarding: 'tun', tunnel })
  }
}

/** @param {DrCluster} cluster @param {Narrator} narrator */
async function configureRealServers(cluster, narrator) {
  const { realServers, vip } = cluster
  const { report } = narrator
  report.step('The real servers, whose distribution checks strictly where packets come from')
  for (const [index, machine] of realServers.entries()) {
    await machine.run('sysctl', ['-q', '-w', 'net.ipv4.conf.all.rp_filter=1'])
    const host = await hostOf(cluster, machine, narrator)
    const tunnel = tunnels[index]?.tunnel
    const { changed } = await host.prepareRealServer({
      forwarding: 'tun',
      vip,
      device: 'eth0',
      tunnel,
    })
    for (const change of changed) report.note('', described(change))
  }
}

/** Packets out of each real server's tunnel. @param {DrCluster} cluster */
async function arrived({ realServers, family }) {
  return await Promise.all(
    tunnels.map(async ({ devices }, index) => {
      const counted = await realServers[index]?.counters(devices[family])
      return counted?.packetsIn ?? 0
    }),
  )
}
