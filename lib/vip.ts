// Virtual addresses: what is one, the labels they get, and writing only what differs.

import { addressBits, formatAddress } from './address.js'
import type { Address } from './address.js'
import { encodeAddresses, failuresOf, listAddresses } from './addresses.js'
import type { AddressToWrite } from './addresses.js'
import { announce, checkAnnouncements } from './announce.js'
import { errorFor, errorOfAll, isUnknown } from './errors.js'
import type { IpvsError, KnownFailure } from './errors.js'
import { EADDRNOTAVAIL } from './errno.js'
import { Stage } from './meanings.js'
import { failureOfRejection } from './rejection.js'
import {
  orDefault,
  takeAddress,
  takeBoolean,
  takeDevice,
  takeInteger,
  takeObject,
  wrongType,
  wrongValue,
} from './validate.js'
import { nameVip, noteAdded, noteDeleted } from './vip-wants.js'
import type { Failure, HostConnection } from '../types/addon.js'
import type { HostAddress } from '../types/host.js'
import type { Family } from '../types/service.js'

const ADD = 1
const DELETE = 2
const ADD_DEPRECATED = 3
const mostLabel = 15

/** A VIP, checked, every default but the label filled in. */
export interface Vip extends AddressToWrite {
  readonly address: string
  readonly announced: boolean
  /** IPv6: not to be chosen as the source of what this machine sends by itself. */
  readonly deprecated: boolean
}

const takeLabel = (value: unknown, path: string, device: string, family: Family): string => {
  const allowed = `'${device}' or '${device}:' and a text, ${mostLabel} bytes at most`
  if (typeof value !== 'string') throw wrongType(path, allowed, value)
  if (family === 'ipv6') throw wrongValue(path, 'absent from an IPv6 address', value)
  const text = value.startsWith(`${device}:`) ? value.slice(device.length + 1) : undefined
  const belongs = value === device || (text !== undefined && /^[\x21-\x7e]+$/.test(text))
  if (!belongs || Buffer.byteLength(value) > mostLabel) {
    throw wrongValue(path, allowed, value)
  }
  return value
}

const takeAnnounce = (value: unknown, path: string, device: string): boolean => {
  const announced = takeBoolean(orDefault(value, false), path)
  if (announced && device === 'lo') {
    throw wrongValue(path, 'absent or false on lo, which has no neighbours', value)
  }
  return announced
}

const known = [
  'address',
  'device',
  'prefixLength',
  'label',
  // What an address read back has beside these.
  'family',
  'scope',
  'tentative',
]

const take = (value: unknown, path: string, others: readonly string[]): Vip => {
  const properties = takeObject(value, path, [...known, ...others])
  const { family, bytes } = takeAddress(properties['address'], `${path}.address`)
  const device = takeDevice(orDefault(properties['device'], 'lo'), `${path}.device`)
  const most = addressBits[family]
  const { label } = properties
  return {
    address: formatAddress(family, bytes),
    bytes,
    family,
    device,
    prefixLength: takeInteger(
      orDefault(properties['prefixLength'], most),
      `${path}.prefixLength`,
      1,
      most,
    ),
    label: label === undefined ? undefined : takeLabel(label, `${path}.label`, device, family),
    announced: takeAnnounce(properties['announce'], `${path}.announce`, device),
    deprecated: false,
  }
}

/** A VIP to be added. */
export const takeVip = (value: unknown, path: string): Vip => take(value, path, ['announce'])

/** A VIP to be deleted. */
export const takeDeletedVip = (value: unknown, path: string): Vip => take(value, path, [])

/** Any number of them. */
export const takeVips = (
  values: readonly unknown[],
  path: string,
  takeOne: (value: unknown, path: string) => Vip,
): Vip[] =>
  // Array.from, unlike map, also looks at holes.
  Array.from(values, (value, index) => takeOne(value, `${path}[${index}]`))

