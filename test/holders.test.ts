// The way back of preparations that share addresses, devices and ports, in network namespaces of
// this machine.

import t from 'tap'
import type { Test } from 'tap'
import { bringUp, createTunnelDevice, openGuePort } from '#lib/link-steps'
import { prepare } from '#lib/trail'
import type { Step } from '#lib/trail'
import { makeHost, makeNamespace } from './fixtures/namespace.js'
import type { Namespace } from './fixtures/namespace.js'
import { openThrough, withCalls } from './fixtures/through.js'
import type { Host, HostChange, Preparation } from 'ipvs-netlink'

const [a, b, c] = ['10.9.9.1', '10.9.9.2', '10.9.9.3'] as const
const six = '2001:db8::9'

const dr = (...vip: string[]) => ({ forwarding: 'dr', vip, device: 'v0' }) as const

const makeBed = async (t: Test): Promise<Namespace & { readonly host: Host }> => {
  const bed = await makeHost(t)
  bed.inside('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  return bed
}

const everything = ({ inside }: Namespace): string =>
  inside('sysctl', '-a', '-r', 'arp_(ignore|announce)$') + inside('ip', '-o', 'address')

const vipsOf = async (host: Host): Promise<string[]> =>
  (await host.listAddresses('lo'))
    .map(({ address }) => address)
    .filter((address) => address !== '127.0.0.1' && address !== '::1')
    .toSorted()

const addressesOf = (changes: readonly HostChange[] = []): string[] =>
  changes.flatMap((change) => (change.kind === 'address' ? [change.address] : [])).toSorted()

t.test('a VIP that another preparation needs stays until that one is undone', async (t) => {
  for (const order of [
    [0, 1],
    [1, 0],
  ] as const) {
    const bed = await makeBed(t)
    const { host } = bed
    const before = everything(bed)
    const both = [
      await host.prepareRealServer(dr(a, b, six)),
      await host.prepareRealServer(dr(a, c, six)),
    ] as const
    t.same(addressesOf(both[1].changed), [c])
    const own = [
      [a, b, six],
      [a, c, six],
    ] as const
    const report = await both[order[0]].undo()
    t.same(await vipsOf(host), own[order[1]], 'the other one has its own')
    t.match(await host.arpSuppression('v0'), [{ suppressed: true }])
    t.same(addressesOf(report.restored), [order[0] === 0 ? b : c])
    t.same(addressesOf(report.left), order[0] === 0 ? [a, six] : [])
    const again = await both[order[0]].undo()
    t.same(again, report, 'twice is harmless')
    t.same(await vipsOf(host), own[order[1]])
    const last = await both[order[1]].undo()
    t.same(addressesOf(last.restored), own[order[1]])
    t.same(last.left, [])
    t.equal(everything(bed), before)
  }
})

t.test('three of them, in every order', async (t) => {
  for (const order of ['xyz', 'xzy', 'yxz', 'yzx', 'zxy', 'zyx']) {
    const bed = await makeBed(t)
    const { host } = bed
    const before = everything(bed)
    const vips: Record<string, string[]> = { x: [a, b], y: [a, c], z: [b, c, six] }
    const all: Record<string, Preparation> = {}
    for (const [name, vip] of Object.entries(vips)) {
      all[name] = await host.prepareRealServer(dr(...vip))
    }
    for (const [index, name] of Array.from(order).entries()) {
      await all[name]?.undo()
      const rest = Array.from(order.slice(index + 1), (each) => vips[each] ?? []).flat()
      t.same(await vipsOf(host), [...new Set(rest)].toSorted(), order)
      t.match(await host.arpSuppression('v0'), [{ suppressed: rest.length > 0 }])
    }
    t.equal(everything(bed), before, order)
  }
})

t.test("what was there before any preparation is nobody's", async (t) => {
  const bed = await makeBed(t)
  const { host, inside } = bed
  inside('ip', 'address', 'add', `${a}/32`, 'dev', 'lo')
  const before = everything(bed)
  const both = [await host.prepareRealServer(dr(a)), await host.prepareRealServer(dr(a, b))]
  for (const preparation of both) await preparation.undo()
  t.equal(everything(bed), before)
})

t.test('the same again is no other holder', async (t) => {
  const bed = await makeBed(t)
  const { host } = bed
  const before = everything(bed)
  const first = await host.prepareRealServer(dr(a))
  const again = await host.prepareRealServer(dr(a))
  t.same(await again.undo(), { restored: [], left: [] })
  t.same(await vipsOf(host), [a])
  t.same(await first.undo(), { restored: first.changed.toReversed(), left: [] })
  t.equal(everything(bed), before)
})

t.test('a call deletes what preparations hold, and they find it gone', async (t) => {
  const bed = await makeBed(t)
  const { host } = bed
  const before = everything(bed)
  const first = await host.prepareRealServer(dr(a))
  const second = await host.prepareRealServer(dr(a, b))
  await host.deleteVip({ address: a })
  t.same(addressesOf((await first.undo()).left), [a])
  const third = await host.prepareRealServer(dr(a, c))
  t.same(addressesOf((await second.undo()).restored), [b])
  t.same(await vipsOf(host), [a, c])
  await third.undo()
  t.equal(everything(bed), before)
})

t.test('a call holds nothing', async (t) => {
  const { host } = await makeBed(t)
  const first = await host.prepareRealServer(dr(a))
  await host.addVip([{ address: a }])
  await first.undo()
  t.same(await vipsOf(host), [])
  await host.addVip({ address: a })
  const second = await host.prepareRealServer(dr(a))
  await second.undo()
  t.same(await vipsOf(host), [a])
})

t.test("a VIP that a call has deleted and added again is that call's", async (t) => {
  for (const vip of [a, six]) {
    for (const list of [false, true]) {
      const { host } = await makeBed(t)
      const first = await host.prepareRealServer(dr(vip))
      const second = await host.prepareRealServer(dr(vip, b))
      const one = { address: vip }
      await host.deleteVip(list ? [one] : one)
      await (list ? host.addVip([one]) : host.addVip(one))
      t.same(addressesOf((await first.undo()).left), [vip])
      const third = await host.prepareRealServer(dr(vip, c))
      t.same(addressesOf((await second.undo()).restored), [b])
      t.same(addressesOf((await third.undo()).restored), [c])
      t.same(await vipsOf(host), [vip])
      const states = await host.arpSuppression('v0')
      t.match(states, [{ suppressed: vip === a }], 'and it stays hidden, where that matters')
    }
  }
})

t.test('a VIP that a call has deleted is added again by who prepares it next', async (t) => {
  const bed = await makeBed(t)
  const { host } = bed
  const before = everything(bed)
  const first = await host.prepareRealServer(dr(a))
  await host.deleteVip({ address: a })
  const second = await host.prepareRealServer(dr(a, b))
  t.same(addressesOf((await first.undo()).left), [a])
  t.same(addressesOf((await second.undo()).restored), [a, b])
  t.equal(everything(bed), before)
})

t.test('a VIP that others have replaced meanwhile stays, and stays hidden', async (t) => {
  const { host, inside } = await makeBed(t)
  const first = await host.prepareRealServer(dr(a))
  const second = await host.prepareRealServer(dr(a, b))
  await first.undo()
  inside('ip', 'address', 'delete', `${a}/32`, 'dev', 'lo')
  inside('ip', 'address', 'add', `${a}/32`, 'dev', 'lo')
  const { restored, left } = await second.undo()
  t.same(addressesOf(restored), [b])
  t.same(left, [], 'it changed nothing that stays')
  t.same(await vipsOf(host), [a])
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }])
})

