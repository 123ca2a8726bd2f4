// What is remembered of who wants something, also where preparations come and go for months: in network
// namespaces of this machine.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'
import { directorSteps } from '#lib/director'
import { persist } from '#lib/persist'
import { forward, noReversePath } from '#lib/setting-steps'
import { prepare } from '#lib/trail'
import type { Step } from '#lib/trail'
import { hold, release, settingRecords } from '#lib/wants'
import type { Preparation } from 'ipvs-netlink'
import { makeHost, makeNamespace } from './fixtures/namespace.js'
import { openThrough, withCalls } from './fixtures/through.js'
import type { Native } from './fixtures/through.js'

const name = 'net.ipv4.conf.v0.arp_ignore'

t.test('preparing the same again takes the place of what was overruled', (t) => {
  const native = {} as Native
  const take = (before: string, holder = 'it') => {
    const held = hold(native, name, holder, { before, value: '1', isWanted: true })
    if (!held) throw new Error('It is held already')
    return held
  }
  const all = [take('0')]
  const other = take('1', 'other')
  for (let round = 0; round < 20; round++) all.push(take(round === 5 ? '8' : '0'))
  t.same(
    all.map(({ layer }) => layer.holders.has('it')),
    all.map((_, index) => index === all.length - 1),
  )
  t.equal(hold(native, name, 'it', { before: '1', value: '1', isWanted: true }), undefined)
  // The last one first, or any other: only it makes a difference.
  for (const held of all.slice(0, -1)) {
    const { isKept, done } = release(native, name, held, '1')
    t.equal(isKept, true)
    done()
  }
  const last = all.at(-1)
  if (!last) throw new Error('There is none')
  const { target, done } = release(native, name, last, '1')
  t.equal(target, '0')
  done()
  release(native, name, other, '0').done()
  t.same(settingRecords(native).get(name), { value: '0', isPutBack: true })
  t.end()
})

t.test('the same again, in every order of the undos', async (t) => {
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [1, 2, 0],
  ]) {
    const { host, inside } = await makeHost(t)
    inside('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
    const everything = () =>
      inside('sysctl', '-a', '-r', 'arp_(ignore|announce)$') + inside('ip', '-o', 'address')
    const before = everything()
    const all: Preparation[] = []
    for (const vip of ['10.9.9.1', '10.9.9.1', '10.9.9.2']) {
      all.push(await host.prepareRealServer({ forwarding: 'dr', vip, device: 'v0' }))
      if (all.length > 1) continue
      inside('sysctl', '-q', '-w', `${name}=0`)
      inside('ip', 'address', 'delete', `${vip}/32`, 'dev', 'lo')
    }
    for (const index of order) await all[index]?.undo()
    t.equal(everything(), before, order.join())
  }
})

const makeBed = async (t: Tap) => {
  const { netns, inside } = makeNamespace(t)
  inside('ip', 'link', 'add', 'tunnel', 'type', 'veth', 'peer', 'name', 'other')
  inside('sysctl', '-q', '-w', 'net.ipv4.conf.all.rp_filter=1')
  const { host, native } = await openThrough(netns, (each) =>
    withCalls(each, { loadFamily: () => Promise.resolve(undefined) }),
  )
  t.teardown(async () => {
    await host.close()
    native.close()
  })
  const steps: Step[] = [
    ...directorSteps({ forwarding: 'nat' }).filter((_, index) => index > 1),
    noReversePath('a tunnel', 'tunnel'),
    forward('it routes', 'ipv6'),
  ]
  const make = () => prepare(native, steps, 'it', (_, work) => work(native), undefined)
  const add = (device: string) =>
    void inside('ip', 'link', 'add', device, 'type', 'veth', 'peer', 'name', `${device}p`)
  const remove = (device: string) => void inside('ip', 'link', 'delete', device)
  return { native, make, add, remove }
}

type Tap = Parameters<typeof makeNamespace>[0]

t.test('of devices that are gone nothing is remembered', async (t) => {
  const { native, make, add, remove } = await makeBed(t)
  await (await make()).undo()
  const before = [...settingRecords(native).keys()].toSorted()
  for (const isUndoneFirst of [true, false]) {
    for (const device of ['v1', 'v2.5', 'v3']) {
      add(device)
      const preparation = await make()
      if (isUndoneFirst) await preparation.undo()
      remove(device)
      if (!isUndoneFirst) await preparation.undo()
    }
  }
  await (await make()).undo()
  t.same([...settingRecords(native).keys()].toSorted(), before)
})

t.test('but of what is in a file, until it no longer is', async (t) => {
  const { native, make, add, remove } = await makeBed(t)
  const path = join(t.testdir(), 'file')
  const own = (): string[] =>
    [...settingRecords(native).keys()].filter((each) => each.includes('v1'))
  for (const isUndoneFirst of [true, false]) {
    add('v1')
    const preparation = await make()
    await persist(native, path)
    t.match(readFileSync(path, 'utf8'), 'conf.v1.')
    if (isUndoneFirst) await preparation.undo()
    remove('v1')
    if (!isUndoneFirst) await preparation.undo()
    await (await make()).undo()
    t.not(own().length, 0)
    await persist(native, path)
    t.notMatch(readFileSync(path, 'utf8'), 'conf.v1.')
    await (await make()).undo()
    t.same(own(), [])
  }
})
