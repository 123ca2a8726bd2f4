// IPVS's own settings, net.ipv4.vs.*: the one table that names, reads and checks them.

import { release } from 'node:os'

import { E2BIG, ENOENT } from './errno.js'
import { errorFor, IpvsError, isUnknown, retold } from './errors.js'
import { isSameValue } from './wants.js'
import { nameSetting, noteSetting, putSetting, takeSettingValue } from './sysctl.js'
import { takeBoolean, takeInteger, takeObject, wrongType, wrongValue } from './validate.js'
import type { HostConnection } from '../types/addon.js'
import type { IpvsSettings, KnownIpvsSettings } from '../types/settings.js'

type Value = boolean | number | string | readonly [number, number]

interface IpvsSetting {
  readonly parse: (text: string) => Value
  /** Throws for what it cannot be. */
  readonly take: (value: unknown, path: string) => Value
  /** What has to be there for the kernel to have it, where that is more than IPVS. */
  readonly needs: string
}

const boolean = (needs = ''): IpvsSetting => ({
  parse: (text) => text !== '0',
  take: takeBoolean,
  needs,
})

const integer = (least: number, most: number, needs = ''): IpvsSetting => ({
  parse: Number,
  take: (value, path) => takeInteger(value, path, least, most),
  needs,
})

const processorList = (needs: string): IpvsSetting => ({
  parse: (text) => text,
  take: (value, path) => {
    const allowed = "a list of processors such as '0,2-3', 'all' or ''"
    if (typeof value !== 'string') throw wrongType(path, allowed, value)
    if (!/^(?:[0-9N,:/-]|all)*$/.test(value)) throw wrongValue(path, allowed, value)
    return value
  },
  needs,
})

const most = 2 ** 31 - 1

const threshold: IpvsSetting = {
  parse: (text) => {
    const [first = 0, second = 0] = text.split(/\s+/).map(Number)
    return [first, second]
  },
  take: (value, path) => {
    const allowed = 'two integers, the first below the second or the second 0'
    if (!Array.isArray(value)) throw wrongType(path, allowed, value)
    if (value.length !== 2) throw wrongValue(path, allowed, value)
    const first = takeInteger(value[0], `${path}[0]`, 0, most)
    const second = takeInteger(value[1], `${path}[1]`, 0, most)
    if (first >= second && second !== 0) throw wrongValue(path, allowed, value)
    return [first, second]
  },
  needs: '',
}

const powerOfTwo = (largest: number): IpvsSetting => ({
  parse: Number,
  take: (value, path) => {
    const taken = takeInteger(value, path, 1, largest)
    if (!Number.isInteger(Math.log2(taken))) throw wrongValue(path, 'a power of 2', value)
    return taken
  },
  needs: '',
})

/** Longest time in seconds that fits, in jiffies of any kernel (HZ 1000), 31 bits. */
const longest = 2_147_483

const estimators = 'Linux 6.2'
const tables = 'Linux 7.2'

/** By property; the kernel's name is the same in small letters and with `_`. */
export const ipvsSettingTable = {
  amDroprate: integer(0, most),
  amemthresh: integer(0, most),
  backupOnly: boolean(),
  cacheBypass: boolean(),
  connLfactor: integer(-8, 8, tables),
  connMax: integer(0, 2 ** 30, tables),
  connReuseMode: integer(0, 3),
  conntrack: boolean('a kernel with CONFIG_IP_VS_NFCT'),
  debugLevel: integer(0, 12, 'a kernel with CONFIG_IP_VS_DEBUG'),
  dropEntry: integer(0, 3),
  dropPacket: integer(0, 3),
  estCpulist: processorList(estimators),
  estNice: integer(-20, 19, estimators),
  expireNodestConn: boolean(),
  expireQuiescentTemplate: boolean(),
  ignoreTunneled: boolean(),
  lblcExpiration: integer(0, longest, 'the module ip_vs_lblc'),
  lblcrExpiration: integer(0, longest, 'the module ip_vs_lblcr'),
  natIcmpSend: boolean(),
  pmtuDisc: boolean(),
  runEstimation: boolean(),
  scheduleIcmp: boolean(),
  secureTcp: integer(0, 3),
  sloppySctp: boolean(),
  sloppyTcp: boolean(),
  snatReroute: boolean(),
  syncPersistMode: integer(0, 1),
  syncPorts: powerOfTwo(64),
  syncQlenMax: integer(0, Number.MAX_SAFE_INTEGER),
  syncRefreshPeriod: integer(0, longest),
  syncRetries: integer(0, 3),
  syncSockSize: integer(0, most),
  syncThreshold: threshold,
  syncVersion: integer(0, 1),
  svcLfactor: integer(-8, 8, tables),
} as const satisfies Record<keyof KnownIpvsSettings, IpvsSetting>