const refusal = { stage: 6, errno: 24, text: '' }

/** Devices of a kind that every kernel has, and ports as the kernel would have them. */
const makeTunnels = async (t: Test) => {
  const { netns, inside } = makeNamespace(t)
  const ports = new Set<number>()
  const windows: (() => void)[] = []
  const verbs = { create: 1, delete: 2, up: 3, down: 4 }
  const refusals: (keyof typeof verbs)[] = []
  const { host, native } = await openThrough(netns, (each) =>
    withCalls(each, {
      changeLink: (verb, device, kind) => {
        windows.pop()?.()
        if (refusals.some((each) => verbs[each] === verb)) return Promise.resolve(refusal)
        return each.changeLink(verb, device, kind, '')
      },
      readFouPort: (port) =>
        Promise.resolve({ failure: undefined, encapsulation: ports.has(port) ? 2 : 0 }),
      changeGuePort: (open, port) => {
        ports[open ? 'add' : 'delete'](port)
        return Promise.resolve(undefined)
      },
    }),
  )
  t.teardown(async () => {
    await host.close()
    native.close()
  })
  const make = (name: string, ...steps: Step[]): Promise<Preparation> =>
    prepare(native, steps, name, (_, work) => work(native), undefined)
  return { inside, ports, windows, refusals, make }
}

const device = 'ipvs-gre'
const kind = 'veth' as 'gre'

const tunnelSteps = (parent?: string): Step[] => [
  createTunnelDevice('packets come', { device, kind, ...(parent !== undefined && { parent }) }),
  bringUp('it is to take them', device),
  openGuePort('they are wrapped', { port: 6080, family: 'ipv4' }),
]

