// A virtual service: from what the user says to the kernel's fields, and back.

import { familyNumbers, familyOf, formatAddress } from './address.js'
import {
  defaultTimeout,
  persistenceOf,
  takePersistence,
  takePersistencePatch,
} from './persistence.js'
import type { ServiceFields } from './records.js'
import {
  orDefault,
  takeAddress,
  takeBoolean,
  takeInteger,
  takeName,
  takeNumericAddress,
  takeObject,
  takeOneOf,
  wrongType,
  wrongValue,
} from './validate.js'
import type { Properties } from './validate.js'
import type { Service } from '../types/observed.js'
import type {
  Family,
  Persistence,
  Protocol,
  SchedulerFlag,
  ServiceKey,
  ServiceSettings,
} from '../types/service.js'

export const protocolNumbers = { tcp: 6, udp: 17, sctp: 132 } as const
const protocols = Object.keys(protocolNumbers) as Protocol[]

/** `IP_VS_SVC_F_*`. */
const ONEPACKET = 0x04

/** In the order in which flags are read back: a scheduler's own names before the general ones. */
const flagBits: readonly (readonly [flag: SchedulerFlag, bit: number, scheduler?: string])[] = [
  ['sh-fallback', 0x08, 'sh'],
  ['sh-port', 0x10, 'sh'],
  ['mh-fallback', 0x08, 'mh'],
  ['mh-port', 0x10, 'mh'],
  ['flag-1', 0x08],
  ['flag-2', 0x10],
  ['flag-3', 0x20],
]

export const defaultScheduler = 'wlc'
export const mostSchedulerName = 15
const keyNames = ['protocol', 'address', 'port', 'fwmark', 'family']
const settingNames = ['scheduler', 'schedulerFlags', 'onePacket', 'persistence']
// What a service read back has beside its configuration.
const observedNames = ['stats', 'destinations']
const allNames = [...keyNames, ...settingNames, ...observedNames]

/** The identity of a service, checked. */
export interface ServiceIdentity {
  readonly fields: ServiceFields
  readonly family: Family
  /** Port of an address service; undefined for a fwmark service. */
  readonly port: number | undefined
}

const takeFwmarkKey = (properties: Properties, path: string): ServiceIdentity => {
  for (const name of ['protocol', 'address', 'port']) {
    if (properties[name] === undefined) continue
    throw wrongValue(`${path}.${name}`, 'absent from a fwmark service', properties[name])
  }
  const fwmark = takeInteger(properties['fwmark'], `${path}.fwmark`, 1, 2 ** 32 - 1)
  const family = takeOneOf(orDefault(properties['family'], 'ipv4'), `${path}.family`, [
    'ipv4',
    'ipv6',
  ])
  return {
    fields: { family: familyNumbers[family], fwmark },
    family,
    port: undefined,
  }
}

const takeKnownProtocol = (value: unknown, path: string): Protocol =>
  takeOneOf(value, path, protocols)

// What another program added can be named, whatever its protocol is.
const takeAnyProtocol = (value: unknown, path: string): Protocol =>
  typeof value === 'string' && /^\d{1,5}$/.test(value)
    ? (value as Protocol)
    : takeKnownProtocol(value, path)

const numberOf = (protocol: Protocol): number =>
  Object.hasOwn(protocolNumbers, protocol) ? protocolNumbers[protocol] : Number(protocol)

const takeAddressKey = (properties: Properties, path: string, strict: boolean): ServiceIdentity => {
  const takeProtocol = strict ? takeKnownProtocol : takeAnyProtocol
  const protocol = takeProtocol(properties['protocol'], `${path}.protocol`)
  const take = strict ? takeAddress : takeNumericAddress
  const { family, bytes } = take(properties['address'], `${path}.address`)
  const port = takeInteger(properties['port'], `${path}.port`, 0, 65535)
  if (properties['family'] !== undefined && properties['family'] !== family) {
    throw wrongValue(`${path}.family`, `'${family}', as the address is`, properties['family'])
  }
  return {
    fields: {
      family: familyNumbers[family],
      protocol: numberOf(protocol),
      address: bytes,
      port,
    },
    family,
    port,
  }
}

