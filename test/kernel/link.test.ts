// Network devices and many VIPs, as ip(8) sees them.

import t from 'tap'

import { addNamespace, deleteNamespace, run as runToEnd } from '../../test/support/launcher.mjs'
import { makeBed, refusal, run } from './bed.js'
import type { Bed } from './bed.js'

interface Seen {
  readonly ifname: string
  readonly mtu: number
  readonly flags: readonly string[]
  readonly link_type: string
  readonly address: string
  readonly linkinfo?: { readonly info_kind?: string }
}

t.test('devices as ip(8) sees them', async (t) => {
  const { host, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'fifteen.bytes.x')
  await inside('ip', 'link', 'set', 'eth0', 'mtu', '1400', 'up')
  await inside('ip', 'link', 'add', 'tunnel', 'type', 'gre', 'local', '10.0.0.1')
  const seen = JSON.parse(await inside('ip', '-j', '-d', 'link')) as Seen[]
  const wanted = seen.map(({ ifname, mtu, flags, link_type: type, address, linkinfo }) => ({
    device: ifname,
    ...(linkinfo?.info_kind !== undefined && { kind: linkinfo.info_kind }),
    mtu,
    up: flags.includes('UP'),
    ...(type === 'ether' && { address }),
  }))
  const found = await host.listLinks()
  t.same(found, wanted)
  t.match(
    found.find(({ device }) => device === 'eth0'),
    { kind: 'veth', mtu: 1400, up: true },
  )
})

const vipsOf = async ({ inside }: Bed): Promise<string> =>
  inside('ip', '-o', 'address', 'show', 'lo')

t.test('many VIPs: only what differs is written, all or none', async (t) => {
  const bed = await makeBed(t)
  const { host, inside } = bed
  const many = Array.from({ length: 300 }, (_, n) => ({ address: `10.1.${n >> 8}.${n & 255}` }))
  await inside('ip', 'address', 'add', '10.1.0.5/32', 'dev', 'lo', 'label', 'lo:7')
  await inside('ip', 'address', 'add', '2001:db8::5/128', 'dev', 'lo')
  const wanted = [...many, { address: '2001:db8::5' }, { address: '2001:db8::6' }]
  const added = await host.addVip(wanted)
  t.same(
    added.map(({ address }) => address),
    wanted.map(({ address }) => address),
  )
  t.equal(added[5]?.label, 'lo:7', 'what was there stays as it is')
  t.equal(added[7]?.label, 'lo:6')
  t.equal(added[8]?.label, 'lo:8', 'which is not given twice')
  const listed = await host.listAddresses('lo')
  const byAddress = new Map(listed.map((each) => [each.address, each]))
  for (const each of added) t.same(byAddress.get(each.address), each)
  t.equal(new Set(added.flatMap(({ label = [] }) => label)).size, 300, 'each label once')

  const before = await vipsOf(bed)
  t.same(await host.addVip(wanted), added)
  t.equal(await vipsOf(bed), before, 'nothing is left to do')

  // The last one fails in the kernel, after the others were added.
  const clash = [
    { address: '10.2.0.1' },
    { address: '10.2.0.2' },
    { address: '10.1.0.5', label: 'lo' },
  ]
  await t.rejects(
    host.addVip(clash),
    refusal('ERR_HOST_ADDRESS_EXISTS', { message: /10\.1\.0\.5\/32 on lo/ }),
  )
  const absent = [{ address: '10.2.0.1' }, { address: '10.2.0.2', device: 'nosuch' }]
  await t.rejects(host.addVip(absent), refusal('ERR_HOST_NO_DEVICE'))
  t.equal(await vipsOf(bed), before, 'all or none')

  await host.deleteVip([...wanted, { address: '10.9.9.9' }, { address: '10.1.0.1', label: 'lo:x' }])
  t.notMatch(await vipsOf(bed), /scope global/)
  await host.deleteVip(wanted)
  t.same(await host.addVip([]), [])
})

/** A neighbour of the bed's eth0, with the addresses that it has learnt. */
const makeNeighbour = async (bed: Bed, name: string) => {
  const { inside, netns } = bed
  await addNamespace(`/run/netns/${name}`)
  const there = (...args: string[]): Promise<string> => run('ip', '-n', name, ...args)
  const bedName = netns.replace(/.*\//, '')
  await there('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', bedName)
  for (const [ip, n] of [
    [there, 2],
    [(...args: string[]) => inside('ip', ...args), 1],
  ] as const) {
    await ip('link', 'set', 'eth0', 'addrgenmode', 'none', 'up')
    await ip('address', 'add', `10.0.0.${n}/24`, 'dev', 'eth0')
    await ip('address', 'add', `2001:db8::${n}/64`, 'dev', 'eth0', 'nodad')
  }
  return {
    there,
    run: (...argv: string[]) => runToEnd(argv, { netns: `/run/netns/${name}` }),
    /** What it believes of an address. */
    neighbour: async (address: string) => {
      const [entry] = JSON.parse(await there('-j', 'neighbour', 'show', 'to', address)) as {
        lladdr?: string
        router?: null
      }[]
      return entry
    },
    close: () => deleteNamespace(`/run/netns/${name}`),
  }
}

const eventually = async <T>(look: () => Promise<T>, holds: (seen: T) => boolean): Promise<T> => {
  let seen = await look()
  for (let tries = 0; !holds(seen) && tries < 100; ++tries) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    seen = await look()
  }
  return seen
}

