// The step of profiles that adds VIPs, all at once, and takes them back likewise.

import { listAddresses } from './addresses.js'
import { formatAddress } from './address.js'
import type { Address } from './address.js'
import { isGone } from './trail.js'
import type { Action, Step, Undone } from './trail.js'
import { deleteEach, tryToAdd, vipOn, withLabels } from './vip.js'
import type { Vip } from './vip.js'
import { nameWantedVip, valueOf } from './vip-wants.js'
import { forget, hold, isHeld, isOrphaned, orphan, release } from './wants.js'
import type { Hold } from './wants.js'
import type { HostConnection } from '../types/addon.js'
import type { HostAddress } from '../types/host.js'
import type { AddressChange, HostChange } from '../types/profile.js'

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

/** A VIP that a preparation has. */
interface Having {
  readonly vip: Vip
  /** Whether this preparation has added it, or may have. */
  readonly isAdded: boolean
  /** Undefined when the same preparation has it already. */
  readonly held: Hold | undefined
}

const take = (native: HostConnection, vip: Vip, isAdded: boolean, preparation: string): Having => {
  const value = valueOf(vip)
  const before = isAdded ? 'absent' : value
  const held = hold(native, nameWantedVip(vip), preparation, { before, value, isWanted: false })
  return { vip, isAdded, held }
}

/**
 * Why one of the IPv4 VIPs is still on its device, if as another address: somebody else has it, or
 * one that a preparation could not delete is there. Not because another preparation needs it, which
 * hides it by itself.
 */
const whyThere = async (native: HostConnection, vips: readonly Vip[]): Promise<Undone['vip']> => {
  const own = vips.filter(({ family }) => family === 'ipv4')
  if (own.length === 0) return undefined
  const keyOf = ({ address, device }: HostAddress | Vip): string => `${address} ${device}`
  const keys = new Set(own.map(keyOf))
  const devices = new Set(own.map(({ device }) => device))
  let why: Undone['vip']
  for (const each of await listAddresses(native, undefined)) {
    if (each.family !== 'ipv4' || !devices.has(each.device)) continue
    const wanting = [native, nameWantedVip(each), valueOf(each)] as const
    if (isOrphaned(...wanting)) why ??= 'orphaned'
    else if (keys.has(keyOf(each)) && !isHeld(...wanting)) why = 'stays'
  }
  return why
}

/** What is not somebody else's from the start. */
const isOurs = ({ isAdded, held }: Having): boolean => isAdded || held?.layer.isMade === true

interface Report {
  readonly restored: HostChange[]
  readonly left: HostChange[]
}

/** Lets go of VIPs and deletes those that nobody needs; answers those that could not be deleted. */
const letGo = async (
  native: HostConnection,
  all: readonly Having[],
  report: Report,
  why: string,
): Promise<{ readonly failed: readonly Having[]; readonly failures: readonly Error[] }> => {
  const present = await listAddresses(native, undefined)
  const values = new Map(present.map((each) => [nameWantedVip(each), valueOf(each)]))
  const toDelete = all.flatMap((having) => {
    const { vip, isAdded, held } = having
    if (!held) return []
    const name = nameWantedVip(vip)
    const { isKept, done } = release(native, name, held, values.get(name) ?? 'absent')
    if (!isKept) return [{ having, name, held, done }]
    done()
    if (isAdded) report.left.push(addressChange(vip, why))
    return []
  })
  const errors = await deleteEach(
    native,
    toDelete.map(({ having }) => having.vip),
  )
  const failed: Having[] = []
  const failures: Error[] = []
  for (const [index, { having, name, held, done }] of toDelete.entries()) {
    const error = errors[index]
    if (error && !isGone(error)) {
      failed.push(having)
      failures.push(error)
      continue
    }
    if (error) forget(native, name, held)
    else done()
    report[error ? 'left' : 'restored'].push(addressChange(having.vip, why))
  }
  return { failed, failures }
}

/** Adds VIPs, and keeps those that are there. */
const vipsAction = (missing: readonly Vip[], there: readonly Vip[], why: string): Action => {
  let having: readonly Having[] = []
  let ours: readonly Vip[] = missing
  const report: Report = { restored: [], left: [] }
  const apply = async (native: HostConnection, preparation: string): Promise<void> => {
    // None of the missing was there: what may have been added is ours (see addVips).
    const { added, error } = await tryToAdd(native, missing)
    having = [
      ...(error ? [] : there.map((vip) => take(native, vip, false, preparation))),
      ...added.map((vip) => take(native, vip, true, preparation)),
    ].toReversed()
    ours = [...missing, ...having.filter(isOurs).map(({ vip }) => vip)]
    if (error) throw error
  }
  const undo = async (native: HostConnection): Promise<Undone> => {
    const { failed, failures } = await letGo(native, having, report, why)
    // Should it be called again, only these are left to do.
    having = failed
    if (failures.length > 0) throw new AggregateError(failures, 'Not all VIPs could be deleted')
    return { ...report, vip: await whyThere(native, ours) }
  }
  return {
    role: 'vip',
    changes: missing.map((vip) => addressChange(vip, why)),
    apply,
    undo,
    orphan: () => {
      for (const { held } of having) if (held) orphan(held)
    },
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

/** Adds the VIPs that are missing, and keeps the others where they are. */
export const haveVips =
  (
    why: string,
    { addresses, device, suffices, announced = false, deprecated = false }: VipWish,
  ): Step =>
  async (native) => {
    if (addresses.length === 0) return []
    const wanted = new Map(
      addresses.map((each) => [formatAddress(each.family, each.bytes), each] as const),
    )
    const present = await listAddresses(native, undefined)
    const there = present.flatMap(({ address, device, prefixLength, label }) => {
      const one = wanted.get(address)
      if (!one || (suffices !== undefined && device !== suffices)) return []
      return [{ ...vipOn(device, one), prefixLength, label }]
    })
    const found = new Set(there.map(({ address }) => address))
    const missing = addresses
      .map((address) => ({ ...vipOn(device, address), announced, deprecated }))
      .filter(({ address }) => !found.has(address))
    return [vipsAction(withLabels(missing, present), there, why)]
  }