const folder = ['ipv4', 'vs'] as const

/** The kernel's name of a property: `expire_nodest_conn` for `expireNodestConn`. */
export const kernelName = (property: string): string =>
  property.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const properties = new Map(
  Object.keys(ipvsSettingTable).map((property) => [
    kernelName(property),
    property as keyof typeof ipvsSettingTable,
  ]),
)

/** A change, checked. */
export interface IpvsSettingChange {
  /** The kernel's. */
  readonly name: string
  readonly text: string
  readonly needs: string
}

const textOf = (value: Value): string => (Array.isArray(value) ? value.join(' ') : String(value))

const takeKnown = (
  property: keyof typeof ipvsSettingTable,
  value: unknown,
  path: string,
): IpvsSettingChange => {
  const { take, needs } = ipvsSettingTable[property]
  const taken = take(value, path)
  const text = takeSettingValue(typeof taken === 'boolean' ? taken : textOf(taken), path)
  return { name: kernelName(property), text, needs }
}

/** Under the kernel's own name, and with the kernel's own text. */
const takeRaw = (name: string, value: unknown, path: string): IpvsSettingChange => {
  const text = takeSettingValue(value, path)
  const property = properties.get(name)
  if (property === undefined) return { name, text, needs: '' }
  return takeKnown(property, ipvsSettingTable[property].parse(text.trim()), path)
}

const isKnown = (key: string): key is keyof typeof ipvsSettingTable =>
  Object.hasOwn(ipvsSettingTable, key)

export const takeIpvsSettingChanges = (value: unknown): IpvsSettingChange[] => {
  const names = Object.keys(ipvsSettingTable)
  const raw =
    typeof value === 'object' && value !== null
      ? Object.keys(value).filter((key) => /^[a-z][a-z0-9_]*$/.test(key))
      : []
  const given = takeObject(value, 'changes', [...names, ...raw])
  const changes = new Map<string, IpvsSettingChange>()
  for (const [key, each] of Object.entries(given)) {
    if (each === undefined) continue
    const path = `changes.${key}`
    const change = isKnown(key) ? takeKnown(key, each, path) : takeRaw(key, each, path)
    if (changes.has(change.name)) throw wrongValue(path, 'given once', each)
    changes.set(change.name, change)
  }
  return [...changes.values()]
}

type Texts = ReadonlyMap<string, string>

const failureOf = (failure: Parameters<typeof errorFor>[0], what: string): IpvsError =>
  errorFor(failure, { command: 'sysctl', what: () => what, changes: false })

const textsOf = (values: Readonly<Record<string, string>>): Texts =>
  new Map(Object.entries(values).map(([name, value]) => [name, value.replace(/\n$/, '')]))

/** By the kernel's names. Has the kernel load IPVS where it is not there yet. */
const readTexts = async (native: HostConnection, what: string): Promise<Texts> => {
  let reply = await native.readSettings(folder.join('/'))
  if (reply.failure?.errno === ENOENT) {
    const failure = await native.loadFamily('IPVS')
    if (failure) throw failureOf(failure, what)
    reply = await native.readSettings(folder.join('/'))
  }
  if (reply.failure) throw failureOf(reply.failure, what)
  const texts = textsOf(reply.values)
  if (texts.size > 0) return texts
  throw new IpvsError(
    `Cannot ${what}: the kernel shows none of them in a network namespace that belongs to another user namespace`,
    { code: 'ERR_HOST_NO_SYSCTL', errno: -ENOENT, command: 'sysctl' },
  )
}

