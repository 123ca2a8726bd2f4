// What a director needs around its virtual services.

import { release } from 'node:os'

import type { Address } from './address.js'
import { checkAnnouncements } from './announce.js'
import { devicePath } from './device-setting.js'
import { errorFor } from './errors.js'
import { forward, looseReversePath, settings, wishOfEach } from './setting-steps.js'
import type { Wish } from './setting-steps.js'
import { readSetting } from './sysctl.js'
import type { Step } from './trail.js'
import { vipOn } from './vip.js'
import { haveVips } from './vip-steps.js'
import {
  orDefault,
  takeAddress,
  takeBoolean,
  takeDevice,
  takeList,
  takeObject,
  takeOneOf,
  wrongValue,
} from './validate.js'
import type { Family } from '../types/service.js'

interface Director {
  readonly forwarding: 'nat' | 'dr' | 'tun'
  readonly vips: readonly Address[]
  readonly devices: readonly string[]
  readonly families: readonly Family[]
  readonly conntrack: boolean
  readonly announced: boolean
}

const takeFamilies = (value: unknown, path: string, vips: readonly Address[]): Family[] => {
  if (vips.length === 0) {
    return [takeOneOf(orDefault(value, 'ipv4'), path, ['ipv4', 'ipv6'])]
  }
  if (value !== undefined) throw wrongValue(path, 'absent: the VIPs have it', value)
  return [...new Set(vips.map(({ family }) => family))]
}

const takeConntrack = (value: unknown, path: string): boolean => {
  if (value === undefined) return false
  if (!takeBoolean(value, path)) throw wrongValue(path, 'true or absent', value)
  return true
}

const takeAnnounce = (value: unknown, path: string, profile: Omit<Director, 'announced'>) => {
  const announced = takeBoolean(orDefault(value, false), path)
  if (announced && (profile.vips.length === 0 || (profile.devices[0] ?? 'lo') === 'lo')) {
    throw wrongValue(path, 'absent or false without a VIP on a real device', value)
  }
  return announced
}

const takeDirector = (value: unknown): Director => {
  const path = 'profile'
  const names = ['forwarding', 'vip', 'device', 'family', 'conntrack', 'announce']
  const properties = takeObject(value, path, names)
  const { vip, device, family, conntrack, announce } = properties
  const forwarding = takeOneOf(properties['forwarding'], `${path}.forwarding`, ['nat', 'dr', 'tun'])
  const vips = vip === undefined ? [] : takeList(vip, `${path}.vip`, takeAddress)
  const profile = {
    forwarding,
    vips,
    devices: device === undefined ? [] : takeList(device, `${path}.device`, takeDevice),
    families: takeFamilies(family, `${path}.family`, vips),
    conntrack: takeConntrack(conntrack, `${path}.conntrack`),
  }
  return { ...profile, announced: takeAnnounce(announce, `${path}.announce`, profile) }
}

const vs = (name: string): readonly string[] => ['ipv4', 'vs', name]

/** The settings below net.ipv4.vs come with the module. */
const loadIpvs: Step = async (native) => {
  const failure = await native.loadFamily('IPVS')
  if (!failure) return []
  throw errorFor(failure, { command: 'host', what: () => 'prepare a director', changes: false })
}

/**
 * Before Linux 5.9 a client that used a port again waited a second with the default of 1; since
 * then 0 would only send it to real servers that take no more connections.
 */
export const wantsNoReuse = (kernel: string): boolean => {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10))
  return major < 5 || (major === 5 && minor < 9)
}

const ipvsSteps = ({ conntrack }: Director): Step[] => [
  loadIpvs,
  settings('connections of a real server that was removed end at once, and are balanced anew', [
    { setting: vs('expire_nodest_conn'), value: '1' },
  ]),
  ...(wantsNoReuse(release())
    ? [
        settings('before Linux 5.9, clients that use a port again would wait for a second', [
          { setting: vs('conn_reuse_mode'), value: '0' },
        ]),
      ]
    : []),
  ...(conntrack
    ? [
        settings('netfilter rules for masquerading or states see what IPVS forwards', [
          { setting: vs('conntrack'), value: '1' },
        ]),
      ]
    : []),
]

const believesRouters =
  (devices: readonly string[]) =>
  async (native: Parameters<Step>[0]): Promise<Wish[]> => {
    const wishes: Wish[] = []
    for (const device of devices) {
      const setting = devicePath('ipv6', device, 'accept_ra')
      // 0 believes nobody, and 2 is what it is to be.
      if ((await readSetting(native, setting)) !== '0') wishes.push({ setting, value: '2' })
    }
    return wishes
  }

const noRedirects =
  (devices: readonly string[]) =>
  async (native: Parameters<Step>[0]): Promise<Wish[]> => {
    const wishOf = (device: string): Wish => ({
      setting: devicePath('ipv4', device, 'send_redirects'),
      value: '0',
    })
    return [wishOf('all'), ...(await wishOfEach(native, devices, wishOf))]
  }

const routerSteps = ({ families, devices }: Director): Step[] => [
  ...(families.includes('ipv6')
    ? [
        settings(
          'a router forgets the default route that it learnt from another, unless told to keep it',
          believesRouters(devices),
        ),
      ]
    : []),
  ...families.map((family) =>
    forward('answers of the real servers are forwarded to the clients', family),
  ),
  ...families.map((family) =>
    settings(
      'a device may be excluded from forwarding',
      devices.map((device) => ({
        setting: devicePath(family, device, 'forwarding'),
        value: '1',
      })),
    ),
  ),
  ...(families.includes('ipv4')
    ? [
        settings(
          'a redirect would lead answers past the director, where clients and real servers share a network; the kernel sends one if either all or the device says so',
          noRedirects(devices),
        ),
      ]
    : []),
]

/** The steps of a director's profile, checked. */
export const directorSteps = (value: unknown): Step[] => {
  const director = takeDirector(value)
  const { forwarding, vips, devices, families, announced } = director
  const [device = 'lo'] = devices
  return [
    ...(announced
      ? [
          async (native: Parameters<Step>[0]) => {
            await checkAnnouncements(
              native,
              vips.map((vip) => vipOn(device, vip)),
            )
            return []
          },
        ]
      : []),
    ...ipvsSteps(director),
    ...(forwarding === 'nat' ? routerSteps(director) : []),
    ...(families.includes('ipv4')
      ? [
          looseReversePath(
            "requests are accepted also where the client's route leads over another device",
            devices,
          ),
        ]
      : []),
    haveVips('clients find the director under the VIP', {
      addresses: vips,
      device,
      announced,
      deprecated: true,
    }),
  ]
}