const takeIdentity = (value: unknown, path: string, strict: boolean): ServiceIdentity => {
  const properties = takeObject(value, path, allNames)
  return properties['fwmark'] === undefined
    ? takeAddressKey(properties, path, strict)
    : takeFwmarkKey(properties, path)
}

/** The identity of a service; the rest of a whole service is let pass. */
export const takeServiceKey = (value: unknown, path: string): ServiceIdentity =>
  takeIdentity(value, path, false)

const takeFlags = (value: unknown, path: string, scheduler: string): number => {
  if (value === undefined) return 0
  if (!Array.isArray(value)) throw wrongType(path, 'an array', value)
  const names = flagBits.map(([flag]) => flag)
  // Array.from, unlike reduce, also looks at holes.
  return Array.from(value as readonly unknown[]).reduce<number>((bits, each, index) => {
    const flag = takeOneOf(each, `${path}[${index}]`, names)
    const [, bit, only] = flagBits.find(([name]) => name === flag) ?? [flag, 0]
    if (only !== undefined && only !== scheduler) {
      throw wrongValue(`${path}[${index}]`, `a flag of the scheduler '${scheduler}'`, flag)
    }
    return bits | bit
  }, 0)
}

const takeOnePacket = (value: unknown, path: string, fields: ServiceFields): number => {
  if (value === undefined || !takeBoolean(value, path)) return 0
  if (fields.protocol !== undefined && fields.protocol !== protocolNumbers.udp) {
    throw wrongValue(path, 'false, since only udp and fwmark services can do it', value)
  }
  return ONEPACKET
}

/** A whole service, every default filled in. */
export const takeService = (value: unknown, path: string): ServiceIdentity => {
  const identity = takeIdentity(value, path, true)
  const properties = value as Properties
  const scheduler = takeName(
    orDefault(properties['scheduler'], defaultScheduler),
    `${path}.scheduler`,
    mostSchedulerName,
  )
  const persistence = takePersistence(properties['persistence'], `${path}.persistence`, identity)
  if (identity.port === 0 && properties['persistence'] === undefined) {
    throw wrongValue(`${path}.port`, '1 to 65535 (0, every port, needs persistence)', 0)
  }
  const flags =
    (persistence.flags ?? 0) |
    takeFlags(properties['schedulerFlags'], `${path}.schedulerFlags`, scheduler) |
    takeOnePacket(properties['onePacket'], `${path}.onePacket`, identity.fields)
  // A literal: spreading several objects takes longer than all the rest.
  const { family, protocol, address, port, fwmark } = identity.fields
  const { timeout, netmask, engine } = persistence
  return {
    family: identity.family,
    port: identity.port,
    fields: { family, protocol, address, port, fwmark, scheduler, engine, flags, timeout, netmask },
  }
}

/** Changes of a service: the fields that are named, beside its identity. */
export interface ServicePatch {
  readonly fields: ServiceFields
  readonly patch: { readonly defaultTimeout: number; readonly keepsScheduler: boolean }
}

interface FlagChange {
  readonly flags: number
  readonly flagsMask: number
}

const noFlags: FlagChange = { flags: 0, flagsMask: 0 }

/** The scheduler that flags with a name of its own belong to. */
const ownerOf = (value: unknown): string | undefined => {
  if (!Array.isArray(value)) return undefined
  return flagBits.find(([flag, , only]) => only !== undefined && value.includes(flag))?.[2]
}

const schedulerBits = flagBits.reduce((bits, [, bit]) => bits | bit, 0)

