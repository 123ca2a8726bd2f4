// Settings that each network device has, and `all` and `default` beside them: net.<family>.conf.

import { IpvsError } from './errors.js'
import { readSetting } from './sysctl.js'
import type { SettingPath } from './sysctl.js'
import type { HostConnection } from '../types/addon.js'
import type { Family } from '../types/service.js'

export const devicePath = (family: Family, device: string, name: string): SettingPath => [
  family,
  'conf',
  device,
  name,
]

const isDevice = (setting: SettingPath): boolean => {
  const [, conf, device = ''] = setting
  return conf === 'conf' && device !== 'all' && device !== 'default'
}

/** Reads a setting. One that is missing for a device says that there is no such device. */
export const readDeviceSetting = async (
  native: HostConnection,
  setting: SettingPath,
): Promise<string> => {
  try {
    return await readSetting(native, setting)
  } catch (error) {
    if (!IpvsError.is(error) || error.code !== 'ERR_HOST_NO_SYSCTL' || !isDevice(setting)) {
      throw error
    }
    const [family, , device, name] = setting
    throw new IpvsError(
      `Cannot read ${name} of ${device}: there is no such network device, or it has no ${family}`,
      { code: 'ERR_HOST_NO_DEVICE', errno: error.errno, command: 'sysctl' },
      { cause: error },
    )
  }
}

/** For these settings the kernel takes the larger of `all` and the device's own. */
export const readLarger = async (
  native: HostConnection,
  family: Family,
  device: string,
  name: string,
): Promise<{ readonly all: number; readonly own: number; readonly effective: number }> => {
  const all = Number(await readSetting(native, devicePath(family, 'all', name)))
  const own = Number(await readDeviceSetting(native, devicePath(family, device, name)))
  return { all, own, effective: Math.max(all, own) }
}
