// Kernel settings below /proc/sys/net.

import { errorFor } from './errors.js'
import type { KnownFailure } from './errors.js'
import { failureOfRejection } from './rejection.js'
import { noteAsked } from './wants.js'
import { wrongType, wrongValue } from './validate.js'
import type { HostConnection } from '../types/addon.js'

const allowedName =
  "the name of a setting below net, such as 'net.ipv4.ip_forward' or 'net/ipv4/conf/eth0.5/arp_ignore'"

/** As sysctl(8): the first separator decides, and the other one then stands for itself. */
const splitName = (name: string): string[] => {
  const slashed = name.search(/[./]/)
  if (name[slashed] === '/') return name.split('/')
  return name.split('.').map((segment) => segment.replaceAll('/', '.'))
}

// Also excludes what would leave the folder: the empty segment, `.` and `..`.
const isSegment = (segment: string): boolean =>
  /^[^/\s\0]+$/.test(segment) && segment !== '.' && segment !== '..'

/** Path segments of a setting below /proc/sys/net. */
export type SettingPath = readonly string[]

export const takeSettingName = (value: unknown, path: string): SettingPath => {
  if (typeof value !== 'string') throw wrongType(path, allowedName, value)
  const [first, ...segments] = splitName(value)
  if (first !== 'net' || segments.length === 0 || !segments.every(isSegment)) {
    throw wrongValue(path, allowedName, value)
  }
  return segments
}

const allowedValue = 'a number, a boolean or a text of one line'

export const takeSettingValue = (value: unknown, path: string): string => {
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw wrongValue(path, allowedValue, value)
    return String(value)
  }
  if (typeof value !== 'string') throw wrongType(path, allowedValue, value)
  const isBlank = value !== '' && value.trim() === ''
  if (isBlank || /[\0\r\n]/.test(value) || value.length > 4000) {
    throw wrongValue(path, allowedValue, value)
  }
  // An empty write is none; a list is emptied by a line with nothing on it.
  return value === '' ? '\n' : value
}

/** The dotted name of a setting; dots of a device's name are written as slashes. */
export const nameSetting = (setting: SettingPath): string =>
  ['net', ...setting.map((segment) => segment.replaceAll('.', '/'))].join('.')

const settingError = (
  failure: KnownFailure,
  setting: SettingPath,
  verb: string,
  changes: boolean,
) =>
  errorFor(failure, {
    command: 'sysctl',
    what: () => `${verb} ${nameSetting(setting)}`,
    changes,
  })

/** The setting's value without the line break. */
export const readSetting = async (
  native: HostConnection,
  setting: SettingPath,
): Promise<string> => {
  const { failure, value } = await native.readSetting(setting.join('/'))
  if (failure) throw settingError(failure, setting, 'read', false)
  return value.replace(/\n$/, '')
}

/** Writes a value that nobody may have asked for, such as one that was there before. */
export const putSetting = async (
  native: HostConnection,
  setting: SettingPath,
  value: string,
): Promise<void> => {
  // An empty write is none.
  const text = value === '' ? '\n' : value
  const failure = await native.writeSetting(setting.join('/'), text).catch(failureOfRejection)
  const quoted = JSON.stringify(value === '\n' ? '' : value)
  if (failure) throw settingError(failure, setting, `write ${quoted} to`, true)
}

/** Remembers that a setting is wanted as it is, for what persists it. */
export const noteSetting = (native: HostConnection, setting: SettingPath, value: string): void =>
  noteAsked(native, nameSetting(setting), value)

export const writeSetting = async (
  native: HostConnection,
  setting: SettingPath,
  value: string,
): Promise<void> => {
  await putSetting(native, setting, value)
  noteSetting(native, setting, value)
}
