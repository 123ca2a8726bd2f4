import { readFile } from 'node:fs/promises'

import t from 'tap'

import { makeBed, refusal } from './bed.js'

const conf = (device: string, name: string): string => `net.ipv4.conf.${device}.${name}`

t.test('settings are those of the namespace, as sysctl(8) sees them', async (t) => {
  const { host, inside } = await makeBed(t)
  const own = await readFile('/proc/sys/net/ipv4/ip_forward', 'utf8')
  t.equal(await host.ipForward(), false)
  t.equal(await host.ipForward(true), true)
  t.equal(await inside('sysctl', '-n', 'net.ipv4.ip_forward'), '1\n')
  t.equal(await host.getSysctl('net/ipv4/ip_forward'), '1')
  t.equal(await readFile('/proc/sys/net/ipv4/ip_forward', 'utf8'), own)
  t.equal(await host.ipForward(true, { family: 'ipv6' }), true)
  t.equal(await inside('sysctl', '-n', 'net.ipv6.conf.all.forwarding'), '1\n')
  t.equal(await host.ipForward({ family: 'ipv6' }), true)
  await host.setSysctl('net.ipv4.ip_local_port_range', '10000 20000')
  t.equal(await inside('sysctl', '-n', 'net.ipv4.ip_local_port_range'), '10000\t20000\n')
  await host.setSysctl(conf('lo', 'rp_filter'), 2)
  t.equal(await host.getSysctl(conf('lo', 'rp_filter')), '2')
})