const settingsFrom = (texts: Texts): IpvsSettings =>
  Object.fromEntries(
    [...texts].map(([name, text]) => {
      const property = properties.get(name)
      return property === undefined
        ? [name, text]
        : [property, ipvsSettingTable[property].parse(text)]
    }),
  ) as unknown as IpvsSettings

export const ipvsSettings = async (native: HostConnection): Promise<IpvsSettings> =>
  settingsFrom(await readTexts(native, 'read the settings of IPVS'))

/** Those that are there already; undefined where IPVS is not loaded or its settings are hidden. */
export const presentIpvsSettings = async (
  native: HostConnection,
): Promise<IpvsSettings | undefined> => {
  const { failure, values } = await native.readSettings(folder.join('/'))
  const texts = textsOf(values)
  return failure || texts.size === 0 ? undefined : settingsFrom(texts)
}

const checkPresent = (changes: readonly IpvsSettingChange[], texts: Texts): void => {
  for (const { name, needs } of changes) {
    if (texts.has(name)) continue
    const why = needs === '' ? '' : `; it needs ${needs}`
    throw new IpvsError(
      `Cannot set net.ipv4.vs.${name}: this kernel, ${release()}, has no such setting${why}. Nothing was changed`,
      { code: 'ERR_HOST_NO_SYSCTL', errno: -ENOENT, command: 'sysctl' },
    )
  }
}

/** The kernel took the beginning of a value: the setting has changed. */
const isOfPart = (error: unknown): boolean => IpvsError.is(error) && error.errno === -E2BIG

/** Writes what was there before; answers the error for which that had to be, and what failed besides. */
const putBack = async (
  native: HostConnection,
  names: readonly string[],
  before: Texts,
  error: unknown,
): Promise<unknown> => {
  const stuck: string[] = []
  const errors: unknown[] = []
  for (const name of names.toReversed()) {
    const setting = [...folder, name]
    await putSetting(native, setting, before.get(name) ?? '').catch((undoError: unknown) => {
      stuck.push(nameSetting(setting))
      errors.push(undoError)
    })
  }
  if (stuck.length > 0) {
    const message = `Not all settings could be set, and these could not be put back: ${stuck.join(', ')}`
    return new AggregateError([error, ...errors], message)
  }
  if (!isOfPart(error)) return error
  const last = nameSetting([...folder, names.at(-1) ?? ''])
  const why = 'the kernel took only the beginning of the value, and it was put back'
  return retold(error, () => `Cannot set ${last}: ${why}`)
}

/** Writes what differs. When the kernel refuses one, those before it are put back. */
export const setIpvsSettings = async (
  native: HostConnection,
  changes: readonly IpvsSettingChange[],
): Promise<IpvsSettings> => {
  const before = await readTexts(native, 'set the settings of IPVS')
  checkPresent(changes, before)
  const tried: string[] = []
  try {
    for (const { name, text } of changes) {
      if (isSameValue(before.get(name) ?? '', text)) continue
      tried.push(name)
      await putSetting(native, [...folder, name], text)
    }
  } catch (error) {
    // The last one failed, unless a part of it was written, or nobody knows.
    const isWritten = isUnknown(error) || isOfPart(error)
    throw await putBack(native, isWritten ? tried : tried.slice(0, -1), before, error)
  }
  for (const { name, text } of changes) noteSetting(native, [...folder, name], text)
  const written = changes.map(({ name, text }) => [name, text.trim()] as const)
  // Who is told of an error takes it that nothing was set.
  return ipvsSettings(native).catch(() => settingsFrom(new Map([...before, ...written])))
}
