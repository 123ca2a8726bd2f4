// What a scenario needs. Scenarios use nothing but the interface, so that they run against the kernel
// (test/kernel) and against the fake (test/testing.test.ts): what one of them shows, both do.

import type { Test } from 'tap'

import type { Destination, Ipvs, Service, ServiceKey } from 'ipvs-netlink'

export interface Scene {
  readonly ipvs: Ipvs
  /** The rules as the kernel's reference tool saves them, a line each. */
  readonly rules: () => Promise<string[]>
  /** What another program does, as a line of that tool: `-A -t 10.0.0.1:80 -s rr`. */
  readonly admin: (line: string) => Promise<unknown>
  /** Another handle on the same table; closed when the test ends. */
  readonly another: () => Promise<Ipvs>
  /** The schedulers that there are. */
  readonly schedulers: () => Promise<readonly string[]>
}

/** An empty table, which goes when the test ends. */
export type MakeScene = (t: Test) => Promise<Scene>

export const tcp = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
export const udp6 = { protocol: 'udp', address: '2001:db8::1', port: 53 } as const

/** What a refused call is matched against. */
export const refusal = (
  code: string,
  more: Record<string, unknown> = {},
): { name: string; code: string } => ({
  name: 'IpvsError',
  code,
  ...more,
})

const known = 'rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos'.split(' ')

/** Those of all schedulers that an empty table takes. */
export const findSchedulers = async (ipvs: Ipvs): Promise<string[]> => {
  const outcomes = await ipvs.batch(
    known.map((scheduler, index) => ({
      op: 'addService',
      service: { ...tcp, port: index + 1, scheduler },
    })),
  )
  await ipvs.clear()
  return known.filter((_, index) => outcomes[index]?.ok === true)
}

// The reference tool's words, for a table that it cannot see.

const join = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

const options: Readonly<Record<string, string>> = { tcp: '-t', udp: '-u', sctp: '--sctp-service' }

const keyWords = (key: ServiceKey): string => {
  if (key.fwmark !== undefined) return `-f ${key.fwmark}${key.family === 'ipv6' ? ' -6' : ''}`
  return `${options[key.protocol] ?? ''} ${join(key.address, key.port)}`
}

const dotted = (length: number): string =>
  [0, 8, 16, 24].map((start) => 256 - 2 ** (8 - Math.min(8, Math.max(0, length - start)))).join('.')

const maskWords = (service: Service): string => {
  const { prefixLength = 0 } = service.persistence as { prefixLength?: number }
  const isSixth = 'address' in service ? service.address.includes(':') : service.family === 'ipv6'
  if (prefixLength === (isSixth ? 128 : 32)) return ''
  return ` -M ${isSixth ? prefixLength : dotted(prefixLength)}`
}

const serviceRule = (service: Service): string => {
  const { scheduler, schedulerFlags, onePacket, persistence } = service
  return [
    `-A ${keyWords(service)} -s ${scheduler}`,
    persistence ? ` -p ${persistence.timeout}${maskWords(service)}` : '',
    persistence?.engine === undefined ? '' : ` --pe ${persistence.engine}`,
    onePacket ? ' -o' : '',
    schedulerFlags.length === 0 ? '' : ` -b ${schedulerFlags.join()}`,
  ].join('')
}

const methods: Readonly<Record<string, string>> = { nat: '-m', dr: '-g', tun: '-i' }

const tunnelWords = ({ tunnel }: Destination): string => {
  if (!tunnel) return ''
  const { type } = tunnel
  if (type === 'ipip') return ' --tun-type ipip'
  const { checksum = 'none' } = tunnel
  const port = type === 'gue' ? ` --tun-port ${tunnel.port}` : ''
  return ` --tun-type ${type}${port} --tun-${checksum === 'none' ? 'nocsum' : checksum}`
}

const destinationRule = (service: Service, destination: Destination): string => {
  const { address, port, forwarding, weight } = destination
  const where = `-a ${keyWords(service)} -r ${join(address, port)}`
  return `${where} ${methods[forwarding] ?? ''} -w ${weight}${tunnelWords(destination)}`
}

/** What the reference tool would save, as we read the table. */
export const rulesOf = async (ipvs: Ipvs): Promise<string[]> => {
  const services = await ipvs.snapshot()
  return services.flatMap((service) => [
    serviceRule(service),
    ...service.destinations.map((destination) => destinationRule(service, destination)),
  ])
}
