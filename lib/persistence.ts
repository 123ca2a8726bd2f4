// Persistence of a service: from what the user says to the kernel's fields, and back.

import { addressBits, familyOf, formatAddress, maskBytes, prefixOfMask } from './address.js'
import type { ServiceFields } from './records.js'
import {
  orDefault,
  takeInteger,
  takeName,
  takeNumericAddress,
  takeObject,
  wrongValue,
} from './validate.js'
import type { Properties } from './validate.js'
import type { Family, Persistence } from '../types/service.js'

const IPPROTO_UDP = 17

/** `IP_VS_SVC_F_PERSISTENT`. */
const PERSISTENT = 0x01

export const defaultTimeout = 360

// The kernel keeps the timeout as a 32-bit count of timer ticks, of which a second has up to 1,000.
const mostTimeout = Math.floor((2 ** 32 - 1) / 1000)

const persistenceNames = ['timeout', 'prefixLength', 'netmask', 'engine']

/** What persistence depends on of its service. */
interface PersistentService {
  readonly fields: ServiceFields
  readonly family: Family
  readonly port: number | undefined
}

/** On the wire an IPv6 mask is its length as a number in host order. */
const lengthBytes = (prefixLength: number): Uint8Array =>
  new Uint8Array(new Uint32Array([prefixLength]).buffer)

const netmaskOf = (family: Family, prefixLength: number): Uint8Array =>
  family === 'ipv4' ? maskBytes(prefixLength) : lengthBytes(prefixLength)

/** Each client by itself. Nobody writes into them. */
const wholeMasks: Readonly<Record<Family, Uint8Array>> = {
  ipv4: netmaskOf('ipv4', addressBits.ipv4),
  ipv6: netmaskOf('ipv6', addressBits.ipv6),
}

const takeNetmask = (properties: Properties, path: string, family: Family): Uint8Array => {
  const { netmask } = properties
  const most = addressBits[family]
  if (netmask === undefined) {
    const length = takeInteger(
      orDefault(properties['prefixLength'], most),
      `${path}.prefixLength`,
      1,
      most,
    )
    return netmaskOf(family, length)
  }
  if (family === 'ipv6') throw wrongValue(`${path}.netmask`, 'absent from an IPv6 service', netmask)
  if (properties['prefixLength'] !== undefined) {
    throw wrongValue(`${path}.netmask`, 'absent when there is a prefixLength', netmask)
  }
  const { bytes, family: maskFamily } = takeNumericAddress(netmask, `${path}.netmask`)
  const mask = bytes.subarray(0, 4)
  const length = maskFamily === 'ipv4' ? prefixOfMask(mask) : undefined
  if (length === undefined || length === 0) {
    throw wrongValue(`${path}.netmask`, 'a dotted IPv4 mask of leading ones', netmask)
  }
  return mask
}

const takeEngine = (value: unknown, path: string, fields: ServiceFields): string | undefined => {
  if (value === undefined) return undefined
  const engine = takeName(value, path, 16)
  const overUdp = fields.protocol === undefined || fields.protocol === IPPROTO_UDP
  if (engine === 'sip' && !overUdp) {
    throw wrongValue(path, 'absent: the engine sip needs a udp or fwmark service', value)
  }
  return engine
}

type PersistenceFields = Pick<ServiceFields, 'flags' | 'timeout' | 'netmask' | 'engine'>

/** Everything about persistence, every default filled in. */
export const takePersistence = (
  value: unknown,
  path: string,
  { family, fields }: PersistentService,
): PersistenceFields => {
  // The kernel wants a mask of every service, and of IPv6 ones a valid one.
  if (value === undefined) {
    return { flags: 0, timeout: 0, netmask: wholeMasks[family] }
  }
  const properties = takeObject(value, path, persistenceNames)
  const engine = takeEngine(properties['engine'], `${path}.engine`, fields)
  return {
    flags: PERSISTENT,
    timeout: takeInteger(
      orDefault(properties['timeout'], defaultTimeout),
      `${path}.timeout`,
      1,
      mostTimeout,
    ),
    netmask: takeNetmask(properties, path, family),
    ...(engine !== undefined && { engine }),
  }
}

/** Ends persistence when null; else names what is to change of it. */
export const takePersistencePatch = (
  value: unknown,
  path: string,
  identity: PersistentService,
): Partial<ServiceFields> => {
  const { family, fields, port } = identity
  if (value === null) {
    if (port === 0) throw wrongValue(path, 'kept, since a service on port 0 needs it', value)
    const netmask = wholeMasks[family]
    return { flags: 0, flagsMask: PERSISTENT, timeout: 0, netmask, engine: '' }
  }
  const properties = takeObject(value, path, persistenceNames)
  const { timeout, prefixLength, netmask, engine } = properties
  const namesMask = prefixLength !== undefined || netmask !== undefined
  // Taking an engine away does not make a service persistent.
  const switchesOn = namesMask || timeout !== undefined || engine !== null
  return {
    ...(switchesOn ? { flags: PERSISTENT, flagsMask: PERSISTENT } : { flags: 0, flagsMask: 0 }),
    ...(timeout !== undefined && {
      timeout: takeInteger(timeout, `${path}.timeout`, 1, mostTimeout),
    }),
    ...(namesMask && { netmask: takeNetmask(properties, path, family) }),
    ...(engine === null && { engine: '' }),
    ...(engine !== undefined &&
      engine !== null && { engine: takeEngine(engine, `${path}.engine`, fields) ?? '' }),
  }
}

const maskOf = (
  family: Family,
  netmask: Uint8Array,
): { prefixLength: number } | { netmask: string } => {
  if (family === 'ipv6') {
    return { prefixLength: new Uint32Array(netmask.slice().buffer)[0] ?? 0 }
  }
  const prefixLength = prefixOfMask(netmask)
  // A mask of length 0 is none that can be written back.
  return prefixLength === undefined || prefixLength === 0
    ? { netmask: formatAddress('ipv4', netmask) }
    : { prefixLength }
}

/** What the kernel's fields say of persistence; undefined for a service that is not. */
export const persistenceOf = (
  fields: ServiceFields,
): (Persistence & { readonly timeout: number }) | undefined => {
  const { flags = 0, timeout = 0, netmask, engine = '' } = fields
  if ((flags & PERSISTENT) === 0) return undefined
  return {
    timeout,
    ...(netmask && maskOf(familyOf(fields.family), netmask)),
    ...(engine !== '' && { engine }),
  }
}
