// What is read of a machine, once, for all checks. Nothing is changed, and what cannot be read is
// undefined.

import { readFile, readlink } from 'node:fs/promises'
import { endianness, release } from 'node:os'

import { formatAddress } from '../address.js'
import type { Address } from '../address.js'
import { IpvsError } from '../errors.js'
import { listLinks } from '../link.js'
import { readSetting } from '../sysctl.js'
import { listAddresses } from '../addresses.js'
import type { HostConnection } from '../../types/addon.js'
import type { DiagnosisProfile } from '../../types/diagnosis.js'
import type { HostAddress } from '../../types/host.js'
import type { HostLink } from '../../types/link.js'
import type { Family } from '../../types/service.js'

/** A profile, checked. */
export interface Question {
  readonly role: DiagnosisProfile['role']
  readonly forwarding: DiagnosisProfile['forwarding']
  readonly tunnel: 'ipip' | 'gue' | 'gre'
  readonly vips: readonly Address[]
  readonly devices: readonly string[] | undefined
  readonly director: string | undefined
}

export interface Route {
  readonly family: Family
  readonly device: string
  /** Undefined: everything is on the link. */
  readonly gateway: string | undefined
}

export interface Facts extends Question {
  /** As uname(1) says, such as `6.12.1`. */
  readonly release: string
  /** Names of modules that are loaded or built in. */
  readonly loaded: ReadonlySet<string>
  /** Names of modules that can be loaded; undefined where /lib/modules has nothing for this kernel. */
  readonly loadable: ReadonlySet<string> | undefined
  /** First line of /proc/net/ip_vs. */
  readonly ipvs: string | undefined
  readonly capabilities: bigint | undefined
  readonly isInitialUserNamespace: boolean
  /** Options of the mount of /proc/sys. */
  readonly isReadOnly: boolean
  readonly addresses: readonly HostAddress[]
  /** By name. */
  readonly links: ReadonlyMap<string, HostLink>
  readonly defaultRoutes: readonly Route[]
  /** Devices that clients' packets arrive on. */
  readonly arrivals: readonly string[]
  /** A setting below net; undefined when there is none. */
  readonly setting: (...path: string[]) => Promise<string | undefined>
  readonly native: HostConnection
}

const readText = async (path: string): Promise<string | undefined> =>
  readFile(path, 'utf8').catch(() => undefined)

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '')