/** Changes of a service; nothing but what is named is sent. */
export const takeServicePatch = (
  value: unknown,
  path: string,
  identity: ServiceIdentity,
): ServicePatch => {
  const { scheduler, schedulerFlags, onePacket, persistence } = takeObject(
    value,
    path,
    settingNames,
  )
  const owner = scheduler === undefined ? ownerOf(schedulerFlags) : undefined
  const named =
    scheduler === undefined ? owner : takeName(scheduler, `${path}.scheduler`, mostSchedulerName)
  const changed =
    persistence === undefined
      ? noFlags
      : takePersistencePatch(persistence, `${path}.persistence`, identity)
  const flags =
    (changed.flags ?? 0) |
    takeFlags(schedulerFlags, `${path}.schedulerFlags`, named ?? '') |
    takeOnePacket(onePacket, `${path}.onePacket`, identity.fields)
  const flagsMask =
    (changed.flagsMask ?? 0) |
    (schedulerFlags === undefined ? 0 : schedulerBits) |
    (onePacket === undefined ? 0 : ONEPACKET)
  return {
    fields: {
      ...identity.fields,
      ...changed,
      flags,
      flagsMask,
      ...(named !== undefined && { scheduler: named }),
    },
    patch: { defaultTimeout, keepsScheduler: owner !== undefined },
  }
}

/** The name of a protocol; its number where we have none. */
export const protocolOf = (number = 0): Protocol => {
  const known = protocols.find((protocol) => protocolNumbers[protocol] === number)
  // Another program can store any number; shown as it is, and refused when written.
  return known ?? (String(number) as Protocol)
}

const flagsOf = (bits: number, scheduler: string): SchedulerFlag[] => {
  let named = 0
  return flagBits
    .filter(([, bit, only]) => {
      const applies = (only ?? scheduler) === scheduler && (bits & ~named & bit) !== 0
      if (applies) named |= bit
      return applies
    })
    .map(([flag]) => flag)
}

/** The identity of the service that the kernel's fields describe. */
export const keyOfFields = (
  fields: ServiceFields,
): Exclude<ServiceKey, { fwmark: number }> | { fwmark: number; family: Family } => {
  const family = familyOf(fields.family)
  if (fields.fwmark !== undefined) return { fwmark: fields.fwmark, family }
  return {
    protocol: protocolOf(fields.protocol),
    address: formatAddress(family, fields.address ?? new Uint8Array(16)),
    port: fields.port ?? 0,
  }
}

type Described = ReturnType<typeof keyOfFields> &
  Required<Omit<ServiceSettings, 'persistence'>> & {
    readonly scheduler: string
    readonly schedulerFlags: readonly SchedulerFlag[]
    readonly onePacket: boolean
    readonly persistence?: Persistence & { readonly timeout: number }
  }

/** The service that the kernel's fields describe, every default filled in. */
export const describeService = (fields: ServiceFields): Described => {
  const scheduler = fields.scheduler ?? ''
  const flags = fields.flags ?? 0
  const persistence = persistenceOf(fields)
  return {
    ...keyOfFields(fields),
    scheduler,
    schedulerFlags: flagsOf(flags, scheduler),
    onePacket: (flags & ONEPACKET) !== 0,
    ...(persistence && { persistence }),
  }
}

/** The identity alone of a service that was read. */
export const keyOf = (service: Service<number | bigint>): ServiceKey =>
  'fwmark' in service
    ? { fwmark: service.fwmark, family: service.family }
    : { protocol: service.protocol, address: service.address, port: service.port }

/** For messages: `tcp 10.0.0.1:80`, `tcp [2001:db8::1]:80`, `fwmark 7 (ipv6)`. */
export const nameService = (key: ServiceKey): string => {
  if (key.fwmark !== undefined) return `fwmark ${key.fwmark} (${key.family ?? 'ipv4'})`
  return `${key.protocol} ${joinAddress(key.address, key.port)}`
}

export const joinAddress = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
