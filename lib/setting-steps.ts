// Steps of profiles that write kernel settings.

import { arpSuppressionOf } from './arp.js'
import { devicePath, readDeviceSetting, readLarger } from './device-setting.js'
import { listLinks } from './link.js'
import { settingAction, settingChange } from './setting-action.js'
import type { Writer } from './setting-action.js'
import { dropGone, isHeld, isSameValue, notePutBack } from './wants.js'
import { nameSetting, putSetting, readSetting } from './sysctl.js'
import type { SettingPath } from './sysctl.js'
import { isGone } from './trail.js'
import type { Action, Step } from './trail.js'
import type { HostConnection } from '../types/addon.js'
import type { SysctlChange } from '../types/profile.js'
import type { Family } from '../types/service.js'

/** A setting that is to have a value. */
export interface Wish {
  readonly setting: SettingPath
  readonly value: string
  /** Values that will do as well. */
  readonly orElse?: (current: string) => boolean
  /** Nobody named its device: without it there is nothing to wish for. */
  readonly mayVanish?: boolean
}

/** Undefined when it is gone. */
const readUnlessGone = async (
  native: HostConnection,
  setting: SettingPath,
): Promise<string | undefined> => {
  try {
    return await readDeviceSetting(native, setting)
  } catch (error) {
    if (!isGone(error)) throw error
    return undefined
  }
}

/** All that there are; of others no more is remembered. */
const listDevices = async (native: HostConnection): Promise<readonly string[]> => {
  const devices = (await listLinks(native)).map(({ device }) => device)
  dropGone(native, devices)
  return devices
}

/** Writes settings that are not yet as wished, and keeps them so. */
export const settings =
  (why: string, wishes: readonly Wish[] | ((native: HostConnection) => Promise<Wish[]>)): Step =>
  async (native) => {
    const actions: Action[] = []
    for (const { setting, value, orElse, mayVanish = false } of typeof wishes === 'function'
      ? await wishes(native)
      : wishes) {
      const read = mayVanish ? readUnlessGone : readDeviceSetting
      const before = await read(native, setting)
      if (before === undefined) continue
      const isWanted = before === value || orElse?.(before) !== true
      const after = isWanted ? value : before
      actions.push(settingAction({ setting, before, after, isWanted, mayVanish, why }))
    }
    return actions
  }

/** Hides what is on `lo` from ARP; that is undone only when the VIP is gone. */
export const hideFromArp = (why: string, devices: readonly string[]): Step => {
  const hide = settings(why, arpSuppressionOf(devices))
  return async (native) =>
    (await hide(native)).map((action) => ({ ...action, role: 'hides-vip' as const }))
}

const STRICT = 1
const LOOSE = 2

/**
 * Loosens a strict check of where packets come from. The kernel takes the larger of `all` and the
 * device, so that 2 also overrules a strict `all`, which stays for the other devices.
 */
export const looseReversePath = (why: string, devices: readonly string[]): Step =>
  settings(why, async (native) => {
    const wishes: Wish[] = []
    for (const device of devices) {
      const { own, effective } = await readLarger(native, 'ipv4', device, 'rp_filter')
      if (effective !== STRICT && own !== LOOSE) continue
      wishes.push({ setting: devicePath('ipv4', device, 'rp_filter'), value: String(LOOSE) })
    }
    return wishes
  })

/**
 * Ends the check of where packets come from for a device that has no address, where the loose check
 * fails too (__fib_validate_source() of net/ipv4/fib_frontend.c). That needs 0 in `all` as well: what
 * `all` asked for is then asked of each other device. `default` stays, since the kernel copies what
 * is written there to the devices that are. Where both are 0 already, another program may have done
 * so and ended: what the other devices have is kept with them.
 */
export const noReversePath = (why: string, tunnel: string): Step =>
  settings(why, async (native) => {
    const { all, own } = await readLarger(native, 'ipv4', tunnel, 'rp_filter')
    const off = [tunnel, 'all'].map((device) => ({ ...filterOf(device), value: '0' }))
    if (all === 0 && own !== 0) return off
    const others = (await listDevices(native)).filter((device) => device !== tunnel)
    if (all === 0) return [...(await strictOnes(native, others)), ...off]
    const kept = others.map((device) => ({
      ...filterOf(device),
      value: String(all),
      orElse: (own: string) => Number(own) >= all,
      mayVanish: true,
    }))
    return [...kept, ...off]
  })

