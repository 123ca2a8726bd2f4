// Devices that come and go while a preparation looks at all of them, in network namespaces of this
// machine.

import t from 'tap'
import type { Test } from 'tap'
import { directorSteps } from '#lib/director'
import { forward, noReversePath } from '#lib/setting-steps'
import { prepare } from '#lib/trail'
import type { Step } from '#lib/trail'
import { makeNamespace } from './fixtures/namespace.js'
import { openThrough, withCalls } from './fixtures/through.js'
import type { Preparation } from 'ipvs-netlink'

/** `v0` is deleted right before the setting is read, or written, that matches. */
const makeBed = async (t: Test) => {
  const { netns, inside } = makeNamespace(t)
  const moment = { reads: /^$/, writes: /^$/ }
  const vanish = (): void => {
    moment.reads = moment.writes = /^$/
    inside('ip', 'link', 'delete', 'v0')
  }
  const { host, native } = await openThrough(netns, (each) =>
    withCalls(each, {
      readSetting: (path) => {
        if (moment.reads.test(path)) vanish()
        return each.readSetting(path)
      },
      writeSetting: (path, value) => {
        if (moment.writes.test(path)) vanish()
        return each.writeSetting(path, value)
      },
      loadFamily: () => Promise.resolve(undefined),
    }),
  )
  t.teardown(async () => {
    await host.close()
    native.close()
  })
  const add = (): void => {
    inside('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  }
  const make = (steps: readonly Step[]): Promise<Preparation> =>
    prepare(native, steps, 'it', (_, work) => work(native), undefined)
  const everything = (): string =>
    inside('sysctl', '-a', '-r', 'ipv4.*(forward(ing)?|redirects|rp_filter)$')
  return { inside, moment, add, make, everything }
}

/** Those of a director for NAT that need no IPVS. */
const routerSteps = (profile: object): Step[] =>
  directorSteps({ forwarding: 'nat', ...profile }).filter((_, index) => index > 1)

// Whichever of the pair comes first.
const at = /conf\/v[01]\/send_redirects/

t.test('a device that nobody named may vanish', async (t) => {
  for (const kind of ['reads', 'writes'] as const) {
    const { inside, moment, add, make, everything } = await makeBed(t)
    const before = everything()
    add()
    moment[kind] = at
    const preparation = await make(routerSteps({}))
    t.notMatch(inside('ip', 'link'), 'v0', 'it did')
    const names = preparation.changed.map((change) => (change.kind === 'sysctl' ? change.name : ''))
    t.match(names, ['net.ipv4.ip_forward', 'net.ipv4.conf.all.send_redirects'])
    t.notMatch(names.join(), /v[01]/)
    t.same(await preparation.undo(), { restored: preparation.changed.toReversed(), left: [] })
    t.equal(everything(), before)
  }
})

t.test('one that was named may not', async (t) => {
  for (const kind of ['reads', 'writes'] as const) {
    const { moment, add, make, everything } = await makeBed(t)
    const before = everything()
    add()
    moment[kind] = at
    const code = kind === 'reads' ? 'ERR_HOST_NO_DEVICE' : 'ERR_HOST_NO_SYSCTL'
    await t.rejects(make(routerSteps({ device: 'v0' })), { code })
    t.equal(everything(), before)
  }
})

t.test(
  'nor does it matter where all devices keep their check of where packets come from',
  async (t) => {
    for (const kind of ['reads', 'writes'] as const) {
      const { inside, moment, add, make, everything } = await makeBed(t)
      inside('ip', 'link', 'add', 'tunnel', 'type', 'veth', 'peer', 'name', 'other')
      inside(
        'sysctl',
        '-q',
        '-w',
        'net.ipv4.conf.all.rp_filter=1',
        'net.ipv4.conf.tunnel.rp_filter=1',
      )
      const before = everything()
      add()
      moment[kind] = /conf\/v0\/rp_filter/
      const preparation = await make([noReversePath('a tunnel', 'tunnel')])
      t.notMatch(inside('ip', 'link'), 'v0', 'it did')
      await preparation.undo()
      t.equal(everything(), before)
    }
  },
)

t.test('nor on the way back of forwarding', async (t) => {
  const { inside, moment, add, make, everything } = await makeBed(t)
  const before = everything()
  add()
  const preparation = await make([forward('it routes', 'ipv4')])
  moment.writes = /conf\/v0\/forwarding/
  t.same(await preparation.undo(), { restored: preparation.changed, left: [] })
  t.notMatch(inside('ip', 'link'), 'v0', 'it did')
  t.equal(everything(), before)
})
