// Keeping a real server silent about the VIP on its `lo`.
//
// For both settings the kernel takes the larger of `all` and the device's own value
// (include/linux/inetdevice.h, IN_DEV_MAXCONF).

import { devicePath, readDeviceSetting, readLarger } from './device-setting.js'
import { nameSetting, noteSetting, writeSetting } from './sysctl.js'
import type { SettingPath } from './sysctl.js'
import type { HostConnection } from '../types/addon.js'
import type { ArpState } from '../types/host.js'

interface ArpSetting {
  readonly name: 'arp_ignore' | 'arp_announce'
  readonly wanted: number
  /** Values with which the VIP stays hidden. */
  readonly hides: readonly number[]
}

// arp_ignore 3 answers for addresses of global scope, as the VIP is; 4 to 7 are reserved.
const arpIgnore: ArpSetting = { name: 'arp_ignore', wanted: 1, hides: [1, 2, 8] }
const arpAnnounce: ArpSetting = { name: 'arp_announce', wanted: 2, hides: [2] }

/** A setting that the VIP needs to be hidden. */
export interface ArpWish {
  readonly setting: SettingPath
  readonly value: string
  /** Whether it may stay as it is. */
  readonly orElse: (current: string) => boolean
}

/** What `all` and the devices are to have; a stricter value stays. */
export const arpSuppressionOf = (devices: readonly string[]): ArpWish[] =>
  [...new Set(['all', ...devices])].flatMap((device) =>
    [arpIgnore, arpAnnounce].map(({ name, wanted, hides }) => ({
      setting: devicePath('ipv4', device, name),
      value: String(wanted),
      orElse: (current: string) => hides.includes(Number(current)),
    })),
  )

const stateOf = (device: string, ignore: number, announce: number): ArpState => ({
  device,
  arpIgnore: ignore,
  arpAnnounce: announce,
  suppressed: arpIgnore.hides.includes(ignore) && arpAnnounce.hides.includes(announce),
})

export const suppressArp = async (
  native: HostConnection,
  devices: readonly string[],
): Promise<ArpState[]> => {
  // Read before any is written: a device that is missing is found out in time.
  const found: string[] = []
  const wishes = arpSuppressionOf(devices)
  for (const { setting } of wishes) found.push(await readDeviceSetting(native, setting))
  const values = new Map<string, number>()
  for (const [index, { setting, value, orElse }] of wishes.entries()) {
    const before = found[index] ?? ''
    const stays = before === value || orElse(before)
    if (before === value) noteSetting(native, setting, value)
    else if (!stays) await writeSetting(native, setting, value)
    values.set(nameSetting(setting), Number(stays ? before : value))
  }
  // Not read again: who is told of an error then takes it that nothing was written.
  const effective = (device: string, { name }: ArpSetting): number => {
    const [all = 0, own = 0] = ['all', device].map((each) =>
      values.get(nameSetting(devicePath('ipv4', each, name))),
    )
    return Math.max(all, own)
  }
  return devices.map((device) =>
    stateOf(device, effective(device, arpIgnore), effective(device, arpAnnounce)),
  )
}

export const arpSuppression = async (
  native: HostConnection,
  devices: readonly string[],
): Promise<ArpState[]> => {
  const states: ArpState[] = []
  for (const device of devices) {
    const { effective: ignore } = await readLarger(native, 'ipv4', device, arpIgnore.name)
    const { effective: announce } = await readLarger(native, 'ipv4', device, arpAnnounce.name)
    states.push(stateOf(device, ignore, announce))
  }
  return states
}