/** Those that check where packets come from, as they are. */
const strictOnes = async (
  native: HostConnection,
  devices: readonly string[],
): Promise<readonly Wish[]> => {
  const values = await readAll(
    native,
    devices.map((device) => filterOf(device).setting),
  )
  return Array.from(values, ([setting, value]) => ({ setting, value, mayVanish: true })).filter(
    ({ value }) => value !== '0',
  )
}

const filterOf = (device: string): Pick<Wish, 'setting'> => ({
  setting: devicePath('ipv4', device, 'rp_filter'),
})

/** A wish of each of the devices, or of all that there are but `lo`. */
export const wishOfEach = async (
  native: HostConnection,
  devices: readonly string[],
  wishOf: (device: string) => Wish,
): Promise<readonly Wish[]> => {
  if (devices.length > 0) return devices.map(wishOf)
  const all = (await listDevices(native)).filter((device) => device !== 'lo')
  return all.map((device) => ({ ...wishOf(device), mayVanish: true }))
}

const switches: Readonly<Record<Family, SettingPath>> = {
  ipv4: ['ipv4', 'ip_forward'],
  ipv6: devicePath('ipv6', 'all', 'forwarding'),
}

/** What the kernel writes along with the switch, on devices and for those to come. */
const companionsOf = async (native: HostConnection, family: Family): Promise<SettingPath[]> => {
  const devices = await listDevices(native)
  return [
    ...['default', ...devices].map((device) => devicePath(family, device, 'forwarding')),
    // inet_forward_change() of net/ipv4/devinet.c: a router believes no redirects.
    ...(family === 'ipv4' ? [devicePath('ipv4', 'all', 'accept_redirects')] : []),
  ]
}

const readAll = async (
  native: HostConnection,
  paths: readonly SettingPath[],
): Promise<Map<SettingPath, string>> => {
  const values = new Map<SettingPath, string>()
  for (const path of paths) {
    const value = await readUnlessGone(native, path)
    // A device without this family, or one that has gone.
    if (value !== undefined) values.set(path, value)
  }
  return values
}

/** What the kernel makes of the companions when the switch is written; it need not be asked. */
const madeOf = (companion: SettingPath, value: string): string => {
  if (companion.at(-1) === 'forwarding') return value
  return value === '0' ? '1' : '0'
}

/** The way back of the companions, once the switch is what it was. */
interface WayBack {
  /** What is still to be written. */
  readonly values: Map<SettingPath, string>
  /** What somebody else has set: these keep their value. */
  readonly left: readonly SysctlChange[]
}

const findWayBack = async (
  native: HostConnection,
  before: ReadonlyMap<SettingPath, string>,
  made: string,
  why: string,
): Promise<WayBack> => {
  const values = new Map<SettingPath, string>()
  const left: SysctlChange[] = []
  for (const [path, value] of await readAll(native, [...before.keys()])) {
    const old = before.get(path) ?? value
    const own = madeOf(path, made)
    const isOurs = value === own && !isHeld(native, nameSetting(path), value)
    if (!isOurs) left.push(settingChange(path, old, own, why))
    values.set(path, isOurs ? old : value)
  }
  return { values, left }
}

const putBackAll = async (native: HostConnection, { values }: WayBack): Promise<void> => {
  for (const [path, value] of values) {
    try {
      await putSetting(native, path, value)
      notePutBack(native, nameSetting(path), value)
    } catch (error) {
      if (!isGone(error)) throw error
    }
    values.delete(path)
  }
}

/** Writes the switch, and puts back with it what the kernel wrote along. */
const switchWriter = (setting: SettingPath, why: string, family: Family): Writer => {
  let before = new Map<SettingPath, string>()
  let made = ''
  let wayBack: WayBack | undefined
  return {
    put: async (native, value) => {
      before = await readAll(native, await companionsOf(native, family))
      made = value
      await putSetting(native, setting, value)
    },
    putBack: async (native, change) => {
      // Where it failed before, the switch may have been written: that is not repeated, since the
      // kernel writes the companions each time.
      const isDone = isSameValue(await readSetting(native, setting), change.before)
      if (!wayBack || !isDone) {
        wayBack = await findWayBack(native, before, made, why)
        await putSetting(native, setting, change.before)
      }
      await putBackAll(native, wayBack)
      const { left } = wayBack
      wayBack = undefined
      return { restored: [change], left }
    },
  }
}

/** Makes the machine a router; takes back also what the kernel changes along with that. */
export const forward =
  (why: string, family: Family): Step =>
  async (native) => {
    const setting = switches[family]
    const before = await readSetting(native, setting)
    const after = before === '0' ? '1' : before
    const wanting = { setting, before, after, isWanted: true, why }
    return [settingAction(wanting, switchWriter(setting, why, family))]
  }
