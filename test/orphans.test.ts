// What becomes of what a failed preparation could not put back: in network namespaces of this machine,
// through a connection that refuses.

import { join } from 'node:path'

import t from 'tap'
import type { Test } from 'tap'
import { makeNamespace } from './fixtures/namespace.js'
import { openThrough, withCalls } from './fixtures/through.js'

const refusal = { stage: 6, errno: 24, text: '' }

const makeBed = async (t: Test) => {
  const { netns, inside } = makeNamespace(t)
  inside('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  /** How many more changes of a setting, and how many of addresses, are made. */
  const left = { settings: Infinity, addresses: Infinity, meanwhile: (): void => undefined }
  const { host, native } = await openThrough(netns, (each) =>
    withCalls(each, {
      writeSetting: (...given) =>
        left.settings-- > 0 ? each.writeSetting(...given) : Promise.resolve(refusal),
      changeAddresses: (changes) => {
        left.meanwhile()
        left.meanwhile = () => undefined
        return left.addresses-- > 0
          ? each.changeAddresses(changes)
          : Promise.reject(Object.assign(new Error('no thread'), { errno: 11 }))
      },
    }),
  )
  t.teardown(async () => {
    await host.close()
    native.close()
  })
  const everything = (): string =>
    inside('sysctl', '-a', '-r', 'arp_(ignore|announce)$') + inside('ip', '-o', 'address')
  return { host, inside, left, everything }
}

const dr = (...vip: string[]) => ({ forwarding: 'dr', vip, device: 'v0' }) as const

const twice = { name: 'AggregateError', errors: [{}, { name: 'AggregateError' }] }

t.test('settings that could not be put back are, by the next preparation of them', async (t) => {
  for (const vip of ['10.9.9.1', '10.9.9.2']) {
    const { host, left, everything } = await makeBed(t)
    const before = everything()
    left.settings = 2
    await t.rejects(host.prepareRealServer(dr('10.9.9.1')), twice)
    t.not(everything(), before)
    const path = join(t.testdir(), 'file')
    t.same((await host.persist(path)).settings, [], 'nobody wants them')
    left.settings = Infinity
    const preparation = await host.prepareRealServer(dr(vip))
    t.equal((await host.persist(path)).settings.length, 4)
    const { restored } = await preparation.undo()
    t.equal(restored.length, 5)
    t.equal(everything(), before, vip)
  }
})

t.test('also by one that wants them otherwise', async (t) => {
  const { host, inside, left, everything } = await makeBed(t)
  const before = everything()
  left.settings = 2
  await t.rejects(host.prepareRealServer(dr('10.9.9.1')), twice)
  left.settings = Infinity
  inside('sysctl', '-q', '-w', 'net.ipv4.conf.all.arp_announce=0')
  const preparation = await host.prepareRealServer(dr('10.9.9.2'))
  await preparation.undo()
  t.equal(everything(), before)
})

t.test('they are not taken from a preparation that needs them', async (t) => {
  const { host, left, everything } = await makeBed(t)
  const before = everything()
  const first = await host.prepareRealServer(dr('10.9.9.1'))
  left.addresses = 0
  await t.rejects(host.prepareRealServer(dr('10.9.9.2')), { code: 'ERR_HOST_REFUSED' })
  left.addresses = Infinity
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }])
  await first.undo()
  t.equal(everything(), before)
})

t.test('a VIP that could not be deleted stays hidden until it is', async (t) => {
  const { host, inside, left, everything } = await makeBed(t)
  const before = everything()
  const six = '2001:db8::9'
  const both = dr('10.9.9.1', six)
  // The second VIP is somebody else's by the time, and the first cannot be deleted then.
  left.addresses = 1
  left.meanwhile = () => void inside('ip', 'address', 'add', `${six}/128`, 'dev', 'lo')
  await t.rejects(host.prepareRealServer(both), twice)
  left.addresses = Infinity
  inside('ip', 'address', 'delete', `${six}/128`, 'dev', 'lo')
  t.match(everything(), '10.9.9.1')
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }])

  const other = await host.prepareRealServer(dr('10.9.9.2'))
  const report = await other.undo()
  t.match(report, { restored: [{ address: '10.9.9.2' }] })
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }], 'the first VIP is still there')

  const again = await host.prepareRealServer(both)
  await again.undo()
  t.equal(everything(), before)
})

t.test('a VIP that could not be deleted, but is by a call, is no more', async (t) => {
  const { host, inside, left } = await makeBed(t)
  const six = '2001:db8::9'
  const [one, other] = [{ address: '10.9.9.1' }, { address: six }]
  left.addresses = 1
  left.meanwhile = () => void inside('ip', 'address', 'add', `${six}/128`, 'dev', 'lo')
  await t.rejects(host.prepareRealServer(dr('10.9.9.1', six)), twice)
  left.addresses = Infinity
  await host.deleteVip([one, other])
  await host.addVip([one])
  const preparation = await host.prepareRealServer(dr('10.9.9.1'))
  t.notMatch(preparation.changed, [{ kind: 'address' }])
  await preparation.undo()
  t.match(inside('ip', '-o', 'address'), '10.9.9.1/')
})
