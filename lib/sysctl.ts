// Kernel settings below /proc/sys/net.

import { errorFor } from './errors.js'
import { wrongType, wrongValue } from './validate.js'
import type { Failure, HostConnection } from '../types/addon.js'

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

const settingError = (failure: Failure, setting: SettingPath, verb: string, changes: boolean) =>
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

/** Whether the kernel would read the same from both, which differ in blanks at most. */
export const isSameValue = (one: string, other: string): boolean =>
  one.trim().split(/\s+/).join(' ') === other.trim().split(/\s+/).join(' ')

/** What a handle did with a setting. */
export interface SettingRecord {
  /** The last one. */
  readonly value: string
  /** Whether it is what was there before the handle came. */
  readonly isPutBack: boolean
  /** All that were asked for: putting back one of them leaves the setting as somebody wants it. */
  readonly asked: readonly string[]
}

const records = new WeakMap<HostConnection, Map<string, SettingRecord>>()

/** What was done with settings through a handle, by their names. */
export const settingRecords = (native: HostConnection): ReadonlyMap<string, SettingRecord> =>
  records.get(native) ?? new Map()

const record = (native: HostConnection, setting: SettingPath, next: SettingRecord): void => {
  const own = records.get(native) ?? new Map<string, SettingRecord>()
  own.set(nameSetting(setting), next)
  records.set(native, own)
}

const askedBefore = (native: HostConnection, setting: SettingPath): readonly string[] =>
  settingRecords(native).get(nameSetting(setting))?.asked ?? []

/** Remembers that a setting is wanted as it is, for what persists it. */
export const noteSetting = (native: HostConnection, setting: SettingPath, value: string): void => {
  const before = askedBefore(native, setting)
  const asked = before.includes(value) ? before : [...before, value]
  record(native, setting, { value, isPutBack: false, asked })
}

/** The same until the answer is called, which forgets it again. */
export const noteFound = (
  native: HostConnection,
  setting: SettingPath,
  value: string,
): (() => void) => {
  const name = nameSetting(setting)
  const before = settingRecords(native).get(name)
  noteSetting(native, setting, value)
  const own = records.get(native)
  const noted = own?.get(name)
  return () => {
    // Unless it was set, or noted, by somebody else since.
    if (own?.get(name) !== noted) return
    if (before) own?.set(name, before)
    else own?.delete(name)
  }
}

const write = async (
  native: HostConnection,
  setting: SettingPath,
  value: string,
): Promise<void> => {
  const failure = await native.writeSetting(setting.join('/'), value)
  if (failure) throw settingError(failure, setting, `write '${value}' to`, true)
}

export const writeSetting = async (
  native: HostConnection,
  setting: SettingPath,
  value: string,
): Promise<void> => {
  await write(native, setting, value)
  noteSetting(native, setting, value)
}

/** Writes what was there before a change that is taken back. */
export const putBackSetting = async (
  native: HostConnection,
  setting: SettingPath,
  before: string,
): Promise<void> => {
  // An empty write is none.
  await write(native, setting, before === '' ? '\n' : before)
  const asked = askedBefore(native, setting)
  const isAsked = asked.some((each) => isSameValue(each, before))
  record(native, setting, { value: before, isPutBack: !isAsked, asked: isAsked ? asked : [] })
}
