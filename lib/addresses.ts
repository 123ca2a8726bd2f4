// Addresses of network devices, over rtnetlink.

import { familyNumbers, familyOf, formatAddress } from './address.js'
import { errorFor } from './errors.js'
import { Memory } from './memory.js'
import { recordFormat } from './records.js'
import type { Failure, HostConnection, OutcomesReply } from '../types/addon.js'
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

const changeHeader = 8
const deviceSize = 16

/** An address to be written. */
export interface AddressToWrite {
  readonly family: Family
  /** 16 bytes. */
  readonly bytes: Uint8Array
  readonly prefixLength: number
  readonly device: string
  readonly label: string | undefined
}

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

const write = (memory: Memory, start: number, word: number, address: AddressToWrite): void => {
  const { address: table, addressHeader } = recordFormat()
  const at = start + changeHeader
  memory.setWord(start, word)
  table.write(memory, at, {
    // Both, always: without them the kernel deletes whichever address comes first.
    local: address.bytes,
    address: address.bytes,
    ...(address.label !== undefined && { label: address.label }),
    ...(address.family === 'ipv6' && { flags: NODAD }),
  })
  memory.setWord(at + addressHeader.family, familyNumbers[address.family])
  memory.setWord(at + addressHeader.prefixLength, address.prefixLength)
  memory.setText(at + addressHeader.device, address.device)
}

/** Addresses, each with what is to be done with it (types/addon.d.ts). */
export const encodeAddresses = <T extends AddressToWrite>(
  addresses: readonly T[],
  wordOf: (address: T) => number,
): Uint8Array => {
  const size = changeHeader + recordFormat().address.size
  const memory = new Memory(new ArrayBuffer(size * addresses.length))
  addresses.forEach((address, index) => write(memory, index * size, wordOf(address), address))
  return memory.bytes
}

/** What became of each: undefined when it was done. */
export const failuresOf = ({ outcomes, texts }: OutcomesReply): (Failure | undefined)[] => {
  const words = new Int32Array(outcomes)
  return Array.from({ length: words.length / 2 }, (_, index) => {
    const [stage = 0, errno = 0] = words.subarray(2 * index)
    return stage === 0 ? undefined : { stage, errno, text: texts[index] ?? '' }
  })
}
