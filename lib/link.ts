// Network devices and the receiving ends of tunnels.

import { familyNumbers } from './address.js'
import { errorFor } from './errors.js'
import { EEXIST } from './errno.js'
import { Stage } from './meanings.js'
import { Memory } from './memory.js'
import { recordFormat } from './records.js'
import { failureOfRejection } from './rejection.js'
import type { HostConnection } from '../types/addon.js'
import type { HostLink } from '../types/link.js'
import type { Family } from '../types/service.js'

/** `IFF_UP` of <linux/if.h>, `ARPHRD_ETHER` of <linux/if_arp.h>. */
const UP = 0x1
const ETHERNET = 1
const kindSize = 16

const formatHardware = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(':')

const linkAt = (memory: Memory, at: number): HostLink => {
  const { link: table, linkHeader } = recordFormat()
  const { device = '', mtu = 0, address } = table.read(memory, at)
  const kind = memory.text(at + linkHeader.kind, kindSize)
  const isEthernet = memory.word(at + linkHeader.type) === ETHERNET
  const size = memory.word(at + linkHeader.addressSize)
  return {
    device,
    ...(kind !== '' && { kind }),
    mtu,
    up: (memory.word(at + linkHeader.flags) & UP) !== 0,
    ...(isEthernet && address && { address: formatHardware(address.subarray(0, size)) }),
  }
}

export const listLinks = async (native: HostConnection): Promise<HostLink[]> => {
  const { failure, records } = await native.readLinks()
  if (failure) {
    throw errorFor(failure, {
      command: 'RTM_GETLINK',
      what: () => 'list the network devices',
      changes: false,
    })
  }
  const { size } = recordFormat().link
  const memory = new Memory(records)
  return Array.from({ length: records.byteLength / size }, (_, index) =>
    linkAt(memory, index * size),
  )
}

export const findLink = async (
  native: HostConnection,
  device: string,
): Promise<HostLink | undefined> => (await listLinks(native)).find((link) => link.device === device)

/** A device that takes packets out of a tunnel. */
export interface TunnelDevice {
  readonly device: string
  /** `IFLA_INFO_KIND`, which is also how the kernel finds the module. */
  readonly kind: 'ipip' | 'ip6tnl' | 'gre' | 'ip6gre'
  /** The device from which it takes packets with a checksum; otherwise from all, without. */
  readonly parent?: string
}

/**
 * Creates a device, or finds that loading its module did; it is down then. A module makes none that
 * has a parent, so that somebody else did if that is there.
 */
export const createLink = async (
  native: HostConnection,
  { device, kind, parent }: TunnelDevice,
): Promise<void> => {
  const failure = await native.changeLink(1, device, kind, parent ?? '').catch(failureOfRejection)
  if (!failure) return
  const isThere = failure.stage === Stage.kernel && failure.errno === EEXIST
  if (isThere && parent === undefined) return
  throw errorFor(failure, {
    command: 'RTM_NEWLINK',
    what: () => `create the network device ${device} of kind ${kind}`,
    changes: true,
  })
}

/** Devices that came with a module stay, and the kernel does not say so. */
export const deleteLink = async (native: HostConnection, device: string): Promise<void> => {
  const failure = await native.changeLink(2, device, '', '').catch(failureOfRejection)
  if (!failure) return
  throw errorFor(failure, {
    command: 'RTM_DELLINK',
    what: () => `delete the network device ${device}`,
    changes: true,
  })
}

export const setLink = async (
  native: HostConnection,
  device: string,
  state: 'up' | 'down',
): Promise<void> => {
  const verb = state === 'up' ? 3 : 4
  const failure = await native.changeLink(verb, device, '', '').catch(failureOfRejection)
  if (!failure) return
  throw errorFor(failure, {
    command: 'RTM_SETLINK',
    what: () => `bring the network device ${device} ${state}`,
    changes: true,
  })
}

/** A UDP port that takes packets out of GUE tunnels. */
export interface GuePort {
  readonly port: number
  readonly family: Family
}

const GUE = 2

const namePort = ({ port, family }: GuePort): string => `${family} UDP port ${port} for GUE`

/** Whether the kernel takes GUE there. */
export const isGuePortOpen = async (native: HostConnection, where: GuePort): Promise<boolean> => {
  const { failure, encapsulation } = await native.readFouPort(
    where.port,
    familyNumbers[where.family],
  )
  if (!failure) return encapsulation === GUE
  throw errorFor(failure, {
    command: 'FOU_CMD_GET',
    what: () => `look at ${namePort(where)}`,
    changes: false,
  })
}

export const changeGuePort = async (
  native: HostConnection,
  verb: 'open' | 'close',
  where: GuePort,
): Promise<void> => {
  const family = familyNumbers[where.family]
  const failure = await native
    .changeGuePort(verb === 'open', where.port, family)
    .catch(failureOfRejection)
  if (!failure) return
  throw errorFor(failure, {
    command: verb === 'open' ? 'FOU_CMD_ADD' : 'FOU_CMD_DEL',
    what: () => `${verb} ${namePort(where)}`,
    changes: true,
  })
}
