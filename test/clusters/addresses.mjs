// @ts-check
// The handbook's addresses, and for IPv6 the same plan within the prefix for documentation.

/** @typedef {import('./index.d.mts').Family} Family */

export const addresses = {
  ipv4: {
    prefixLength: 24,
    vip: '124.126.147.168',
    /** On the same network as the VIP. */
    neighbour: '124.126.147.10',
    directorOutside: '124.126.147.254',
    realServers: ['192.168.0.1', '192.168.0.2', '192.168.0.3'],
    director: '192.168.0.254',
    router: '192.168.0.253',
    /** Somewhere beyond the router. */
    remote: '203.0.113.10',
    routerOutside: '203.0.113.1',
  },
  ipv6: {
    prefixLength: 64,
    vip: '2001:db8:124::168',
    neighbour: '2001:db8:124::10',
    directorOutside: '2001:db8:124::254',
    realServers: ['2001:db8:192::1', '2001:db8:192::2', '2001:db8:192::3'],
    director: '2001:db8:192::254',
    router: '2001:db8:192::253',
    remote: '2001:db8:203::10',
    routerOutside: '2001:db8:203::1',
  },
}

/** @param {string} address the number of the machine in its network */
export const hostNumber = (address) => Number(/\d+$/.exec(address)?.[0])

/** @param {string} address as URLs have it */
export const urlHost = (address) => (address.includes(':') ? `[${address}]` : address)