/** A VIP as it is added when only its address is known. */
export const vipOn = (device: string, { family, bytes }: Address): Vip => ({
  address: formatAddress(family, bytes),
  bytes,
  family,
  device,
  prefixLength: addressBits[family],
  label: undefined,
  announced: false,
  deprecated: false,
})

/** The kernel tells addresses apart by this. */
const keyOf = nameVip

/** Gives out the free labels of devices, the lowest number first. */
const labelGiver = (
  taken: readonly { readonly label?: string | undefined }[],
): ((device: string) => string) => {
  const labels = new Set(taken.map(({ label }) => label))
  const next = new Map<string, number>()
  return (device) => {
    let number = next.get(device) ?? 0
    while (labels.has(`${device}:${number}`)) ++number
    next.set(device, number + 1)
    const label = `${device}:${number}`
    // A long device name leaves no room for a number; its own name is a label too.
    return Buffer.byteLength(label) > mostLabel ? device : label
  }
}

/** Gives IPv4 addresses the first free labels, unless they have one. */
export const withLabels = (vips: readonly Vip[], present: readonly HostAddress[]): Vip[] => {
  const giveLabel = labelGiver([...present, ...vips])
  return vips.map((vip) =>
    vip.label === undefined && vip.family === 'ipv4'
      ? { ...vip, label: giveLabel(vip.device) }
      : vip,
  )
}

const addError = (failure: KnownFailure, vip: Vip): IpvsError =>
  errorFor(failure, {
    command: 'RTM_NEWADDR',
    what: () => `add address ${nameVip(vip)}`,
    changes: true,
  })

const deleteError = (failure: KnownFailure, vip: Vip): IpvsError =>
  errorFor(failure, {
    command: 'RTM_DELADDR',
    what: () => `delete address ${nameVip(vip)}`,
    changes: true,
  })

const change = async (
  native: HostConnection,
  vips: readonly Vip[],
  verbOf: (vip: Vip) => number,
): Promise<(KnownFailure | undefined)[]> => {
  if (vips.length === 0) return []
  const reply = native.changeAddresses(encodeAddresses(vips, verbOf))
  return reply.then(failuresOf, (reason: unknown) => vips.map(() => failureOfRejection(reason)))
}

/** Deletes addresses; answers what became of each. */
export const deleteEach = async (
  native: HostConnection,
  vips: readonly Vip[],
): Promise<(IpvsError | undefined)[]> => {
  const failures = await change(native, vips, () => DELETE)
  return vips.map((vip, index) => {
    const failure = failures[index]
    return failure && deleteError(failure, vip)
  })
}

const isGone = ({ stage, errno }: Failure): boolean =>
  stage === Stage.kernel && errno === EADDRNOTAVAIL

/** Deletes what was added, the last one first, and answers the error for which that had to be. */
const takeBack = async (
  native: HostConnection,
  vips: readonly Vip[],
  error: Error,
): Promise<Error> => {
  const backwards = vips.toReversed()
  const failures = await change(native, backwards, () => DELETE)
  const kept = backwards.flatMap((vip, index) => {
    const failure = failures[index]
    return failure && !isGone(failure) ? [deleteError(failure, vip)] : []
  })
  return kept.length === 0
    ? error
    : new AggregateError(
        [error, ...kept],
        'The addresses could not be added, and not all of them could be deleted again',
      )
}

/** What became of adding addresses. */
interface Attempt {
  /** Those that were added, and those of which nobody knows it. */
  readonly added: readonly Vip[]
  /** Undefined when all went well. */
  readonly error: Error | undefined
}

