// Keeping a real server silent about the VIP on its `lo`.
//
// For both settings the kernel takes the larger of `all` and the device's own value
// (include/linux/inetdevice.h, IN_DEV_MAXCONF).

import { devicePath, readDeviceSetting, readLarger } from './device-setting.js'
import { writeSetting } from './sysctl.js'
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

/** A setting that has to be written before the VIP is hidden. */
export interface ArpChange {
  readonly setting: SettingPath
  readonly before: string
  readonly after: string
}

/** What is still to be written on `all` and the devices; a stricter value stays. */
export const missingArpSuppression = async (
  native: HostConnection,
  devices: readonly string[],
): Promise<ArpChange[]> => {
  const changes: ArpChange[] = []
  for (const device of new Set(['all', ...devices])) {
    for (const { name, wanted, hides } of [arpIgnore, arpAnnounce]) {
      const setting = devicePath('ipv4', device, name)
      const before = await readDeviceSetting(native, setting)
      if (!hides.includes(Number(before))) changes.push({ setting, before, after: String(wanted) })
    }
  }
  return changes
}

export const suppressArp = async (
  native: HostConnection,
  devices: readonly string[],
): Promise<ArpState[]> => {
  for (const { setting, after } of await missingArpSuppression(native, devices)) {
    await writeSetting(native, setting, after)
  }
  return arpSuppression(native, devices)
}

export const arpSuppression = async (
  native: HostConnection,
  devices: readonly string[],
): Promise<ArpState[]> => {
  const states: ArpState[] = []
  for (const device of devices) {
    const { effective: ignore } = await readLarger(native, 'ipv4', device, arpIgnore.name)
    const { effective: announce } = await readLarger(native, 'ipv4', device, arpAnnounce.name)
    states.push({
      device,
      arpIgnore: ignore,
      arpAnnounce: announce,
      suppressed: arpIgnore.hides.includes(ignore) && arpAnnounce.hides.includes(announce),
    })
  }
  return states
}
