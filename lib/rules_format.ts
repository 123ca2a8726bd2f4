// A table as rules: what `ipvsadm-save -n` writes, without what it loses.

import { familyNumbers, parseAddress } from './address.js'
import { IpvsError } from './errors.js'
import { nameService, protocolNumbers } from './service.js'
import type { Steps } from './turns.js'
import type { Destination, Service, VirtualServerState } from '../types/observed.js'
import type { Family } from '../types/service.js'

const serviceOptions: Readonly<Record<string, string>> = {
  tcp: '-t',
  udp: '-u',
  sctp: '--sctp-service',
}

const forwardingOptions: Readonly<Record<string, string>> = { nat: '-m', dr: '-g', tun: '-i' }

interface Numeric {
  readonly family: Family
  readonly bytes: Uint8Array
}

/** What the kernel said is an address. */
const numeric = (address: string): Numeric =>
  parseAddress(address) ?? { family: 'ipv4', bytes: new Uint8Array(16) }

const isZero = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0)

/** The C library's text, which has a dotted tail for IPv4-compatible and IPv4-mapped addresses. */
const textOf = (address: string, { family, bytes }: Numeric): string => {
  if (family === 'ipv4') return address
  const tail = bytes.subarray(12).join('.')
  const isMapped = isZero(bytes.subarray(0, 10)) && bytes[10] === 0xff && bytes[11] === 0xff
  if (isMapped) return `[::ffff:${tail}]`
  const isCompatible = isZero(bytes.subarray(0, 12)) && !isZero(bytes.subarray(12, 14))
  return isCompatible ? `[::${tail}]` : `[${address}]`
}

const keyText = (service: Service): string => {
  if ('fwmark' in service) return `-f ${service.fwmark}${service.family === 'ipv6' ? ' -6' : ''}`
  const { protocol, address, port } = service
  return `${serviceOptions[protocol] ?? ''} ${textOf(address, numeric(address))}:${port}`
}

const dotted = (length: number): string =>
  [0, 8, 16, 24].map((start) => 256 - 2 ** (8 - Math.min(8, Math.max(0, length - start)))).join('.')

const familyOf = (service: Service): Family =>
  'fwmark' in service ? service.family : numeric(service.address).family

const maskText = (service: Service): string => {
  const { netmask, prefixLength } = service.persistence ?? {}
  if (netmask !== undefined) return ` -M ${netmask}`
  if (familyOf(service) === 'ipv6') return prefixLength === 128 ? '' : ` -M ${prefixLength ?? 0}`
  return prefixLength === 32 ? '' : ` -M ${dotted(prefixLength ?? 0)}`
}

const serviceRule = (service: Service, key: string): string => {
  const { scheduler, schedulerFlags, onePacket, persistence } = service
  return [
    `-A ${key} -s ${scheduler}`,
    persistence ? ` -p ${persistence.timeout}${maskText(service)}` : '',
    persistence?.engine === undefined ? '' : ` --pe ${persistence.engine}`,
    onePacket ? ' -o' : '',
    schedulerFlags.length === 0 ? '' : ` -b ${schedulerFlags.join()}`,
  ].join('')
}

const tunnelText = ({ tunnel }: Destination): string => {
  if (!tunnel) return ''
  if (tunnel.type === 'ipip') return ' --tun-type ipip'
  const checksum = tunnel.checksum ?? 'none'
  const port = tunnel.type === 'gue' ? ` --tun-port ${tunnel.port}` : ''
  return ` --tun-type ${tunnel.type}${port} --tun-${checksum === 'none' ? 'nocsum' : checksum}`
}

const destinationRule = (destination: Destination, address: Numeric, key: string): string => {
  const { port, forwarding, weight, upperThreshold, lowerThreshold } = destination
  return [
    `-a ${key} -r ${textOf(destination.address, address)}:${port}`,
    ` ${forwardingOptions[forwarding] ?? ''} -w ${weight}`,
    upperThreshold === 0 ? '' : ` -x ${upperThreshold}`,
    lowerThreshold === 0 ? '' : ` -y ${lowerThreshold}`,
    tunnelText(destination),
  ].join('')
}

/** What rules have no word for: another program made it. */
const refuse = (service: Service, why: string): never => {
  throw new IpvsError(`Cannot save service ${nameService(service)}: ${why}`, {
    code: 'ERR_IPVS_BAD_RULE',
    errno: 0,
    command: '',
    service,
  })
}

function* checkService(service: VirtualServerState): Steps<void> {
  if (!('fwmark' in service) && serviceOptions[service.protocol] === undefined) {
    refuse(service, `rules cannot express the protocol ${service.protocol}`)
  }
  for (const { address, forwarding } of service.destinations) {
    yield
    if (forwardingOptions[forwarding] !== undefined) continue
    refuse(service, `rules cannot express the forwarding '${forwarding}' of ${address}`)
  }
}

/** What is sorted by: a text of numbers, each a character, so that the engine compares them at once. */
interface Sortable {
  readonly order: string
}

const inOrder = <T extends Sortable>(all: readonly T[]): T[] =>
  all.toSorted((one, other) => (one.order < other.order ? -1 : Number(one.order > other.order)))

/** A line each. */
function* destinationRules(service: VirtualServerState, key: string): Steps<string> {
  const rules: (Sortable & { readonly text: string })[] = []
  for (const destination of service.destinations) {
    yield
    const address = numeric(destination.address)
    const { family, bytes } = address
    const order = String.fromCharCode(familyNumbers[family], ...bytes, destination.port)
    rules.push({ order, text: destinationRule(destination, address, key) })
  }
  return inOrder(rules)
    .map(({ text }) => `${text}\n`)
    .join('')
}

const orderOf = (service: Service): string => {
  if ('fwmark' in service) {
    const { fwmark, family } = service
    return String.fromCharCode(fwmark >>> 16, fwmark & 0xffff, familyNumbers[family])
  }
  const { family, bytes } = numeric(service.address)
  const protocol = protocolNumbers[service.protocol]
  return String.fromCharCode(0, 0, familyNumbers[family], protocol, ...bytes, service.port)
}

/**
 * The rules of a table, a line each: a service, then its destinations. Services are in the order of
 * fwmark (first those that have none), family, protocol number, address and port, destinations in
 * that of family, address and port.
 */
export function* formatRules(table: readonly VirtualServerState[]): Steps<string> {
  const services: (Sortable & { readonly service: VirtualServerState })[] = []
  for (const service of table) {
    yield* checkService(service)
    services.push({ order: orderOf(service), service })
  }
  const parts: string[] = []
  for (const { service } of inOrder(services)) {
    yield
    const key = keyText(service)
    parts.push(`${serviceRule(service, key)}\n`, yield* destinationRules(service, key))
  }
  return parts.join('')
}
