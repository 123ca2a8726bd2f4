// Synchronisation daemons and time-outs: from what the user says to the kernel's fields, and back.

import { formatAddress } from './address.js'
import type { ConfigFields, DaemonFields } from './records.js'
import {
  orDefault,
  takeDevice,
  takeInteger,
  takeNumericAddress,
  takeObject,
  takeOneOf,
  wrongValue,
} from './validate.js'
import type { SyncDaemon, SyncRole, Timeouts } from '../types/sync.js'

/** `IP_VS_STATE_*`. */
const states = { master: 1, backup: 2 } as const
const roles: readonly SyncRole[] = ['master', 'backup']

// Of an IPv4 or IPv6 header, and of UDP's.
const headerLength = { ipv4: 28, ipv6: 48 } as const
// The kernel would silently take this instead of less.
const leastLength = { master: 1, backup: 1024 } as const

// The kernel counts in timer ticks, of which a second has at least 100; with more, it judges itself.
const mostTimeout = Math.floor((2 ** 31 - 1) / 100)

export const takeRole = (value: unknown, path: string): SyncRole => takeOneOf(value, path, roles)

type Group = Pick<DaemonFields, 'group' | 'group6'>

const takeGroup = (value: unknown, path: string): { family: 'ipv4' | 'ipv6'; fields: Group } => {
  if (value === undefined) return { family: 'ipv4', fields: {} }
  const { family, bytes } = takeNumericAddress(value, path)
  const [first = 0] = bytes
  const isMulticast = family === 'ipv4' ? first >= 224 && first < 240 : first === 0xff
  if (!isMulticast) {
    throw wrongValue(path, 'a multicast address, in 224.0.0.0/4 or ff00::/8', value)
  }
  const fields = family === 'ipv4' ? { group: bytes.subarray(0, 4) } : { group6: bytes }
  return { family, fields }
}

const takeOptional = (
  value: unknown,
  path: string,
  least: number,
  most: number,
): number | undefined => (value === undefined ? undefined : takeInteger(value, path, least, most))

export const takeSyncDaemon = (value: unknown, path: string): DaemonFields => {
  const properties = takeObject(value, path, [
    'role',
    'interface',
    'syncId',
    'maxLength',
    'group',
    'port',
    'ttl',
  ])
  const role = takeRole(properties['role'], `${path}.role`)
  const { family, fields } = takeGroup(properties['group'], `${path}.group`)
  const mostLength = 65535 - headerLength[family]
  const maxLength = takeOptional(
    properties['maxLength'],
    `${path}.maxLength`,
    leastLength[role],
    mostLength,
  )
  const port = takeOptional(properties['port'], `${path}.port`, 1, 65535)
  const ttl = takeOptional(properties['ttl'], `${path}.ttl`, 1, 255)
  return {
    state: states[role],
    interface: takeDevice(properties['interface'], `${path}.interface`),
    syncId: takeInteger(orDefault(properties['syncId'], 0), `${path}.syncId`, 0, 255),
    ...(maxLength !== undefined && { maxLength }),
    ...(port !== undefined && { port }),
    ...(ttl !== undefined && { ttl }),
    ...fields,
  }
}

export const stopOf = (role: SyncRole): DaemonFields => ({ state: states[role] })

export const describeDaemon = (fields: DaemonFields): SyncDaemon => ({
  role: fields.state === states.master ? 'master' : 'backup',
  interface: fields.interface ?? '',
  syncId: fields.syncId ?? 0,
  maxLength: fields.maxLength ?? 0,
  group: fields.group6
    ? formatAddress('ipv6', fields.group6)
    : formatAddress('ipv4', fields.group ?? new Uint8Array(4)),
  port: fields.port ?? 0,
  ttl: fields.ttl ?? 0,
})

const timeoutNames = ['tcp', 'tcpFin', 'udp'] as const

export const takeTimeouts = (value: unknown, path: string): ConfigFields => {
  const properties = takeObject(value, path, timeoutNames)
  const named = timeoutNames.filter((name) => properties[name] !== undefined)
  if (named.length === 0)
    throw wrongValue(path, `at least one of ${timeoutNames.join(', ')}`, value)
  // The kernel takes 0 for "leave it", which somebody who writes 0 does not mean.
  return Object.fromEntries(
    named.map((name) => [name, takeInteger(properties[name], `${path}.${name}`, 1, mostTimeout)]),
  )
}

export const describeTimeouts = ({ tcp = 0, tcpFin = 0, udp = 0 }: ConfigFields): Timeouts => ({
  tcp,
  tcpFin,
  udp,
})
