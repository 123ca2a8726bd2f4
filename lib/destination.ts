// A destination: from what the user says to the kernel's fields, and back.

import { familyNumbers, familyOf, formatAddress } from './address.js'
import type { DestinationFields, ObservedFields } from './records.js'
import type { ServiceIdentity } from './service.js'
import {
  orDefault,
  takeAddress,
  takeNumericAddress,
  takeInteger,
  takeObject,
  takeOneOf,
  wrongValue,
} from './validate.js'
import type { Properties } from './validate.js'
import type { Forwarding, Tunnel } from '../types/destination.js'
import type { Family } from '../types/service.js'

/** `IP_VS_CONN_F_*`; `local` and `bypass` are the kernel's own and only read. */
export const forwardingNumbers = { nat: 0, local: 1, tun: 2, dr: 3, bypass: 4 } as const
const settable: readonly Forwarding[] = ['nat', 'dr', 'tun']

/** `IP_VS_CONN_F_TUNNEL_TYPE_*` and `IP_VS_TUNNEL_ENCAP_FLAG_*`. */
const tunnelNumbers = { ipip: 0, gue: 1, gre: 2 } as const
const checksumNumbers = { none: 0, csum: 1, remcsum: 2 } as const

const mostNumber = 2 ** 31 - 1

const keyNames = ['address', 'port']
const settingNames = ['forwarding', 'weight', 'upperThreshold', 'lowerThreshold', 'tunnel']
const observedNames = [
  'family',
  'activeConnections',
  'inactiveConnections',
  'persistentConnections',
  'stats',
]
/** What a destination read back has: where a key is wanted, all of it is let pass. */
export const destinationNames = [...keyNames, ...settingNames, ...observedNames]

/** The identity of a destination, checked. */
export interface DestinationIdentity {
  readonly fields: DestinationFields
  readonly family: Family
}

/** The identity of a destination; the rest of a whole destination is let pass. */
export const takeDestinationKey = (
  value: unknown,
  path: string,
  service: ServiceIdentity,
  // What another program added can be named, whatever its address.
  take: typeof takeAddress = takeNumericAddress,
): DestinationIdentity => {
  const properties = takeObject(value, path, destinationNames)
  const { family, bytes } = take(properties['address'], `${path}.address`)
  // As it was read; of what was not, the address says it.
  const named = orDefault(properties['family'], family)
  if (named !== family) throw wrongValue(`${path}.family`, `'${family}', like its address`, named)
  const port = takeInteger(
    orDefault(properties['port'], service.port ?? 0),
    `${path}.port`,
    0,
    65535,
  )
  return {
    fields: { family: familyNumbers[family], address: bytes, port },
    family,
  }
}

const takeChecksum = (
  properties: Properties,
  path: string,
  allowed: readonly (keyof typeof checksumNumbers)[],
): number =>
  checksumNumbers[takeOneOf(orDefault(properties['checksum'], 'none'), `${path}.checksum`, allowed)]

type TunnelFields = Pick<DestinationFields, 'tunnelType' | 'tunnelPort' | 'tunnelFlags'>

const noTunnel: TunnelFields = { tunnelType: 0, tunnelPort: 0, tunnelFlags: 0 }
/** Where no tunnel is possible, none is sent. */
const unsaidTunnel: Partial<TunnelFields> = {}

/** A tunnel as the kernel counts it. */
export const takeTunnel = (value: unknown, path: string): TunnelFields => {
  const properties = takeObject(value, path, ['type', 'port', 'checksum'])
  const type = takeOneOf(properties['type'], `${path}.type`, ['ipip', 'gue', 'gre'])
  const forbid = (name: string): void => {
    if (properties[name] === undefined) return
    throw wrongValue(`${path}.${name}`, `absent from a tunnel of type ${type}`, properties[name])
  }
  const fields = { ...noTunnel, tunnelType: tunnelNumbers[type] }
  if (type === 'gue') {
    return {
      ...fields,
      tunnelPort: takeInteger(properties['port'], `${path}.port`, 1, 65535),
      tunnelFlags: takeChecksum(properties, path, ['none', 'csum', 'remcsum']),
    }
  }
  forbid('port')
  if (type === 'gre') {
    return { ...fields, tunnelFlags: takeChecksum(properties, path, ['none', 'csum']) }
  }
  forbid('checksum')
  return fields
}