/** Adds labelled addresses and announces those that are to be; takes nothing back. */
export const tryToAdd = async (
  native: HostConnection,
  vips: readonly Vip[],
  announced: readonly Vip[] = vips.filter((vip) => vip.announced),
): Promise<Attempt> => {
  const failures = await change(native, vips, ({ family, deprecated }) =>
    family === 'ipv6' && deprecated ? ADD_DEPRECATED : ADD,
  )
  const index = failures.findIndex((failure) => failure !== undefined)
  const [failure, vip] = [failures[index], vips[index]]
  if (failure && vip) {
    const added = vips.filter((_, each) => (failures[each]?.stage ?? Stage.reply) === Stage.reply)
    return { added, error: addError(failure, vip) }
  }
  const error = await announce(native, announced).then(
    () => undefined,
    (reason: unknown) => reason as Error,
  )
  return { added: vips, error }
}

const addressOf = ({ address, family, prefixLength, device, label }: Vip): HostAddress => ({
  address,
  family,
  prefixLength,
  device,
  ...(label !== undefined && { label }),
  scope: 'global',
  tentative: false,
})

/** Adds one, which must not be there yet. */
export const addVip = async (native: HostConnection, vip: Vip): Promise<HostAddress> => {
  await checkAnnouncements(native, vip.announced ? [vip] : [])
  const needsLabel = vip.label === undefined && vip.family === 'ipv4'
  const present = needsLabel ? await listAddresses(native, vip.device) : []
  const [labelled = vip] = withLabels([vip], present)
  const { added, error } = await tryToAdd(native, [labelled])
  noteAdded(native, added)
  // The lost reply may have been that it is there already, as somebody else's.
  if (isUnknown(error)) throw error
  if (error) throw await takeBack(native, added, error)
  return addressOf(labelled)
}

/** Adds those that are missing. */
export const addVips = async (
  native: HostConnection,
  vips: readonly Vip[],
): Promise<HostAddress[]> => {
  const announced = vips.filter((vip) => vip.announced)
  await checkAnnouncements(native, announced)
  const present = await listAddresses(native, undefined)
  const there = new Map(present.map((address) => [keyOf(address), address]))
  const isThere = (vip: Vip): boolean => {
    const address = there.get(keyOf(vip))
    return address !== undefined && (vip.label === undefined || vip.label === address.label)
  }
  const missing: Vip[] = []
  for (const vip of vips) {
    if (isThere(vip)) continue
    missing.push(vip)
    // The next of the same, should it be named twice, finds it there.
    there.set(keyOf(vip), addressOf(vip))
  }
  const labelled = withLabels(missing, present)
  const { added, error } = await tryToAdd(native, labelled, announced)
  noteAdded(native, added)
  // None was there when we looked, so that one of unknown outcome is taken for ours. What somebody else
  // has added since has another label, by which the kernel lets it be; IPv6 has no labels.
  if (error) throw await takeBack(native, added, error)
  for (const vip of labelled) there.set(keyOf(vip), addressOf(vip))
  return vips.map((vip) => there.get(keyOf(vip)) ?? addressOf(vip))
}

/** Deletes one, which must be there. */
export const deleteVip = async (native: HostConnection, vip: Vip): Promise<void> => {
  const [error] = await deleteEach(native, [vip])
  if (error) throw error
  noteDeleted(native, vip)
}

/** Deletes those that are there. Goes on after a failure. */
export const deleteVips = async (native: HostConnection, vips: readonly Vip[]): Promise<void> => {
  const present = await listAddresses(native, undefined)
  const labels = new Map(present.map((address) => [keyOf(address), address.label]))
  const isThere = (vip: Vip): boolean =>
    labels.has(keyOf(vip)) && (vip.label === undefined || vip.label === labels.get(keyOf(vip)))
  const there = [...new Map(vips.filter(isThere).map((vip) => [keyOf(vip), vip])).values()]
  const errors = await deleteEach(native, there)
  for (const [index, vip] of there.entries()) if (!errors[index]) noteDeleted(native, vip)
  const error = errorOfAll(
    errors.flatMap((each) => (each && each.code !== 'ERR_HOST_NO_ADDRESS' ? [each] : [])),
  )
  if (error) throw error
}
