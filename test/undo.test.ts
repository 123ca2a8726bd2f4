// The way back of preparations that share settings, and of one whose VIP stays, in network namespaces
// of this machine.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'
import type { Test } from 'tap'
import { loadAddon } from '#lib/native'
import { forward } from '#lib/setting-steps'
import { prepare } from '#lib/trail'
import { limit } from './fixtures/limits.js'
import { makeHost } from './fixtures/namespace.js'
import type { Namespace } from './fixtures/namespace.js'
import type { Host, HostChange, Preparation } from 'ipvs-netlink'

t.setTimeout(limit(600_000))

interface Bed extends Namespace {
  readonly host: Host
  /** Settings and addresses. */
  readonly everything: () => string
}

const makeBed = async (t: Test): Promise<Bed> => {
  const { netns, inside, host } = await makeHost(t)
  inside('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  const everything = (): string =>
    inside('sysctl', '-a', '-r', 'arp_(ignore|announce)$') + inside('ip', '-o', '-4', 'address')
  return { netns, host, inside, everything }
}

const dr = (vip: string, device = 'v0') => ({ forwarding: 'dr', vip, device }) as const

const arp = 'net.ipv4.conf.v0.arp_ignore'

/** What it is about, shortly. */
const shortly = (changes: readonly HostChange[]): string[] =>
  changes.map((change) => {
    if (change.kind === 'sysctl') return `${change.name} ${change.before} ${change.after}`
    return change.kind === 'address' ? change.address : change.kind
  })

const suppression = [
  'net.ipv4.conf.v0.arp_announce 0 2',
  'net.ipv4.conf.v0.arp_ignore 0 1',
  'net.ipv4.conf.all.arp_announce 0 2',
  'net.ipv4.conf.all.arp_ignore 0 1',
]

t.test('what another preparation needs stays until that one is undone', async (t) => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { host, everything } = await makeBed(t)
    const before = everything()
    const both = [
      await host.prepareRealServer(dr('10.9.9.1')),
      await host.prepareRealServer(dr('10.9.9.2')),
    ]
    t.same(shortly(both[1]?.changed ?? []), ['10.9.9.2'])
    const [first, last] = order.map((index) => both[index])
    const report = await first?.undo()
    t.match(await host.arpSuppression('v0'), [{ suppressed: true }])
    t.same(shortly(report?.restored ?? []), [first === both[0] ? '10.9.9.1' : '10.9.9.2'])
    t.same(shortly(report?.left ?? []), first === both[0] ? suppression : [])
    const end = await last?.undo()
    t.same(shortly(end?.restored ?? []).slice(1), suppression)
    t.same(end?.left, [])
    t.equal(everything(), before)
  }
})

t.test('three of them, and settings of their own, in every order', async (t) => {
  for (const order of ['abc', 'acb', 'bac', 'bca', 'cab', 'cba']) {
    const { host, inside, everything } = await makeBed(t)
    inside('sysctl', '-q', '-w', 'net.ipv4.conf.v1.arp_announce=1')
    const before = everything()
    const path = join(t.testdir(), 'file')
    const all: Record<string, Preparation> = {
      a: await host.prepareRealServer(dr('10.9.9.1')),
      b: await host.prepareRealServer(dr('10.9.9.2', 'v1')),
      c: await host.prepareRealServer(dr('10.9.9.3')),
    }
    for (const [index, name] of Array.from(order).entries()) {
      await all[name]?.undo()
      const rest = order.slice(index + 1)
      const devices = [/[ac]/.test(rest) ? 'v0' : '', rest.includes('b') ? 'v1' : '']
      for (const device of devices.filter((each) => each !== '')) {
        t.match(await host.arpSuppression(device), [{ suppressed: true }], order)
      }
      const { settings } = await host.persist(path)
      const lines = devices.filter((each) => each !== '').length
      t.equal(settings.length, lines === 0 ? 0 : 2 + 2 * lines, 'what is needed is persisted')
    }
    t.equal(everything(), before, order)
  }
})

t.test('the same again changes nothing and holds nothing', async (t) => {
  const { host, everything } = await makeBed(t)
  const before = everything()
  const first = await host.prepareRealServer(dr('10.9.9.1'))
  const again = await host.prepareRealServer(dr('10.9.9.1'))
  t.same(again.changed, [])
  t.same(await again.undo(), { restored: [], left: [] })
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }])
  t.same(await first.undo(), { restored: first.changed.toReversed(), left: [] })
  t.equal(everything(), before)
})

t.test('what a call asked for stays', async (t) => {
  const { host } = await makeBed(t)
  const preparation = await host.prepareRealServer(dr('10.9.9.1'))
  await host.suppressArp('v0')
  t.same(shortly((await preparation.undo()).left), suppression)
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }])
})

