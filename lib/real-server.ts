// What a real server needs.

import type { Address } from './address.js'
import { takeTunnel } from './destination.js'
import type { TunnelDevice } from './link.js'
import { bringUp, createTunnelDevice, openGuePort } from './link-steps.js'
import { hideFromArp, noReversePath } from './setting-steps.js'
import type { Step } from './trail.js'
import {
  orDefault,
  takeAddress,
  takeDevice,
  takeList,
  takeObject,
  takeOneOf,
  wrongType,
  wrongValue,
} from './validate.js'
import { haveVips } from './vip-steps.js'
import type { Tunnel } from '../types/destination.js'
import type { Family } from '../types/service.js'

interface RealServer {
  readonly vips: readonly Address[]
  readonly families: readonly Family[]
  readonly devices: readonly string[]
  readonly tunnel: Tunnel | undefined
}

const takeProfileTunnel = (value: unknown, path: string, forwarding: string) => {
  if (forwarding === 'tun') {
    const tunnel = orDefault(value, { type: 'ipip' })
    takeTunnel(tunnel, path)
    return tunnel as Tunnel
  }
  if (value !== undefined) throw wrongValue(path, `absent with ${forwarding} forwarding`, value)
  return undefined
}

const hasChecksum = (tunnel: Tunnel | undefined): boolean =>
  tunnel?.type === 'gre' && tunnel.checksum === 'csum'

const takeRealServer = (value: unknown): RealServer => {
  const path = 'profile'
  const properties = takeObject(value, path, ['forwarding', 'vip', 'device', 'tunnel'])
  const forwarding = takeOneOf(properties['forwarding'], `${path}.forwarding`, ['nat', 'dr', 'tun'])
  const tunnel = takeProfileTunnel(properties['tunnel'], `${path}.tunnel`, forwarding)
  const { vip, device } = properties
  const devices = device === undefined ? [] : takeList(device, `${path}.device`, takeDevice)
  if (forwarding === 'nat') {
    if (vip !== undefined) takeList(vip, `${path}.vip`, takeAddress)
    return { vips: [], families: [], devices, tunnel }
  }
  if (vip === undefined) throw wrongType(`${path}.vip`, 'an address or several', vip)
  const vips = takeList(vip, `${path}.vip`, takeAddress)
  const families = [...new Set(vips.map(({ family }) => family))]
  if (device === undefined && (families.includes('ipv4') || hasChecksum(tunnel))) {
    throw wrongType(`${path}.device`, 'the device on which packets arrive, or several', device)
  }
  return { vips, families, devices, tunnel }
}

/** The devices that come with the modules, and take whatever no other device does. */
const tunnelDevices: Readonly<Record<Family, Readonly<Record<Tunnel['type'], TunnelDevice>>>> = {
  ipv4: {
    ipip: { device: 'tunl0', kind: 'ipip' },
    gue: { device: 'tunl0', kind: 'ipip' },
    gre: { device: 'gre0', kind: 'gre' },
  },
  ipv6: {
    ipip: { device: 'ip6tnl0', kind: 'ip6tnl' },
    gue: { device: 'ip6tnl0', kind: 'ip6tnl' },
    gre: { device: 'ip6gre0', kind: 'ip6gre' },
  },
}

/** gre0 drops packets with a checksum, so that these have a device of their own. */
const checkedDevices = { ipv4: 'ipvs-gre', ipv6: 'ipvs-gre6' } as const

const tunnelDevice = (family: Family, tunnel: Tunnel, parent: string): TunnelDevice => {
  const usual = tunnelDevices[family][tunnel.type]
  return hasChecksum(tunnel) ? { ...usual, device: checkedDevices[family], parent } : usual
}

const tunnelSteps = (family: Family, tunnel: Tunnel, parent: string): Step[] => {
  const receiver = tunnelDevice(family, tunnel, parent)
  const { device } = receiver
  return [
    createTunnelDevice("the director's packets come in a tunnel, which ends here", receiver),
    ...(family === 'ipv4'
      ? [
          noReversePath(
            'packets of clients come out of the tunnel, while the route to them leads elsewhere',
            device,
          ),
        ]
      : []),
    bringUp('only a device that is up takes packets', device),
    ...(tunnel.type === 'gue'
      ? [
          openGuePort('the tunnel is wrapped in UDP, and unwrapped first', {
            port: tunnel.port,
            family,
          }),
        ]
      : []),
  ]
}

/** The steps of a real server's profile, checked. ARP comes before the address that it would tell. */
export const realServerSteps = (value: unknown): Step[] => {
  const { vips, families, devices, tunnel } = takeRealServer(value)
  const [parent = ''] = devices
  return [
    ...(families.includes('ipv4')
      ? [hideFromArp('the director alone answers when the network asks for the VIP', devices)]
      : []),
    ...(tunnel ? families.flatMap((family) => tunnelSteps(family, tunnel, parent)) : []),
    haveVips('requests arrive with the VIP as their destination, which has to be an own address', {
      addresses: vips,
      device: 'lo',
      suffices: 'lo',
    }),
  ]
}
