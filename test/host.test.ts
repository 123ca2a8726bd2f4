// The order of host calls, and what giving them up does, in network namespaces of this machine.

import t from 'tap'
import { wantsNoReuse } from '#lib/director'
import { makeHost } from './fixtures/namespace.js'

t.test('calls of one handle are carried out in their order', async (t) => {
  const { host } = await makeHost(t)
  const name = 'net.ipv4.conf.lo.arp_ignore'
  for (let round = 0; round < 50; ++round) {
    await Promise.all([1, 2, 8].map((value) => host.setSysctl(name, value)))
    t.equal(await host.getSysctl(name), '8')
  }
  const vips = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4']
  const added = await Promise.all(vips.map((address) => host.addVip({ address })))
  t.same(
    added.map(({ label }) => label),
    ['lo:0', 'lo:1', 'lo:2', 'lo:3'],
  )
})

t.test('what was given up before it was sent is not done', async (t) => {
  const { host, inside } = await makeHost(t)
  const controller = new AbortController()
  const call = host.addVip({ address: '10.0.0.1' }, { signal: controller.signal })
  controller.abort()
  await t.rejects(call, { name: 'AbortError', message: /before it was sent/ })
  await host.listAddresses()
  t.notMatch(inside('ip', '-o', 'address'), /10\.0\.0\.1/)
})

t.test('a preparation that is given up puts back what it changed', async (t) => {
  const { host, inside } = await makeHost(t)
  const settings = (): string => inside('sysctl', '-a', '-r', 'arp_(ignore|announce)')
  const before = settings()
  for (const delay of [0, 1, 2, 4]) {
    const controller = new AbortController()
    const profile = { forwarding: 'dr', vip: '10.0.0.1', device: 'lo' } as const
    const call = host.prepareRealServer(profile, { signal: controller.signal })
    setTimeout(() => controller.abort(), delay)
    const outcome = await call.then(
      (preparation) => preparation.undo(),
      (error: unknown) => error as Error,
    )
    // Whether it came too late or in time: everything is as it was.
    if (outcome instanceof Error) t.equal(outcome.name, 'AbortError')
    t.equal(settings(), before)
    t.notMatch(inside('ip', '-o', 'address'), /10\.0\.0\.1/)
  }
})

t.test('what went with its device is left, and undoing again does nothing', async (t) => {
  const { host, inside } = await makeHost(t)
  inside('ip', 'link', 'add', 'a0', 'type', 'veth', 'peer', 'name', 'a1')
  const profile = { forwarding: 'dr', vip: '10.0.0.1', device: 'a0' } as const
  const preparation = await host.prepareRealServer(profile)
  inside('ip', 'link', 'delete', 'a0')
  const { restored, left } = await preparation.undo()
  t.match(left, [{ name: /a0\.arp_announce/ }, { name: /a0\.arp_ignore/ }])
  t.match(restored, [{ kind: 'address' }, { name: /all/ }, { name: /all/ }])
  t.same(await preparation.undo(), { restored, left })
})

t.test('a list is emptied by an empty text', async (t) => {
  const { host, inside } = await makeHost(t)
  const name = 'net.ipv4.ip_local_reserved_ports'
  await host.setSysctl(name, '8080,9000-9010')
  t.equal(inside('sysctl', '-n', name), '8080,9000-9010\n')
  await host.setSysctl(name, '')
  t.equal(await host.getSysctl(name), '')
})

t.test('many VIPs share what is sent, and are all or none', async (t) => {
  const { host, inside } = await makeHost(t)
  const many = Array.from({ length: 2000 }, (_, n) => ({ address: `10.1.${n >> 8}.${n & 255}` }))
  const added = await host.addVip(many)
  t.equal(added[1999]?.label, 'lo:1999')
  t.same(await host.addVip(many), added, 'the second time nothing is left to do')
  // A label is part of what is wanted; and what is named twice is added once.
  await t.rejects(host.addVip([{ address: '10.2.0.1' }, { address: '10.1.0.0', label: 'lo:x' }]), {
    code: 'ERR_HOST_ADDRESS_EXISTS',
    message: /10\.1\.0\.0\/32 on lo/,
  })
  t.notMatch(inside('ip', '-o', 'address'), /10\.2\.0\.1/)
  const twice = [{ address: '10.2.0.1' }, { address: '10.2.0.1', label: 'lo:own' }]
  await t.rejects(host.addVip(twice), { code: 'ERR_HOST_ADDRESS_EXISTS' })
  const same = await host.addVip([{ address: '10.2.0.1' }, { address: '10.2.0.1' }])
  t.same(same[0], same[1])
  await host.deleteVip([...many, { address: '10.2.0.1' }])
  t.notMatch(inside('ip', '-o', 'address'), /scope global/)
  t.same(await host.addVip([]), [])
  await host.deleteVip([])
})