t.test('what somebody else set in between is what it goes back to', async (t) => {
  const { host, inside } = await makeBed(t)
  const first = await host.prepareRealServer(dr('10.9.9.1'))
  inside('sysctl', '-q', '-w', `${arp}=8`)
  const second = await host.prepareRealServer(dr('10.9.9.2'))
  inside('sysctl', '-q', '-w', `${arp}=0`)
  const third = await host.prepareRealServer(dr('10.9.9.3'))
  t.same(shortly(third.changed), [`${arp} 0 1`, '10.9.9.3'])
  await second.undo()
  t.match((await first.undo()).left, [{ name: /v0.arp_announce/ }, { name: arp }, {}, {}])
  t.equal(await host.getSysctl(arp), '1')
  await third.undo()
  t.equal(await host.getSysctl(arp), '0')
})

t.test('forwarding that two share is taken back with the last one, whole', async (t) => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { netns, host, inside } = await makeBed(t)
    const settings = (): string => inside('sysctl', '-a', '-r', 'ipv4.*(forward(ing)?|redirects)$')
    const before = settings()
    const native = new (loadAddon().HostConnection)(netns, 1000)
    await native.open()
    t.teardown(() => native.close())
    const both: Preparation[] = []
    for (const name of ['a', 'b']) {
      const steps = [forward('it routes', 'ipv4')]
      both.push(await prepare(native, steps, name, (_, work) => work(native), undefined))
    }
    const [first, last] = order.map((index) => both[index])
    await first?.undo()
    t.equal(await host.ipForward(), true)
    t.same(await last?.undo(), { restored: both[0]?.changed, left: [] })
    t.equal(settings(), before)
  }
})

t.test('a VIP that somebody else has now stays hidden', async (t) => {
  const { host, inside } = await makeBed(t)
  const path = join(t.testdir(), 'file')
  const preparation = await host.prepareRealServer(dr('10.9.9.1'))
  inside('ip', 'address', 'delete', '10.9.9.1/32', 'dev', 'lo')
  inside('ip', 'address', 'add', '10.9.9.1/32', 'dev', 'lo')
  const { restored, left } = await preparation.undo()
  t.same(restored, [])
  t.same(shortly(left), ['10.9.9.1', ...suppression])
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }])
  t.same((await host.persist(path)).settings, [])
})

t.test('and a preparation that is undone later leaves it hidden, too', async (t) => {
  const { host, inside } = await makeBed(t)
  const first = await host.prepareRealServer(dr('10.9.9.1'))
  const second = await host.prepareRealServer(dr('10.9.9.2'))
  // As another address than ours, beside it.
  inside('ip', 'address', 'add', '10.9.9.1/24', 'dev', 'lo')
  t.same(shortly((await first.undo()).restored), ['10.9.9.1'])
  t.same(await second.undo(), { restored: second.changed, left: [] })
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }])
})

t.test('a VIP that could not be deleted stays hidden until it can', async (t) => {
  const done: string[] = []
  const change = (why: string): HostChange => {
    return { kind: 'sysctl', name: 'net.x', before: '0', after: '1', why }
  }
  let fails = true
  const action = (name: string, role: 'vip' | 'hides-vip') => ({
    changes: [change(name)],
    role,
    apply: () => Promise.resolve(),
    undo: () => {
      if (role === 'vip' && fails) return Promise.reject(new Error('not now'))
      done.push(name)
      return Promise.resolve({ restored: [change(name)], left: [] })
    },
  })
  const native = {} as Parameters<typeof prepare>[0]
  const steps = [action('arp', 'hides-vip'), action('vip', 'vip')].map(
    (each) => () => Promise.resolve([each]),
  )
  const preparation = await prepare(native, steps, 'it', (_, work) => work(native), undefined)
  await t.rejects(preparation.undo(), { errors: [{ message: 'not now' }] })
  t.same(done, [])
  fails = false
  t.same(await preparation.undo(), { restored: [change('vip'), change('arp')], left: [] })
})

t.test('what was left alone is not persisted', async (t) => {
  const { host, inside } = await makeBed(t)
  const path = join(t.testdir(), 'file')
  const preparation = await host.prepareRealServer(dr('10.9.9.1'))
  await host.persist(path)
  t.match(readFileSync(path, 'utf8'), `${arp} = 1`)
  inside('sysctl', '-q', '-w', `${arp}=8`)
  t.match((await preparation.undo()).left, [{ name: arp }])
  t.same((await host.persist(path)).settings, [])
  t.notMatch(readFileSync(path, 'utf8'), arp)
})

t.test('nor is what went with its device', async (t) => {
  const { host, inside } = await makeBed(t)
  const path = join(t.testdir(), 'file')
  const preparation = await host.prepareRealServer(dr('10.9.9.1'))
  inside('ip', 'link', 'delete', 'v0')
  await preparation.undo()
  t.same((await host.persist(path)).settings, [])
})

t.test('but what a call asked for since is', async (t) => {
  const { host } = await makeBed(t)
  const path = join(t.testdir(), 'file')
  const preparation = await host.prepareRealServer(dr('10.9.9.1'))
  await host.setSysctl(arp, 8)
  t.match((await preparation.undo()).left, [{ name: arp }])
  t.same((await host.persist(path)).settings, [{ name: arp, value: '8' }])
})