const checkFamily = (
  { family, fields }: DestinationIdentity,
  path: string,
  service: ServiceIdentity,
  forwarding: Forwarding,
): void => {
  if (family === service.family || forwarding === 'tun') return
  throw wrongValue(
    `${path}.address`,
    `an ${service.family} address like the service's (another family needs tun forwarding)`,
    formatAddress(family, fields.address),
  )
}

const checkPort = (
  { fields }: DestinationIdentity,
  path: string,
  service: ServiceIdentity,
  forwarding: Forwarding,
): void => {
  if (service.port === undefined) return
  if (forwarding !== 'nat' && fields.port !== service.port) {
    throw wrongValue(
      `${path}.port`,
      `the service's own, ${service.port} (${forwarding} forwarding does not rewrite packets)`,
      fields.port,
    )
  }
  if (forwarding === 'nat' && fields.port === 0 && service.port !== 0) {
    throw wrongValue(`${path}.port`, '1 to 65535 for a service with a port', fields.port)
  }
}

const takeThresholds = (
  properties: Properties,
  path: string,
): Pick<DestinationFields, 'upperThreshold' | 'lowerThreshold'> => {
  const take = (name: string): number =>
    takeInteger(orDefault(properties[name], 0), `${path}.${name}`, 0, mostNumber)
  const upperThreshold = take('upperThreshold')
  const lowerThreshold = take('lowerThreshold')
  if (lowerThreshold > upperThreshold) {
    throw wrongValue(
      `${path}.lowerThreshold`,
      `at most the upperThreshold, ${upperThreshold}`,
      lowerThreshold,
    )
  }
  return { upperThreshold, lowerThreshold }
}

/** A whole destination, every default filled in. */
export const takeDestination = (
  value: unknown,
  path: string,
  service: ServiceIdentity,
): DestinationIdentity => {
  const identity = takeDestinationKey(value, path, service, takeAddress)
  const properties = value as Properties
  const forwarding = takeOneOf(
    orDefault(properties['forwarding'], 'dr'),
    `${path}.forwarding`,
    settable,
  )
  const { tunnel } = properties
  if (tunnel !== undefined && forwarding !== 'tun') {
    throw wrongValue(`${path}.tunnel`, `absent with ${forwarding} forwarding`, tunnel)
  }
  checkFamily(identity, path, service, forwarding)
  checkPort(identity, path, service, forwarding)
  // A literal: spreading several objects takes longer than all the rest.
  const { family, address, port } = identity.fields
  const weight = takeInteger(orDefault(properties['weight'], 1), `${path}.weight`, 0, mostNumber)
  const { upperThreshold, lowerThreshold } = takeThresholds(properties, path)
  const { tunnelType, tunnelPort, tunnelFlags } =
    forwarding === 'tun'
      ? takeTunnel(orDefault(tunnel, { type: 'ipip' }), `${path}.tunnel`)
      : unsaidTunnel
  return {
    family: identity.family,
    fields: {
      family,
      address,
      port,
      forwarding: forwardingNumbers[forwarding],
      weight,
      upperThreshold,
      lowerThreshold,
      tunnelType,
      tunnelPort,
      tunnelFlags,
    },
  }
}

const takeForwardingPatch = (
  { forwarding, tunnel }: Properties,
  path: string,
  identity: DestinationIdentity,
  service: ServiceIdentity,
): Partial<DestinationFields> => {
  const method =
    forwarding === undefined ? undefined : takeOneOf(forwarding, `${path}.forwarding`, settable)
  if (tunnel !== undefined && method !== undefined && method !== 'tun') {
    throw wrongValue(`${path}.tunnel`, `absent with ${method} forwarding`, tunnel)
  }
  const effective = tunnel === undefined ? method : 'tun'
  if (effective === undefined) return {}
  checkFamily(identity, path, service, effective)
  checkPort(identity, path, service, effective)
  return {
    forwarding: forwardingNumbers[effective],
    // Another forwarding has no tunnel; the same one keeps its own.
    ...(effective !== 'tun' && noTunnel),
    ...(tunnel !== undefined && takeTunnel(tunnel, `${path}.tunnel`)),
  }
}