t.test('neighbours learn where a VIP is now', async (t) => {
  const bed = await makeBed(t)
  const { host, inside } = bed
  const peer = await makeNeighbour(bed, `neighbour-${process.pid}`)
  t.teardown(peer.close)
  const link = (await host.listLinks()).find(({ device }) => device === 'eth0')
  const old = '02:00:00:00:00:99'
  for (const address of ['10.0.0.100', '2001:db8::100']) {
    await peer.there('neighbour', 'add', address, 'lladdr', old, 'dev', 'eth0', 'nud', 'stale')
    await host.addVip({ address, device: 'eth0' })
    t.equal((await peer.neighbour(address))?.lladdr, old, 'not told')
    const vip = { address, device: 'eth0', announce: true }
    t.match(await host.addVip([vip]), [{ address }], 'told again, though it is there')
    const seen = await eventually(
      () => peer.neighbour(address),
      (entry) => entry?.lladdr !== old,
    )
    t.equal(seen?.lladdr, link?.address)
  }
  t.notOk('router' in ((await peer.neighbour('2001:db8::100')) ?? {}), 'no router yet')
  await host.ipForward(true, { family: 'ipv6' })
  await host.deleteVip({ address: '2001:db8::100', device: 'eth0' })
  await host.addVip({ address: '2001:db8::100', device: 'eth0', announce: true })
  const router = await eventually(
    () => peer.neighbour('2001:db8::100'),
    (entry) => entry !== undefined && 'router' in entry,
  )
  t.ok(router && 'router' in router, 'a router says that it is one')

  // Refused before anything is added.
  await inside('ip', 'link', 'add', 'down0', 'type', 'veth', 'peer', 'name', 'down1')
  await inside('ip', 'link', 'add', 'gre1', 'type', 'gre', 'local', '10.0.0.1')
  for (const [device, words] of [
    ['down0', /the device is down/],
    ['gre1', /no Ethernet address/],
  ] as const) {
    const vip = { address: '10.0.0.101', device, announce: true }
    await t.rejects(host.addVip(vip), refusal('ERR_HOST_REFUSED', { message: words }))
    await t.rejects(host.addVip([{ address: '10.0.0.102' }, vip]), refusal('ERR_HOST_REFUSED'))
  }
  const nowhere = { address: '10.0.0.101', device: 'nosuch', announce: true }
  await t.rejects(host.addVip(nowhere), refusal('ERR_HOST_NO_DEVICE'))
  t.notMatch(await inside('ip', '-o', 'address'), /10\.0\.0\.10[12]/)
})

t.test('a real server with the profile does not answer ARP for the VIP', async (t) => {
  const bed = await makeBed(t)
  const { host, inside } = bed
  const peer = await makeNeighbour(bed, `asks-${process.pid}`)
  t.teardown(peer.close)
  const vip = '10.0.0.100'
  const asks = async (): Promise<boolean> => {
    const args = ['-f', '-c', '5', '-w', '5', '-I', 'eth0', vip]
    return peer.run('arping', ...args).then(
      () => true,
      () => false,
    )
  }
  // Asks for the neighbour in the name of the VIP, from which the neighbour may learn it.
  const speaks = async (): Promise<boolean> => {
    await peer.there('neighbour', 'flush', 'all')
    await inside('ip', 'neighbour', 'flush', 'all')
    await inside('ping', '-c', '1', '-W', '1', '-I', vip, '10.0.0.2').catch(() => '')
    return (await peer.neighbour(vip))?.lladdr !== undefined
  }
  await host.addVip({ address: vip })
  await peer.there('route', 'add', vip, 'dev', 'eth0')
  t.equal(await asks(), true, 'without: it answers')
  t.equal(await speaks(), true, 'and tells where the VIP is when it asks')
  await host.deleteVip({ address: vip })
  const profile = { forwarding: 'dr', vip, device: 'eth0' } as const
  const preparation = await host.prepareRealServer(profile)
  t.equal(await asks(), false, 'with: it does not answer')
  t.equal(await speaks(), false, 'and asks in its own name')
  await preparation.undo()
})

t.test('nor is it found by neighbour discovery', async (t) => {
  const bed = await makeBed(t)
  const { host } = bed
  const peer = await makeNeighbour(bed, `finds-${process.pid}`)
  t.teardown(peer.close)
  const address = '2001:db8::100'
  const isFound = async (): Promise<boolean> => {
    await peer.there('neighbour', 'flush', 'all')
    await peer.run('ping', '-c', '1', '-W', '1', address).catch(() => '')
    return (await peer.neighbour(address))?.lladdr !== undefined
  }
  await host.addVip({ address, device: 'eth0' })
  t.equal(await isFound(), true, 'on the device it answers')
  await host.deleteVip({ address, device: 'eth0' })
  const profile = { forwarding: 'dr', vip: address, device: 'eth0' } as const
  await host.prepareRealServer(profile)
  const held = (await host.listAddresses('lo')).filter((each) => each.address === address)
  t.match(held, [{ address, prefixLength: 128 }])
  t.equal(await isFound(), false, 'with the profile it does not')
})
