// Profiles of directors and of real servers with tunnels: what they set, and that nothing is left.

import t from 'tap'
import type { HostChange } from 'ipvs-netlink'

import { makeBed, refusal } from './bed.js'
import type { Bed } from './bed.js'

const conf = (device: string, name: string, family = 'ipv4'): string =>
  `net.${family}.conf.${device}.${name}`

/** All that a profile may touch, and its surroundings, as the kernel's own tools tell it. */
const everything = async ({ inside }: Bed): Promise<string[]> => {
  const [settings, addresses] = await Promise.all([
    inside('sysctl', '-a', '-r', '^net\\.(ipv4|ipv6)\\.(conf|vs|ip_forward)'),
    inside('ip', '-o', 'address'),
  ])
  // Devices that came with a module since are no trace of the profile.
  const ofModules = /(tunl0|gre0|gretap0|erspan0|ip6tnl0|ip6gre0|sync_qlen_max|stable_secret)/
  // Nor is it when the kernel has found that nobody else has an address.
  const settled = addresses.replaceAll(' tentative', '')
  return [...settings.split('\n'), ...settled.split('\n')].filter((line) => !ofModules.test(line))
}

const nameOf = (change: HostChange): string => {
  if (change.kind === 'sysctl') return `${change.name} ${change.before} ${change.after}`
  if (change.kind === 'address') return `${change.address} on ${change.device}`
  if (change.kind === 'link') return `${change.device} ${change.before} ${change.after}`
  return `${change.family} ${change.port} ${change.after}`
}

const makeDirector = async (t: Parameters<typeof makeBed>[0]): Promise<Bed> => {
  const bed = await makeBed(t)
  await bed.ipvs.info() // loads the module, so that its settings are there before
  await bed.inside('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1')
  for (const device of ['eth0', 'eth1'])
    await bed.inside('ip', 'link', 'set', device, 'addrgenmode', 'none', 'up')
  return bed
}

t.test('a NAT director, and everything back as it was', async (t) => {
  const bed = await makeDirector(t)
  const { host, inside } = bed
  // A hardened host: what the kernel writes along with ip_forward differs from its defaults.
  const own = [
    `${conf('all', 'accept_redirects')}=0`,
    `${conf('eth1', 'forwarding')}=1`,
    `${conf('eth0', 'rp_filter')}=1`,
    `${conf('eth0', 'accept_ra', 'ipv6')}=1`,
    `${conf('eth1', 'accept_ra', 'ipv6')}=0`,
    `${conf('eth1', 'forwarding', 'ipv6')}=1`,
  ]
  await inside('sysctl', '-q', '-w', ...own)
  const before = await everything(bed)
  const profile = {
    forwarding: 'nat',
    vip: ['10.0.0.100', '2001:db8::100'],
    device: ['eth0', 'eth1'],
    conntrack: true,
  } as const
  const preparation = await host.prepareDirector(profile)
  t.same(preparation.changed.map(nameOf), [
    'net.ipv4.vs.expire_nodest_conn 0 1',
    'net.ipv4.vs.conntrack 0 1',
    'net.ipv6.conf.eth0.accept_ra 1 2',
    'net.ipv4.ip_forward 0 1',
    'net.ipv6.conf.all.forwarding 0 1',
    'net.ipv4.conf.all.send_redirects 1 0',
    'net.ipv4.conf.eth0.send_redirects 1 0',
    'net.ipv4.conf.eth1.send_redirects 1 0',
    'net.ipv4.conf.eth0.rp_filter 1 2',
    '10.0.0.100 on eth0',
    '2001:db8::100 on eth0',
  ])
  for (const { why } of preparation.changed) t.match(why, /\w+ \w+/, 'says why')
  t.equal(await inside('sysctl', '-n', 'net.ipv4.ip_forward'), '1\n')
  t.equal(await inside('sysctl', '-n', 'net.ipv4.vs.conn_reuse_mode'), '1\n', 'as it was')
  const seen = await inside('ip', '-o', 'address', 'show', 'eth0')
  t.match(seen, /inet 10\.0\.0\.100\/32 scope global eth0:0/)
  t.match(seen, /2001:db8::100\/128 scope global.* deprecated/, 'never the source of its own')

  t.same((await host.prepareDirector(profile)).changed, [], 'idempotent')
  t.same(await preparation.undo(), { restored: preparation.changed.toReversed(), left: [] })
  t.same(await everything(bed), before)
})

t.test('directors of the other modes forward nothing', async (t) => {
  const bed = await makeDirector(t)
  const { host } = bed
  const before = await everything(bed)
  for (const forwarding of ['dr', 'tun'] as const) {
    const preparation = await host.prepareDirector({
      forwarding,
      vip: '10.0.0.100',
      device: 'eth0',
    })
    t.same(preparation.changed.map(nameOf), [
      'net.ipv4.vs.expire_nodest_conn 0 1',
      '10.0.0.100 on eth0',
    ])
    t.equal(await host.ipForward(), false)
    await preparation.undo()
  }
  const nat = await host.prepareDirector({ forwarding: 'nat' })
  for (const name of ['ip_forward', 'eth0.send_redirects', 'eth1.send_redirects']) {
    t.match(nat.changed.map(nameOf).join(), name)
  }
  await nat[Symbol.asyncDispose]()
  t.same(await everything(bed), before)
})