/** Changes of a destination; nothing but what is named is sent. */
export const takeDestinationPatch = (
  value: unknown,
  path: string,
  identity: DestinationIdentity,
  service: ServiceIdentity,
): DestinationFields => {
  const properties = takeObject(value, path, settingNames)
  const numbers = ['weight', 'upperThreshold', 'lowerThreshold'] as const
  const named = numbers.filter((name) => properties[name] !== undefined)
  // Of one alone only the kernel knows whether it fits the other.
  if (named.includes('upperThreshold') && named.includes('lowerThreshold')) {
    takeThresholds(properties, path)
  }
  const take = (name: (typeof numbers)[number]): number | undefined =>
    properties[name] === undefined
      ? undefined
      : takeInteger(properties[name], `${path}.${name}`, 0, mostNumber)
  const { family, address, port } = identity.fields
  const { forwarding, tunnelType, tunnelPort, tunnelFlags } = takeForwardingPatch(
    properties,
    path,
    identity,
    service,
  )
  return {
    family,
    address,
    port,
    forwarding,
    weight: take('weight'),
    upperThreshold: take('upperThreshold'),
    lowerThreshold: take('lowerThreshold'),
    tunnelType,
    tunnelPort,
    tunnelFlags,
  }
}

/** The identity of the destination that the kernel's fields describe. */
export const destinationKeyOf = ({
  family = familyNumbers.ipv4,
  address,
  port,
}: DestinationFields): { readonly address: string; readonly port: number } => ({
  address: formatAddress(familyOf(family), address),
  port,
})

type ForwardingName = keyof typeof forwardingNumbers

/** In the order of their numbers. */
const forwardingNames = Object.keys(forwardingNumbers) as ForwardingName[]

/** 5 to 7 mean nothing to the kernel, which treats them as masquerading. */
export const forwardingOf = (number: number): ForwardingName => forwardingNames[number] ?? 'nat'

/** A tunnel as the kernel counts it; what it does not say is 0. */
export const tunnelOf = (number = 0, port = 0, flags = 0): Tunnel => {
  const checksum = (flags & 2) !== 0 ? 'remcsum' : (flags & 1) !== 0 ? 'csum' : 'none'
  switch (number) {
    case tunnelNumbers.gue:
      return { type: 'gue', port, checksum }
    case tunnelNumbers.gre:
      return { type: 'gre', checksum: checksum === 'none' ? 'none' : 'csum' }
    default:
      return { type: 'ipip' }
  }
}

interface Described extends ObservedFields {
  readonly address: string
  readonly port: number
  readonly family: Family
  readonly forwarding: keyof typeof forwardingNumbers
  readonly weight: number
  readonly upperThreshold: number
  readonly lowerThreshold: number
  readonly tunnel?: Tunnel
}

/** The destination that the kernel's fields describe. */
export const describeDestination = (
  fields: DestinationFields & Partial<ObservedFields>,
  serviceFamily: number,
): Described => {
  // Kernels before 3.18 do not say it.
  const family = familyOf(fields.family ?? serviceFamily)
  const forwarding = forwardingOf(fields.forwarding ?? 0)
  return {
    address: formatAddress(family, fields.address),
    port: fields.port,
    family,
    forwarding,
    weight: fields.weight ?? 0,
    upperThreshold: fields.upperThreshold ?? 0,
    lowerThreshold: fields.lowerThreshold ?? 0,
    ...(forwarding === 'tun' && {
      tunnel: tunnelOf(fields.tunnelType, fields.tunnelPort, fields.tunnelFlags),
    }),
    activeConnections: fields.activeConnections ?? 0,
    inactiveConnections: fields.inactiveConnections ?? 0,
    persistentConnections: fields.persistentConnections ?? 0,
  }
}