/** `kernel/net/netfilter/ipvs/ip_vs.ko.xz: ...` is `ip_vs`. */
const moduleName = (line: string): string =>
  line
    .replace(/:.*/, '')
    .replace(/.*\//, '')
    .replace(/\.ko.*/, '')
    .replaceAll('-', '_')

const readModules = async (): Promise<Pick<Facts, 'loaded' | 'loadable'>> => {
  const folder = `/lib/modules/${release()}`
  const [loaded, builtIn, known] = await Promise.all(
    ['/proc/modules', `${folder}/modules.builtin`, `${folder}/modules.dep`].map(readText),
  )
  const present = [
    ...lines(loaded ?? '').map((line) => line.replace(/ .*/, '')),
    ...lines(builtIn ?? '').map(moduleName),
  ]
  return {
    loaded: new Set(present),
    loadable: known === undefined ? undefined : new Set(lines(known).map(moduleName)),
  }
}

/** Of `proc` on /proc/sys, or on /proc: the last that is mounted there counts. */
const isProcReadOnly = (mounts: string): boolean => {
  const of = (place: string): string | undefined =>
    lines(mounts).findLast((line) => line.split(' ')[4] === place)
  const options = (of('/proc/sys') ?? of('/proc') ?? '').split(' ')[5] ?? ''
  return options.split(',').includes('ro')
}

/** The four bytes of /proc/net/route, which it shows as a number of this machine. */
const address4 = (hex: string): string => {
  const bytes = Buffer.from(hex, 'hex')
  return formatAddress('ipv4', endianness() === 'LE' ? bytes.reverse() : bytes)
}

const RTF_UP = 1

const routes4 = (text: string): Route[] =>
  lines(text)
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(([, destination, , , , , , mask]) => destination === '00000000' && mask === '00000000')
    .filter(([, , , flags = '0']) => (Number.parseInt(flags, 16) & RTF_UP) !== 0)
    .map(([device = '', , gateway = '']) => ({
      family: 'ipv4',
      device,
      gateway: /^0*$/.test(gateway) ? undefined : address4(gateway),
    }))

const routes6 = (text: string): Route[] =>
  lines(text)
    .map((line) => line.trim().split(/\s+/))
    .filter(([destination = '', length, , , , , , , , device]) => {
      return /^0*$/.test(destination) && length === '00' && device !== 'lo'
    })
    .map(([, , , , gateway = '', , , , , device = '']) => ({
      family: 'ipv6',
      device,
      gateway: /^0*$/.test(gateway)
        ? undefined
        : formatAddress('ipv6', Buffer.from(gateway, 'hex')),
    }))

const readCapabilities = async (): Promise<bigint | undefined> => {
  const [, hex] = /^CapEff:\s*([0-9a-f]+)/m.exec((await readText('/proc/self/status')) ?? '') ?? []
  return hex === undefined ? undefined : BigInt(`0x${hex}`)
}

/** PROC_USER_INIT_INO of the kernel. */
const initialUserNamespace = 'user:[4026531837]'

const isTunnel = (device: string): boolean =>
  /^(lo$|tunl|gre|sit|ip6tnl|ip6gre|fou|ipip)/.test(device)

const defaultArrivals = (addresses: readonly HostAddress[]): string[] => [
  ...new Set(
    addresses
      .filter(({ device, scope }) => scope === 'global' && !isTunnel(device))
      .map(({ device }) => device),
  ),
]

export const gatherFacts = async (native: HostConnection, question: Question): Promise<Facts> => {
  const netText = async (name: string): Promise<string | undefined> => {
    const { failure, value } = await native.readText(name)
    return failure ? undefined : value
  }
  const setting = async (...path: string[]): Promise<string | undefined> => {
    try {
      return await readSetting(native, path)
    } catch (cause) {
      if (IpvsError.is(cause)) return undefined
      throw cause
    }
  }
  const [modules, ipvs, capabilities, namespace, mounts, addresses, links, route4, route6] =
    await Promise.all([
      readModules(),
      netText('ip_vs'),
      readCapabilities(),
      readlink('/proc/self/ns/user').catch(() => initialUserNamespace),
      readText('/proc/self/mountinfo'),
      listAddresses(native, undefined),
      listLinks(native),
      netText('route'),
      netText('ipv6_route'),
    ])
  return {
    ...question,
    ...modules,
    release: release(),
    ipvs: ipvs === undefined ? undefined : lines(ipvs)[0],
    capabilities,
    isInitialUserNamespace: namespace === initialUserNamespace,
    isReadOnly: isProcReadOnly(mounts ?? ''),
    addresses,
    links: new Map(links.map((link) => [link.device, link])),
    defaultRoutes: [...routes4(route4 ?? ''), ...routes6(route6 ?? '')],
    arrivals: question.devices ?? defaultArrivals(addresses),
    setting,
    native,
  }
}

/** Whether `least` or newer, such as `5.2`. */
export const isKernelSince = (release: string, least: string): boolean => {
  const [major = 0, minor = 0] = release.split('.').map((part) => Number.parseInt(part, 10))
  const [leastMajor = 0, leastMinor = 0] = least.split('.').map(Number)
  return major > leastMajor || (major === leastMajor && minor >= leastMinor)
}

/** The families that matter: those of the virtual addresses. */
export const familiesOf = ({ vips }: Question): ReadonlySet<Family> =>
  new Set(vips.length === 0 ? ['ipv4'] : vips.map(({ family }) => family))

/** A setting of which the larger of `all` and the device counts; undefined without the device. */
export const effective = async (
  { setting }: Facts,
  device: string,
  name: string,
): Promise<number | undefined> => {
  const [all, own] = await Promise.all([
    setting('ipv4', 'conf', 'all', name),
    setting('ipv4', 'conf', device, name),
  ])
  return all === undefined || own === undefined ? undefined : Math.max(Number(all), Number(own))
}
