// @ts-check
import { addresses } from './addresses.mjs'
import { assemble } from './cluster.mjs'

/**
 * The handbook's first cluster. The director stands between two networks: the client's, in which it
 * will have the virtual address, and that of the real servers, whose default gateway it is.
 *
 * @type {typeof import('./index.d.mts').buildNat}
 */
export async function buildNat({ family = 'ipv4' } = {}) {
  const { prefixLength, neighbour, realServers, director, directorOutside } = addresses[family]
  return await assemble(family, {
    prefixLength,
    segments: ['inside', 'outside'],
    machines: [
      {
        id: 'director',
        name: 'director',
        links: [
          { device: 'eth0', segment: 'inside', address: director },
          { device: 'eth1', segment: 'outside', address: directorOutside },
        ],
      },
      ...realServers.map((address, index) => ({
        id: `real${index + 1}`,
        name: `real server ${index + 1}`,
        links: [{ device: 'eth0', segment: 'inside', address }],
        routes: [`default via ${director}`],
      })),
      {
        id: 'client',
        name: 'client',
        links: [{ device: 'eth0', segment: 'outside', address: neighbour }],
      },
    ],
  })
}