t.test('devices with a dot in their name', async (t) => {
  const { host, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0.5', 'type', 'dummy')
  await host.setSysctl('net.ipv4.conf.eth0/5.arp_ignore', 1)
  t.equal(await host.getSysctl('net/ipv4/conf/eth0.5/arp_ignore'), '1')
  t.match(await host.suppressArp('eth0.5'), [{ device: 'eth0.5', suppressed: true }])
})

t.test('settings that the kernel does not have or does not accept', async (t) => {
  const { host } = await makeBed(t)
  await t.rejects(host.getSysctl('net.ipv4.nosuch'), refusal('ERR_HOST_NO_SYSCTL'))
  await t.rejects(host.getSysctl('net.ipv4'), refusal('ERR_HOST_NO_SYSCTL'))
  await t.rejects(host.setSysctl('net.ipv4.ip_default_ttl', 256), refusal('ERR_HOST_REFUSED'))
  await t.rejects(host.setSysctl('net.ipv4.ip_forward', 'maybe'), refusal('ERR_HOST_REFUSED'))
})

t.test('VIPs as ip(8) sees them', async (t) => {
  const { host, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  await inside('ip', 'link', 'set', 'eth0', 'up')
  t.match(await host.addVip({ address: '10.0.0.1' }), { label: 'lo:0', prefixLength: 32 })
  t.match(await host.addVip({ address: '10.0.0.2' }), { label: 'lo:1' })
  t.match(await host.addVip({ address: '10.0.0.3', label: 'lo:web' }), { label: 'lo:web' })
  await host.addVip({ address: '10.0.0.4', device: 'eth0', prefixLength: 24 })
  await host.addVip({ address: '2001:db8::1' })
  await host.addVip({ address: '2001:db8::2', device: 'eth0' })
  const seen = await inside('ip', '-o', 'address', 'show')
  t.match(seen, /lo +inet 10\.0\.0\.1\/32 scope global lo:0/)
  t.match(seen, /lo +inet 10\.0\.0\.2\/32 scope global lo:1/)
  t.match(seen, /lo +inet 10\.0\.0\.3\/32 scope global lo:web/)
  t.match(seen, /eth0 +inet 10\.0\.0\.4\/24 scope global eth0:0/)
  t.match(seen, /lo +inet6 2001:db8::1\/128 scope global/)
  t.match(seen, /eth0 +inet6 2001:db8::2\/128 scope global nodad/)

  const addresses = await host.listAddresses('lo')
  t.match(
    addresses.find(({ address }) => address === '10.0.0.2'),
    { family: 'ipv4', prefixLength: 32, device: 'lo', label: 'lo:1', scope: 'global' },
  )
  t.match(
    addresses.find(({ address }) => address === '::1'),
    { family: 'ipv6', prefixLength: 128, scope: 'host', tentative: false },
  )
  t.notOk(addresses.some(({ device }) => device !== 'lo'))
  t.ok((await host.listAddresses()).some(({ device }) => device === 'eth0'))

  await host.deleteVip({ address: '10.0.0.1' })
  t.match(await host.addVip({ address: '10.0.0.9' }), { label: 'lo:0' }, 'the first free label')
  for (const address of await host.listAddresses('lo')) {
    if (address.scope === 'global') await host.deleteVip(address)
  }
  t.match(await inside('ip', '-o', '-4', 'address', 'show', 'lo'), /127\.0\.0\.1\/8/)
  t.notMatch(await inside('ip', '-o', 'address', 'show', 'lo'), /scope global/)
})

t.test('addresses that the kernel refuses', async (t) => {
  const { host } = await makeBed(t)
  const vip = { address: '10.0.0.1' }
  await host.addVip(vip)
  await t.rejects(host.addVip(vip), refusal('ERR_HOST_ADDRESS_EXISTS', { errno: -17 }))
  await host.deleteVip(vip)
  await t.rejects(host.deleteVip(vip), refusal('ERR_HOST_NO_ADDRESS', { errno: -99 }))
  await t.rejects(host.addVip({ ...vip, device: 'nosuch' }), refusal('ERR_HOST_NO_DEVICE'))
  await t.rejects(host.deleteVip({ ...vip, device: 'nosuch' }), refusal('ERR_HOST_NO_DEVICE'))
  await t.rejects(host.listAddresses('nosuch'), refusal('ERR_HOST_NO_DEVICE'))
  await t.rejects(host.suppressArp('nosuch'), refusal('ERR_HOST_NO_DEVICE'))
  t.equal(await host.getSysctl(conf('all', 'arp_ignore')), '0', 'nothing was written before')
})

t.test('ARP suppression is what is effective, and stricter values stay', async (t) => {
  const { host, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  t.same(await host.arpSuppression(['eth0']), [
    { device: 'eth0', arpIgnore: 0, arpAnnounce: 0, suppressed: false },
  ])
  t.same(await host.suppressArp(['eth0']), [
    { device: 'eth0', arpIgnore: 1, arpAnnounce: 2, suppressed: true },
  ])
  for (const device of ['all', 'eth0']) {
    t.equal(await inside('sysctl', '-n', conf(device, 'arp_ignore')), '1\n')
    t.equal(await inside('sysctl', '-n', conf(device, 'arp_announce')), '2\n')
  }
  // The kernel takes the larger of `all` and the device, and 3 answers for a VIP on lo.
  await inside('sysctl', '-w', `${conf('eth0', 'arp_ignore')}=3`)
  t.match(await host.arpSuppression('eth0'), [{ arpIgnore: 3, suppressed: false }])
  t.match(await host.suppressArp('eth0'), [{ arpIgnore: 1, suppressed: true }])
  await inside('sysctl', '-w', `${conf('all', 'arp_ignore')}=8`)
  t.match(await host.suppressArp('eth0'), [{ arpIgnore: 8, suppressed: true }])
})

t.test('prepareRealServer is idempotent, and undo puts back exactly what it changed', async (t) => {
  const { host, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  await inside('sysctl', '-w', `${conf('eth0', 'arp_announce')}=1`)
  const profile = { forwarding: 'dr', vip: ['10.0.0.1', '2001:db8::1'], device: 'eth0' } as const
  const settings = async (): Promise<string> =>
    inside('sysctl', '-a', '-r', 'arp_(ignore|announce)')
  const before = [await settings(), await inside('ip', '-o', 'address')]

  const preparation = await host.prepareRealServer(profile)
  t.match(preparation.changed, [
    { kind: 'sysctl', name: conf('all', 'arp_ignore'), before: '0', after: '1' },
    { kind: 'sysctl', name: conf('all', 'arp_announce'), before: '0', after: '2' },
    { kind: 'sysctl', name: conf('eth0', 'arp_ignore'), before: '0', after: '1' },
    { kind: 'sysctl', name: conf('eth0', 'arp_announce'), before: '1', after: '2' },
    { kind: 'address', address: '10.0.0.1', prefixLength: 32, device: 'lo', label: 'lo:0' },
    { kind: 'address', address: '2001:db8::1', prefixLength: 128, device: 'lo' },
  ])
  t.same((await host.prepareRealServer(profile)).changed, [])
  const report = await preparation.undo()
  t.same(report, { restored: preparation.changed.toReversed(), left: [] })
  t.same(await preparation.undo(), report, 'undoing twice is harmless')
  t.same([await settings(), await inside('ip', '-o', 'address')], before)
})

t.test('undo leaves alone what somebody else changed meanwhile', async (t) => {
  const { host, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  const profile = { forwarding: 'dr', vip: '10.0.0.1', device: 'eth0' } as const
  const preparation = await host.prepareRealServer(profile)
  await inside('sysctl', '-w', `${conf('all', 'arp_ignore')}=2`)
  await inside('ip', 'address', 'delete', '10.0.0.1/32', 'dev', 'lo')
  const { restored, left } = await preparation.undo()
  t.match(left, [{ kind: 'address' }, { name: conf('all', 'arp_ignore') }])
  t.equal(restored.length, 3)
  t.equal(await host.getSysctl(conf('all', 'arp_ignore')), '2')
})

t.test('a step that fails undoes the earlier ones', async (t) => {
  const { host, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  await inside('sysctl', '-w', 'net.ipv6.conf.lo.disable_ipv6=1')
  const vip = ['10.0.0.1', '2001:db8::1']
  await t.rejects(
    host.prepareRealServer({ forwarding: 'dr', vip, device: 'eth0' }),
    refusal('ERR_HOST_REFUSED', { message: /IPv6 is switched off on this device/ }),
  )
  t.equal(await host.getSysctl(conf('all', 'arp_ignore')), '0')
  t.notMatch(await inside('ip', '-o', 'address'), /10\.0\.0\.1/)
  t.same((await host.prepareRealServer({ forwarding: 'nat' })).changed, [])
})
