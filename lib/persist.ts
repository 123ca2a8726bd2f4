// A file of sysctl.d(5) with what was set here, so that it survives a reboot.

import { IpvsError } from './errors.js'
import { isAbsence, readText, replaceFile } from './file.js'
import { isSameValue, notePersisted, settingRecords } from './wants.js'
import type { SettingRecord } from './wants.js'
import { wrongType, wrongValue } from './validate.js'
import type { HostConnection } from '../types/addon.js'
import type { PersistedSettings, SysctlValue } from '../types/settings.js'

const defaultPath = '/etc/sysctl.d/90-ipvs-netlink.conf'

const marker = '# Written by ipvs-netlink: persist() writes anew whatever follows.'
const header = [
  marker,
  '# net.ipv4.vs exists once ip_vs is loaded: name that module in /etc/modules-load.d.',
]

export const takePath = (value: unknown): string => {
  const allowed = 'a path'
  if (value === undefined) return defaultPath
  if (typeof value !== 'string') throw wrongType('path', allowed, value)
  if (value === '' || value.includes('\0')) throw wrongValue('path', allowed, value)
  return value
}

/** The text of the file; empty when there is none. A symbolic link is not followed: `ELOOP`. */
const textOf = async (path: string): Promise<string> =>
  readText(path, { followsLinks: false }).catch((error: unknown) => {
    if (isAbsence(error)) return ''
    throw error
  })

/**
 * Linux allows devices that are called `*` or `a=b`. What reads the file would write to all devices
 * instead, or to another one, as it takes the first `=` for the end of the name.
 */
const isPattern = (name: string): boolean => /[*?[\]{}\\=]/.test(name)

/** Settings as they stand in our part of the file. We write no patterns, and no second `=`. */
const parseSettings = (lines: readonly string[]): SysctlValue[] =>
  lines.flatMap((line) => {
    const [, name, value] = /^\s*(net\.[^\s=]+)\s*=\s*([^=]*?)\s*$/.exec(line) ?? []
    return name === undefined || value === undefined || isPattern(name) ? [] : [{ name, value }]
  })

const checkNames = (settings: readonly SysctlValue[]): void => {
  const wrong = settings.find(({ name }) => isPattern(name))
  if (!wrong) return
  throw new IpvsError(
    `Cannot persist ${wrong.name}: in a file of sysctl.d(5) that is no name but a pattern; none of * ? [ ] { } \\ = may be in it. Nothing was written`,
    { code: 'ERR_HOST_REFUSED', errno: 0, command: 'sysctl' },
  )
}

interface Group {
  readonly title: string
  readonly matches: RegExp
}

// Forwarding comes first: writing it sets others, of every device, anew.
const groups: readonly Group[] = [
  { title: 'Forwarding', matches: /^net\.ipv4\.ip_forward$|^net\.ipv6\.conf\.all\.forwarding$/ },
  { title: 'All devices, and those to come', matches: /^net\.ipv[46]\.conf\.(all|default)\./ },
  { title: 'Devices', matches: /^net\.ipv[46]\.conf\./ },
  { title: 'IPVS', matches: /^net\.ipv4\.vs\./ },
  { title: 'Others', matches: /^/ },
]

const groupOf = (name: string): number => groups.findIndex(({ matches }) => matches.test(name))

const inOrder = (settings: readonly SysctlValue[]): SysctlValue[] =>
  settings.toSorted(
    (one, other) => groupOf(one.name) - groupOf(other.name) || (one.name < other.name ? -1 : 1),
  )

const format = (settings: readonly SysctlValue[]): string[] =>
  settings.flatMap(({ name, value }, index) => {
    const group = groupOf(name)
    const before = settings[index - 1]
    const isFirst = before === undefined || groupOf(before.name) !== group
    const line = `${name} = ${value}`.trimEnd()
    return isFirst ? ['', `# ${groups[group]?.title ?? ''}`, line] : [line]
  })

/**
 * What the file said stays, unless it was set again or put back to something else: the program that
 * set it may have been started anew since, and found it as it wants it.
 */
const merge = (
  old: readonly SysctlValue[],
  records: ReadonlyMap<string, SettingRecord>,
): SysctlValue[] => {
  const kept = old.filter(({ name, value }) => {
    const record = records.get(name)
    return !record || (record.isPutBack && isSameValue(record.value, value))
  })
  const set = [...records]
    .filter(([, { isPutBack }]) => !isPutBack)
    .map(([name, { value }]) => ({ name, value: value.trim() }))
  return inOrder([...new Map([...kept, ...set].map((each) => [each.name, each])).values()])
}

const persistNow = async (native: HostConnection, path: string): Promise<PersistedSettings> => {
  const text = await textOf(path)
  const lines = text.replace(/\n$/, '').split('\n')
  const start = lines.indexOf(marker)
  // What was there before us is somebody else's, and stays as it is.
  const foreign = start < 0 ? lines : lines.slice(0, start)
  const own = start < 0 ? [] : lines.slice(start)
  const records = settingRecords(native)
  const settings = merge(parseSettings(own), records)
  checkNames(settings)
  const above = foreign.length === 1 && foreign[0] === '' ? [] : foreign
  const gap = start < 0 && above.length > 0 ? [''] : []
  await replaceFile(path, [...above, ...gap, ...header, ...format(settings), ''].join('\n'))
  notePersisted(native, records)
  return { path, settings }
}

let last: Promise<unknown> = Promise.resolve()

/**
 * One after the other, whichever handle calls: each adds to what the one before wrote. But only of this
 * instance of the module: of two processes or worker threads that persist to one path, each may drop
 * what the other merged.
 */
export const persist = async (native: HostConnection, path: string): Promise<PersistedSettings> => {
  const turn = last.then(() => persistNow(native, path))
  last = turn.catch(() => undefined)
  return turn
}