t.test('devices and ports stay until the last one is undone', async (t) => {
  for (const order of [
    [0, 1],
    [1, 0],
  ] as const) {
    const { inside, ports, make } = await makeTunnels(t)
    const both = [await make('a', ...tunnelSteps()), await make('b', ...tunnelSteps())] as const
    const { changed } = both[0]
    t.equal(changed.length, 3)
    t.same(both[1].changed, [])
    const report = await both[order[0]].undo()
    const left = order[0] === 0 ? changed.toReversed() : []
    t.same(report, { restored: [], left })
    t.match(inside('ip', '-br', 'link', 'show', device), /<.*\bUP\b.*>/)
    t.same([...ports], [6080])
    t.same(await both[order[1]].undo(), { restored: changed.toReversed(), left: [] })
    t.notMatch(inside('ip', '-br', 'link'), device)
    t.same([...ports], [])
  }
})

t.test('those that were there stay, too', async (t) => {
  const { inside, ports, make } = await makeTunnels(t)
  inside('ip', 'link', 'add', device, 'up', 'type', 'veth')
  ports.add(6080)
  const both = [await make('a', ...tunnelSteps()), await make('b', ...tunnelSteps())]
  for (const each of both) t.same(await each.undo(), { restored: [], left: [] })
  t.match(inside('ip', '-br', 'link', 'show', device), /<.*\bUP\b.*>/)
  t.same([...ports], [6080])
})

t.test('a device that is gone, or down, takes nothing with it', async (t) => {
  const { inside, make } = await makeTunnels(t)
  const first = await make('a', ...tunnelSteps())
  const second = await make('b', ...tunnelSteps())
  inside('ip', 'link', 'delete', device)
  t.match(await first.undo(), { restored: [], left: [{}, { after: 'up' }, { after: 'down' }] })
  t.match(await second.undo(), { restored: [{ kind: 'gue-port' }], left: [] })
})

t.test('a device takes packets from one other only, and who made it says from which', async (t) => {
  const { inside, make } = await makeTunnels(t)
  const first = await make('a', ...tunnelSteps('v0'))
  await t.rejects(make('b', ...tunnelSteps('v1')), {
    code: 'ERR_HOST_REFUSED',
    message: /ipvs-gre.*v1.*v0/,
  })
  const second = await make('c', ...tunnelSteps('v0'))
  await first.undo()
  t.match(inside('ip', '-br', 'link', 'show', device), /<.*\bUP\b.*>/)
  await second.undo()
  await (await make('b', ...tunnelSteps('v1'))).undo()
  t.notMatch(inside('ip', '-br', 'link'), device)
})

t.test('a device that is gone and made again is of who made it', async (t) => {
  for (const parents of [
    ['v0', 'v1'],
    ['v0', undefined],
    [undefined, 'v0'],
  ]) {
    const { inside, make } = await makeTunnels(t)
    const first = await make('a', ...tunnelSteps(parents[0]))
    inside('ip', 'link', 'delete', device)
    const second = await make('b', ...tunnelSteps(parents[1]))
    await first.undo()
    t.match(inside('ip', '-br', 'link', 'show', device), /<.*\bUP\b.*>/)
    await second.undo()
    t.notMatch(inside('ip', '-br', 'link'), device, parents.join())
  }
})

t.test('a device that nobody needs is told so where it is in the way', async (t) => {
  const { inside, refusals, make } = await makeTunnels(t)
  refusals.push('down', 'delete')
  const failing: Step = () => Promise.reject(new Error('no more'))
  await t.rejects(make('a', ...tunnelSteps('v0'), failing), { name: 'AggregateError' })
  await t.rejects(make('b', ...tunnelSteps('v1')), {
    code: 'ERR_HOST_REFUSED',
    message: /ipvs-gre.*v1: .*failed.*left it there for v0.*delete it/,
  })
  inside('ip', 'link', 'delete', device)
  refusals.length = 0
  await (await make('b', ...tunnelSteps('v1'))).undo()
  t.notMatch(inside('ip', '-br', 'link'), device)
})

t.test('a device that somebody else makes meanwhile is not ours', async (t) => {
  const { inside, windows, make } = await makeTunnels(t)
  windows.push(() => void inside('ip', 'link', 'add', device, 'type', 'veth'))
  await t.rejects(make('a', ...tunnelSteps('v0')), {
    code: 'ERR_HOST_REFUSED',
    command: 'RTM_NEWLINK',
  })
  t.match(inside('ip', '-br', 'link'), device)
})
