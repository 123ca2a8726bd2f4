// Steps of profiles that bring up devices, open the ports of tunnels and add VIPs.

import { deleteEach, tryToAdd, vipOn, withLabels } from './vip.js'
import type { Vip } from './vip.js'
import { listAddresses } from './addresses.js'
import type { Address } from './address.js'
import { IpvsError } from './errors.js'
import { changeGuePort, createLink, deleteLink, findLink, isGuePortOpen, setLink } from './link.js'
import type { GuePort, TunnelDevice } from './link.js'
import { isGone, singleAction } from './trail.js'
import type { Action, Step, Undone } from './trail.js'
import type { HostConnection } from '../types/addon.js'
import type { HostAddress } from '../types/host.js'
import type {
  AddressChange,
  GuePortChange,
  HostChange,
  LinkChange,
  UndoReport,
} from '../types/profile.js'

const restored = (change: HostChange): UndoReport => ({ restored: [change], left: [] })
const left = (change: HostChange): UndoReport => ({ restored: [], left: [change] })

/** Creates a device, down. */
export const createTunnelDevice =
  (why: string, tunnel: TunnelDevice): Step =>
  async (native) => {
    const { device, kind } = tunnel
    const there = await findLink(native, device)
    if (there?.kind === kind) return []
    if (there) {
      throw new IpvsError(
        `Cannot use ${device} as a tunnel: it is a device of kind ${there.kind ?? 'hardware'}, not ${kind}`,
        { code: 'ERR_HOST_REFUSED', errno: 0, command: 'RTM_NEWLINK' },
      )
    }
    const change: LinkChange = { kind: 'link', device, before: 'absent', after: 'down', why }
    const undo = async (later: HostConnection): Promise<UndoReport> => {
      await deleteLink(later, device)
      return (await findLink(later, device)) ? left(change) : restored(change)
    }
    return [singleAction(change, (now) => createLink(now, tunnel), undo)]
  }

export const bringUp =
  (why: string, device: string): Step =>
  async (native) => {
    const link = await findLink(native, device)
    if (link?.up === true) return []
    const change: LinkChange = { kind: 'link', device, before: 'down', after: 'up', why }
    const undo = async (later: HostConnection): Promise<UndoReport> => {
      if ((await findLink(later, device))?.up !== true) return left(change)
      await setLink(later, device, 'down')
      return restored(change)
    }
    return [singleAction(change, (now) => setLink(now, device, 'up'), undo)]
  }

export const openGuePort =
  (why: string, where: GuePort): Step =>
  async (native) => {
    if (await isGuePortOpen(native, where)) return []
    const change: GuePortChange = {
      kind: 'gue-port',
      ...where,
      before: 'closed',
      after: 'open',
      why,
    }
    const undo = async (later: HostConnection): Promise<UndoReport> => {
      if (!(await isGuePortOpen(later, where))) return left(change)
      await changeGuePort(later, 'close', where)
      return restored(change)
    }
    return [singleAction(change, (now) => changeGuePort(now, 'open', where), undo)]
  }

const addressChange = (
  { address, prefixLength, device, label }: Vip,
  why: string,
): AddressChange => ({
  kind: 'address',
  address,
  prefixLength,
  device,
  ...(label !== undefined && { label }),
  before: 'absent',
  after: 'present',
  why,
})

/** Whether somebody has one of the IPv4 VIPs on its device nevertheless, if as another address. */
const isAnyThere = async (native: HostConnection, vips: readonly Vip[]): Promise<boolean> => {
  const keyOf = ({ address, device }: HostAddress | Vip): string => `${address} ${device}`
  const keys = new Set(vips.filter(({ family }) => family === 'ipv4').map(keyOf))
  return (
    keys.size > 0 && (await listAddresses(native, undefined)).some((each) => keys.has(keyOf(each)))
  )
}

/** Adds all VIPs at once, and takes them back likewise. */
const addressesAction = (vips: readonly Vip[], why: string): Action => {
  let there: { readonly vip: Vip; readonly change: AddressChange }[] = []
  const report = { restored: [] as HostChange[], left: [] as HostChange[] }
  const apply = async (native: HostConnection): Promise<void> => {
    // None was there: what may have been added is ours (see addVips).
    const { added, error } = await tryToAdd(native, vips)
    there = added.toReversed().map((vip) => ({ vip, change: addressChange(vip, why) }))
    if (error) throw error
  }
  const undo = async (native: HostConnection): Promise<Undone> => {
    const errors = await deleteEach(
      native,
      there.map(({ vip }) => vip),
    )
    const failed = errors.map((error) => error !== undefined && !isGone(error))
    there.forEach(({ change }, index) => {
      if (failed[index] !== true) report[errors[index] ? 'left' : 'restored'].push(change)
    })
    // Should it be called again, only these are left to do.
    there = there.filter((_, index) => failed[index] === true)
    const failures = errors.filter((_, index) => failed[index] === true)
    if (failures.length > 0) throw new AggregateError(failures, 'Not all VIPs could be deleted')
    return { ...report, vipStays: await isAnyThere(native, vips) }
  }
  return {
    role: 'vip',
    changes: vips.map((vip) => addressChange(vip, why)),
    apply,
    undo,
  }
}

interface VipWish {
  readonly addresses: readonly Address[]
  readonly device: string
  /** On which device it is enough to have them; undefined: on any. */
  readonly suffices?: string
  readonly announced?: boolean
  readonly deprecated?: boolean
}

/** Adds the VIPs that are missing. */
export const haveVips =
  (
    why: string,
    { addresses, device, suffices, announced = false, deprecated = false }: VipWish,
  ): Step =>
  async (native) => {
    if (addresses.length === 0) return []
    const present = await listAddresses(native, undefined)
    const there = new Set(
      present
        .filter((each) => suffices === undefined || each.device === suffices)
        .map(({ address }) => address),
    )
    const missing = addresses
      .map((address) => ({ ...vipOn(device, address), announced, deprecated }))
      .filter(({ address }) => !there.has(address))
    return missing.length === 0 ? [] : [addressesAction(withLabels(missing, present), why)]
  }
