// Telling the neighbours where a VIP is now.

import { encodeAddresses, failuresOf } from './addresses.js'
import type { AddressToWrite } from './addresses.js'
import { devicePath } from './device-setting.js'
import { errorFor } from './errors.js'
import type { IpvsError } from './errors.js'
import { listLinks } from './link.js'
import { ENETDOWN, ENODEV, EOPNOTSUPP } from './errno.js'
import { Stage } from './meanings.js'
import { readSetting } from './sysctl.js'
import type { Failure, HostConnection } from '../types/addon.js'
import type { HostLink } from '../types/link.js'

const HOST = 1
const ROUTER = 2

interface Announced extends AddressToWrite {
  readonly address: string
}

const announceError = (failure: Failure, { address, device }: Announced): IpvsError =>
  errorFor(failure, {
    command: 'announce',
    what: () => `announce address ${address} on ${device}`,
    changes: false,
  })

const obstacleOf = (link: HostLink | undefined): number | undefined => {
  if (!link) return ENODEV
  if (link.address === undefined) return EOPNOTSUPP
  return link.up ? undefined : ENETDOWN
}

/** Refuses what could not be announced, before anything is changed. */
export const checkAnnouncements = async (
  native: HostConnection,
  vips: readonly Announced[],
): Promise<void> => {
  if (vips.length === 0) return
  const links = new Map((await listLinks(native)).map((link) => [link.device, link]))
  for (const vip of vips) {
    const errno = obstacleOf(links.get(vip.device))
    if (errno !== undefined) throw announceError({ stage: Stage.kernel, errno, text: '' }, vip)
  }
}

/** The devices on which this machine is an IPv6 router, which it has to tell with the address. */
const routersAmong = async (
  native: HostConnection,
  vips: readonly Announced[],
): Promise<ReadonlySet<string>> => {
  const devices = vips.filter(({ family }) => family === 'ipv6').map(({ device }) => device)
  const routers = new Set<string>()
  for (const device of new Set(devices)) {
    const forwarding = await readSetting(native, devicePath('ipv6', device, 'forwarding'))
    if (forwarding !== '0') routers.add(device)
  }
  return routers
}

export const announce = async (
  native: HostConnection,
  vips: readonly Announced[],
): Promise<void> => {
  if (vips.length === 0) return
  const routers = await routersAmong(native, vips)
  const reply = await native.announce(
    encodeAddresses(vips, ({ device }) => (routers.has(device) ? ROUTER : HOST)),
  )
  failuresOf(reply).forEach((failure, index) => {
    const vip = vips[index]
    if (failure && vip) throw announceError(failure, vip)
  })
}