t.test('what somebody else has set meanwhile stays, and is named', async (t) => {
  const { host, inside } = await makeDirector(t)
  const preparation = await host.prepareDirector({ forwarding: 'nat', device: 'eth0' })
  await inside('sysctl', '-q', '-w', `${conf('eth1', 'forwarding')}=0`)
  const { left } = await preparation.undo()
  t.same(left.map(nameOf), [`${conf('eth1', 'forwarding')} 0 1`])
  const again = await host.prepareDirector({ forwarding: 'nat', device: 'eth0' })
  await inside('sysctl', '-q', '-w', 'net.ipv4.ip_forward=0')
  t.same((await again.undo()).left.map(nameOf), ['net.ipv4.ip_forward 0 1'])
})

t.test('a director whose last step fails is as it was', async (t) => {
  const bed = await makeDirector(t)
  const { host, inside } = bed
  await inside('sysctl', '-q', '-w', `${conf('eth0', 'disable_ipv6', 'ipv6')}=1`)
  const before = await everything(bed)
  const vip = ['10.0.0.100', '2001:db8::100']
  await t.rejects(
    host.prepareDirector({ forwarding: 'nat', vip, device: 'eth0' }),
    refusal('ERR_HOST_REFUSED', { message: /IPv6 is switched off on this device/ }),
  )
  await t.rejects(
    host.prepareDirector({ forwarding: 'nat', device: ['eth0', 'nosuch'] }),
    refusal('ERR_HOST_NO_DEVICE'),
  )
  t.same(await everything(bed), before)
})

const tunnels = [
  { tunnel: { type: 'ipip' }, devices: ['tunl0', 'ip6tnl0'] },
  { tunnel: { type: 'gue', port: 6080 }, devices: ['tunl0', 'ip6tnl0'] },
  { tunnel: { type: 'gre' }, devices: ['gre0', 'ip6gre0'] },
  { tunnel: { type: 'gre', checksum: 'csum' }, devices: ['ipvs-gre', 'ipvs-gre6'] },
] as const

t.test('real servers with tunnels, one after the other, and everything back', async (t) => {
  const bed = await makeDirector(t)
  const { host, inside } = bed
  // What a strict `all` asked for is then asked of each other device.
  await inside('sysctl', '-q', '-w', `${conf('all', 'rp_filter')}=1`)
  const before = await everything(bed)
  for (const { tunnel, devices } of tunnels) {
    const [device] = devices
    const vip = ['10.0.0.100', '2001:db8::100']
    const profile = { forwarding: 'tun', vip, device: 'eth0', tunnel } as const
    const preparation = await host.prepareRealServer(profile)
    const names = preparation.changed.map(nameOf)
    t.match(
      names.slice(0, 4),
      [/arp_ignore/, /arp_announce/, /arp_ignore/, /arp_announce/],
      'ARP first',
    )
    t.match(names.slice(-2), [/10\.0\.0\.100 on lo/, /2001:db8::100 on lo/], 'VIPs last')
    const filters = ['all', device, 'eth0', 'lo'].map((each) => conf(each, 'rp_filter'))
    t.equal(await inside('sysctl', '-n', ...filters), '0\n0\n1\n1\n')
    const links = await inside('ip', '-o', 'link')
    for (const each of devices) t.match(links, new RegExp(`: ${each}[:@].*[<,]UP[,>]`))
    if (tunnel.type === 'gue') {
      t.match(await inside('ip', 'fou', 'show'), /port 6080 gue/)
      t.match(await inside('ip', '-6', 'fou', 'show'), /port 6080 gue -6/)
    }
    t.same((await host.prepareRealServer(profile)).changed, [], 'idempotent')
    const { restored, left } = await preparation.undo()
    t.equal(restored.length + left.length, preparation.changed.length)
    for (const change of left) {
      t.match(change, { kind: 'link', before: 'absent' }, 'came with its module')
    }
    if (left.length > 0) {
      t.match(await inside('ip', '-o', 'link', 'show', devices[0]), /state DOWN/)
    }
    if (devices[0] === 'ipvs-gre') t.same(left, [], 'a device of our own goes')
    if (tunnel.type === 'gue') t.notMatch(await inside('ip', 'fou', 'show'), /6080/)
  }
  t.same(await everything(bed), before)
})

t.test('tunnels that cannot be', async (t) => {
  const { host, inside } = await makeDirector(t)
  await inside('ip', 'link', 'add', 'ipvs-gre', 'type', 'dummy')
  const base = { forwarding: 'tun', vip: '10.0.0.100', device: 'eth0' } as const
  const before = await inside('sysctl', '-a', '-r', 'arp_(ignore|announce)')
  await t.rejects(
    host.prepareRealServer({ ...base, tunnel: { type: 'gre', checksum: 'csum' } }),
    refusal('ERR_HOST_REFUSED', { message: /ipvs-gre.*kind dummy/ }),
  )
  await inside('ip', 'fou', 'add', 'port', '6081', 'ipproto', '4')
  await t.rejects(
    host.prepareRealServer({ ...base, tunnel: { type: 'gue', port: 6081 } }),
    refusal('ERR_HOST_REFUSED', { message: /somebody else listens/ }),
  )
  t.equal(await inside('sysctl', '-a', '-r', 'arp_(ignore|announce)'), before)
})
