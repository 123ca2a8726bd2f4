// Addresses of network devices, over rtnetlink.

import { addressBits, familyNumbers, familyOf, formatAddress } from './address.js'
import type { Address } from './address.js'
import { errorFor } from './errors.js'
import type { Request } from './errors.js'
import { recordFormat } from './records.js'
import { Memory } from './memory.js'
import {
  orDefault,
  takeAddress,
  takeDevice,
  takeInteger,
  takeObject,
  wrongType,
  wrongValue,
} from './validate.js'
import type { HostConnection } from '../types/addon.js'
import type { HostAddress } from '../types/host.js'
import type { Family } from '../types/service.js'

/** `IFA_F_NODAD` and `IFA_F_TENTATIVE` of <linux/if_addr.h>. */
const NODAD = 0x02
const TENTATIVE = 0x40

/** `RT_SCOPE_*` of <linux/rtnetlink.h>. */
const scopes: Readonly<Record<number, HostAddress['scope']>> = {
  0: 'global',
  200: 'site',
  253: 'link',
  254: 'host',
  255: 'nowhere',
}

const ADD = 1
const DELETE = 2
const changeHeader = 8
const mostLabel = 15
const deviceSize = 16

/** A VIP, checked, every default but the label filled in. */
export interface Vip {
  readonly address: string
  readonly bytes: Uint8Array
  readonly family: Family
  readonly device: string
  readonly prefixLength: number
  readonly label: string | undefined
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

export const takeVip = (value: unknown, path: string): Vip => {
  const properties = takeObject(value, path, [
    'address',
    'device',
    'prefixLength',
    'label',
    // What an address read back has beside these.
    'family',
    'scope',
    'tentative',
  ])
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
  }
}

/** A VIP as it is added when only its address is known. */
export const vipOn = (device: string, { family, bytes }: Address): Vip => ({
  address: formatAddress(family, bytes),
  bytes,
  family,
  device,
  prefixLength: addressBits[family],
  label: undefined,
})

const addressAt = (memory: Memory, at: number): HostAddress => {
  const { address: table, addressHeader } = recordFormat()
  const { address, local, label, flags = 0 } = table.read(memory, at)
  const family = familyOf(memory.word(at + addressHeader.family))
  const scope = memory.word(at + addressHeader.scope)
  return {
    address: formatAddress(family, local ?? address ?? new Uint8Array(16)),
    family,
    prefixLength: memory.word(at + addressHeader.prefixLength),
    device: memory.text(at + addressHeader.device, deviceSize),
    ...(label !== undefined && { label }),
    scope: scopes[scope] ?? scope,
    tentative: (flags & TENTATIVE) !== 0,
  }
}

/** All addresses, or those of one device. */
export const listAddresses = async (
  native: HostConnection,
  device: string | undefined,
): Promise<HostAddress[]> => {
  const { failure, records } = await native.readAddresses(device ?? '')
  if (failure) {
    throw errorFor(failure, {
      command: 'RTM_GETADDR',
      what: () => `list the addresses of ${device ?? 'all devices'}`,
      changes: false,
    })
  }
  const { size } = recordFormat().address
  const memory = new Memory(records)
  return Array.from({ length: records.byteLength / size }, (_, index) =>
    addressAt(memory, index * size),
  )
}

const encode = (kind: number, vip: Vip): Uint8Array => {
  const { address: table, addressHeader } = recordFormat()
  const memory = new Memory(new ArrayBuffer(changeHeader + table.size))
  const at = changeHeader
  memory.setWord(0, kind)
  table.write(memory, at, {
    // Both, always: without them the kernel deletes whichever address comes first.
    local: vip.bytes,
    address: vip.bytes,
    ...(vip.label !== undefined && { label: vip.label }),
    ...(vip.family === 'ipv6' && kind === ADD && { flags: NODAD }),
  })
  memory.setWord(at + addressHeader.family, familyNumbers[vip.family])
  memory.setWord(at + addressHeader.prefixLength, vip.prefixLength)
  memory.setText(at + addressHeader.device, vip.device)
  return memory.bytes
}

const change = async (
  native: HostConnection,
  kind: number,
  vip: Vip,
  request: Request,
): Promise<void> => {
  const { outcomes, texts } = await native.changeAddresses(encode(kind, vip))
  const [stage = 0, errno = 0] = new Int32Array(outcomes)
  if (stage !== 0) throw errorFor({ stage, errno, text: texts[0] ?? '' }, request)
}

/** The first label of the device that no address has. */
const freeLabel = (device: string, taken: readonly HostAddress[]): string => {
  const labels = new Set(taken.map(({ label }) => label))
  let number = 0
  while (labels.has(`${device}:${number}`)) ++number
  const label = `${device}:${number}`
  // A long device name leaves no room for a number; its own name is a label too.
  return Buffer.byteLength(label) > mostLabel ? device : label
}

const nameVip = ({ address, prefixLength, device }: Vip): string =>
  `${address}/${prefixLength} on ${device}`

/** Gives an IPv4 address the first free label, unless it has one. */
export const withLabel = (vip: Vip, present: readonly HostAddress[]): Vip =>
  vip.label === undefined && vip.family === 'ipv4'
    ? { ...vip, label: freeLabel(vip.device, present) }
    : vip

export const addVip = async (native: HostConnection, vip: Vip): Promise<HostAddress> => {
  const present = vip.label === undefined ? await listAddresses(native, vip.device) : []
  const { label, ...labelled } = withLabel(vip, present)
  await change(
    native,
    ADD,
    { ...labelled, label },
    {
      command: 'RTM_NEWADDR',
      what: () => `add address ${nameVip(vip)}`,
      changes: true,
    },
  )
  return {
    address: vip.address,
    family: vip.family,
    prefixLength: vip.prefixLength,
    device: vip.device,
    ...(label !== undefined && { label }),
    scope: 'global',
    tentative: false,
  }
}

export const deleteVip = async (native: HostConnection, vip: Vip): Promise<void> => {
  await change(native, DELETE, vip, {
    command: 'RTM_DELADDR',
    what: () => `delete address ${nameVip(vip)}`,
    changes: true,
  })
}