t.test('a long name of a device leaves no room for a number in the label', async (t) => {
  const { host, inside } = await makeHost(t)
  inside('ip', 'link', 'add', 'fifteen-bytes-x', 'type', 'veth', 'peer', 'name', 'thirteen-byte')
  const device = 'fifteen-bytes-x'
  const vips = ['10.0.0.1', '10.0.0.2'].map((address) => ({ address, device }))
  t.match(await host.addVip(vips), [{ label: device }, { label: device }])
  const others = Array.from({ length: 12 }, (_, n) => ({
    address: `10.0.1.${n}`,
    device: 'thirteen-byte',
  }))
  const labels = (await host.addVip(others)).map(({ label }) => label)
  t.same(labels.slice(9), ['thirteen-byte:9', 'thirteen-byte', 'thirteen-byte'])
})

t.test('a profile with many VIPs adds and removes them at once', async (t) => {
  const { host, inside } = await makeHost(t)
  const vip = Array.from({ length: 1000 }, (_, n) => `10.1.${n >> 8}.${n & 255}`)
  const preparation = await host.prepareRealServer({ forwarding: 'dr', vip, device: 'lo' })
  t.equal(preparation.changed.length, 1004)
  inside('ip', 'address', 'delete', '10.1.0.7/32', 'dev', 'lo')
  const { restored, left } = await preparation.undo()
  t.equal(restored.length, 1003)
  t.match(left, [{ kind: 'address', address: '10.1.0.7' }])
  t.notMatch(inside('ip', '-o', 'address'), /scope global/)
})

t.test('a VIP that could not be announced is not added', async (t) => {
  const { host, inside } = await makeHost(t)
  inside('ip', 'link', 'add', 'a0', 'type', 'veth', 'peer', 'name', 'a1')
  const vip = { address: '10.0.0.1', device: 'a0', announce: true }
  await t.rejects(host.addVip(vip), { code: 'ERR_HOST_REFUSED', message: /the device is down/ })
  await t.rejects(host.addVip([vip]), { code: 'ERR_HOST_REFUSED', command: 'announce' })
  await t.rejects(host.addVip({ ...vip, device: 'b0' }), { code: 'ERR_HOST_NO_DEVICE' })
  t.notMatch(inside('ip', '-o', 'address'), /10\.0\.0\.1/)
  inside('ip', 'link', 'set', 'a0', 'up')
  t.match(await host.addVip(vip), { label: 'a0:0' })
})

t.test('links are those of the namespace', async (t) => {
  const { host, inside } = await makeHost(t)
  inside('ip', 'link', 'add', 'a0', 'type', 'veth', 'peer', 'name', 'a1')
  inside('ip', 'link', 'set', 'a0', 'address', '02:00:00:00:00:01', 'mtu', '1400')
  const links = await host.listLinks()
  t.same(
    links.find(({ device }) => device === 'a0'),
    { device: 'a0', kind: 'veth', mtu: 1400, up: false, address: '02:00:00:00:00:01' },
  )
  t.same(
    links.find(({ device }) => device === 'lo'),
    { device: 'lo', mtu: 65536, up: true },
  )
})

t.test('connections that use a port again are left alone since Linux 5.9', async (t) => {
  for (const kernel of ['4.19.0-27-amd64', '5.8.18', '2.6.32', '5.4.0-generic']) {
    t.equal(wantsNoReuse(kernel), true, kernel)
  }
  for (const kernel of ['5.9.0', '5.10.0-8-amd64', '6.1.0', '7.3.4+deb13', '10.0']) {
    t.equal(wantsNoReuse(kernel), false, kernel)
  }
})
