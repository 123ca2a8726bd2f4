// Addresses of network devices, over rtnetlink.

import { addressBits, familyNumbers, familyOf, formatAddress } from './address.js'
import type { Address } from './address.js'
import { errorFor } from './errors.js'
import type { Request } from './errors.js'
import { loadAddon } from './native.js'
import { Memory } from './records.js'
import {
  takeAddress,
  takeDevice,
  takeInteger,
  takeObject,
  wrongType,
  wrongValue,
} from './validate.js'
import type { HostConnection, Layout } from '../types/addon.js'
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
  const allowed = `'${device}' or '${device}:' and a text, ${mostLabel} characters at most`
  if (typeof value !== 'string') throw wrongType(path, allowed, value)
  if (family === 'ipv6') throw wrongValue(path, 'absent from an IPv6 address', value)
  const belongs = value === device || value.startsWith(`${device}:`)
  if (!belongs || value.length > mostLabel || !/^[\x21-\x7e]+$/.test(value)) {
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
  const device = takeDevice(properties['device'] ?? 'lo', `${path}.device`)
  const most = addressBits[family]
  const { label } = properties
  return {
    address: formatAddress(family, bytes),
    bytes,
    family,
    device,
    prefixLength: takeInteger(properties['prefixLength'] ?? most, `${path}.prefixLength`, 1, most),
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

type AddressLayout = Layout['address']

const row = (
  layout: AddressLayout,
  name: string,
): { bit: number; offset: number; size: number } => {
  const bit = layout.rows.findIndex((each) => each.name === name)
  const found = layout.rows[bit]
  if (!found) throw new Error(`the addon has no field ${name}`)
  return { bit, ...found }
}

const addressAt = (layout: AddressLayout, memory: Memory, at: number): HostAddress => {
  const family = familyOf(memory.word(at + layout.family))
  const local = row(layout, 'local')
  const own = memory.has(at, local) ? local : row(layout, 'address')
  const labelRow = row(layout, 'label')
  const scope = memory.word(at + layout.scope)
  return {
    address: formatAddress(family, memory.bytes, at + own.offset),
    family,
    prefixLength: memory.word(at + layout.prefixLength),
    device: memory.text(at + layout.device, 16),
    ...(memory.has(at, labelRow) && {
      label: memory.text(at + labelRow.offset, labelRow.size),
    }),
    scope: scopes[scope] ?? scope,
    tentative: (memory.word(at + row(layout, 'flags').offset) & TENTATIVE) !== 0,
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
  const layout = loadAddon().layout.address
  const memory = new Memory(records)
  return Array.from({ length: records.byteLength / layout.size }, (_, index) =>
    addressAt(layout, memory, index * layout.size),
  )
}

const encode = (kind: number, vip: Vip): Uint8Array => {
  const layout = loadAddon().layout.address
  const memory = new Memory(new ArrayBuffer(changeHeader + layout.size))
  const at = changeHeader
  memory.setWord(0, kind)
  memory.setWord(at + layout.family, familyNumbers[vip.family])
  memory.setWord(at + layout.prefixLength, vip.prefixLength)
  memory.setText(at + layout.device, vip.device)
  // Both, always: without them the kernel deletes whichever address comes first.
  memory.bytes.set(vip.bytes, memory.mark(at, row(layout, 'local')))
  memory.bytes.set(vip.bytes, memory.mark(at, row(layout, 'address')))
  if (vip.label !== undefined) memory.setText(memory.mark(at, row(layout, 'label')), vip.label)
  if (vip.family === 'ipv6' && kind === ADD) {
    memory.setWord(memory.mark(at, row(layout, 'flags')), NODAD)
  }
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
  return label.length > mostLabel ? device : label
}

const nameVip = ({ address, prefixLength, device }: Vip): string =>
  `${address}/${prefixLength} on ${device}`

export const addVip = async (native: HostConnection, vip: Vip): Promise<HostAddress> => {
  const present = await listAddresses(native, vip.device)
  const label = vip.label ?? (vip.family === 'ipv4' ? freeLabel(vip.device, present) : undefined)
  await change(
    native,
    ADD,
    { ...vip, label },
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
