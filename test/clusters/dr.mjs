// @ts-check
import { addresses } from './addresses.mjs'
import { assemble } from './cluster.mjs'
import { macAddress } from './network.mjs'

/** @typedef {import('./index.d.mts').Family} Family */

/**
 * The real servers are plugged in after the director. A bridge hands a broadcast to the port that
 * joined last first, so that a real server that answers for the virtual address does so before the
 * director, and the router keeps to the first answer.
 *
 * @param {Family} family
 * @returns {import('./network.mjs').Plan}
 */
function planOf(family) {
  const { prefixLength, vip, realServers, director, router, routerOutside, remote } =
    addresses[family]
  const onSwitch = (
    /** @type {string} */ id,
    /** @type {string} */ name,
    /** @type {string} */ address,
  ) => ({
    ...{ id, name, links: [{ device: 'eth0', segment: 'switch', address }] },
    routes: [`default via ${router}`],
  })
  return {
    prefixLength,
    segments: ['switch', 'outside'],
    machines: [
      {
        id: 'router',
        name: 'router',
        links: [
          { device: 'eth0', segment: 'switch', address: router },
          { device: 'eth1', segment: 'outside', address: routerOutside },
        ],
        routes: [`${vip} dev eth0`],
        forwards: true,
      },
      onSwitch('director', 'director', director),
      ...realServers.map((address, index) =>
        onSwitch(`real${index + 1}`, `real server ${index + 1}`, address),
      ),
      {
        id: 'client',
        name: 'client',
        links: [{ device: 'eth0', segment: 'outside', address: remote }],
        routes: [`default via ${routerOutside}`],
      },
    ],
  }
}

/**
 * The handbook's second cluster. Director, real servers and router are on one switch; the client is
 * beyond the router, which knows the virtual address to be on the switch and asks there who has it.
 *
 * @type {typeof import('./index.d.mts').buildDr}
 */
export async function buildDr({ family = 'ipv4' } = {}) {
  const cluster = await assemble(family, planOf(family))
  const { network, vip, director, realServers } = cluster
  const router = network.machine('router')
  const byMac = new Map(
    [director, ...realServers].map((machine) => [macAddress(0, machine.address), machine]),
  )
  return {
    ...cluster,
    router,
    vipHolder: async () => byMac.get((await router.neighbour(vip, 'eth0')) ?? ''),
    vipClaimants: async () =>
      (await router.whoHas(vip, 'eth0')).flatMap((mac) => byMac.get(mac) ?? []),
  }
}
