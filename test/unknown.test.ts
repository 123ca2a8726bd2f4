// What becomes of addresses, settings and devices when nobody knows whether a change was made: in
// network namespaces of this machine, through a connection that loses answers.

import t from 'tap'
import type { Test } from 'tap'

import type { Host } from 'ipvs-netlink'
import { bringUp } from '#lib/link-steps'
import { recordFormat } from '#lib/records'
import { forward } from '#lib/setting-steps'
import { prepare } from '#lib/trail'
import { limit } from './fixtures/limits.js'
import { makeNamespace } from './fixtures/namespace.js'
import { openThrough, withCalls } from './fixtures/through.js'
import type { Native } from './fixtures/through.js'

t.setTimeout(limit(600_000))

type Failure = Awaited<ReturnType<Native['writeSetting']>>

const unknown = 'ERR_IPVS_OUTCOME_UNKNOWN'

/** What happens to one change. */
type Fate = 'made' | 'answer lost' | 'never made' | 'rejected'

const lost = { stage: 5, errno: 110, text: '' }
const noThread = { stage: 1, errno: 11, text: '' }
const changeSize = 8 + recordFormat().address.size

/** Loses the answers of changes, which are counted from when the fates were told. */
class Losses {
  #fates: Readonly<Record<number, Fate>> = {}
  #hooks: Readonly<Record<number, () => void>> = {}
  #count = 0
  /** Whether settings can be read no more. */
  isBlind = false

  /** By the number of a change; `before` is what somebody else does right before one. */
  tell(
    fates: Readonly<Record<number, Fate>>,
    before: Readonly<Record<number, () => void>> = {},
  ): void {
    this.#fates = fates
    this.#hooks = before
    this.#count = 0
  }

  get count(): number {
    return this.#count
  }

  #next(): Fate {
    this.#hooks[this.#count]?.()
    return this.#fates[this.#count++] ?? 'made'
  }

  async #change(call: () => Promise<Failure>): Promise<Failure> {
    const fate = this.#next()
    const answer = fate === 'never made' ? undefined : await call()
    if (fate === 'rejected') throw new Error('std::bad_alloc')
    return fate === 'made' ? answer : lost
  }

  async #changeAddresses(native: Native, changes: Uint8Array) {
    const all = Array.from({ length: changes.length / changeSize }, (_, index) =>
      changes.slice(index * changeSize, (index + 1) * changeSize),
    )
    const pairs: number[] = []
    let rejects = false
    for (const change of all) {
      const fate = this.#next()
      rejects ||= fate === 'rejected'
      const reply = fate === 'never made' ? undefined : await native.changeAddresses(change)
      if (fate === 'made' && reply) pairs.push(...new Int32Array(reply.outcomes))
      else pairs.push(lost.stage, lost.errno)
    }
    if (rejects) throw new Error('std::bad_alloc')
    return { outcomes: Int32Array.from(pairs).buffer, texts: {} }
  }

  over(native: Native): Native {
    return withCalls(native, {
      writeSetting: (...given) => this.#change(() => native.writeSetting(...given)),
      changeLink: (...given) => this.#change(() => native.changeLink(...given)),
      changeGuePort: (...given) => this.#change(() => native.changeGuePort(...given)),
      changeAddresses: (changes) => this.#changeAddresses(native, changes),
      readSetting: async (...given) =>
        this.isBlind ? { failure: noThread, value: '' } : native.readSetting(...given),
    })
  }
}

interface Bed {
  readonly host: Host
  /** The same, for steps that no profile has by themselves. */
  readonly native: Native
  readonly losses: Losses
  readonly inside: (...args: string[]) => string
  /** Settings, addresses, and which devices are up. */
  readonly everything: () => string
}

const makeBed = async (t: Test): Promise<Bed> => {
  const { netns, inside } = makeNamespace(t)
  inside('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  const losses = new Losses()
  const { host, native } = await openThrough(netns, (each) => losses.over(each))
  t.teardown(async () => {
    await host.close()
    native.close()
  })
  const everything = (): string =>
    inside(
      'sh',
      '-c',
      'cd /proc/sys/net; grep . ipv4/ip_forward */conf/*/arp_* */conf/*/forwarding */conf/*/*_redirects; ip -o address; ip -br link',
    )
  return { host, native, losses, inside, everything }
}

const six = '2001:db8::9'
const four = '10.9.9.1'
const profile = { forwarding: 'dr', vip: [four, six], device: 'v0' } as const
/** Four settings against ARP, and the two VIPs. */
const last = 5
const fates = ['answer lost', 'never made', 'rejected'] as const

t.test('a preparation that may have been made is undone, whatever it was about', async (t) => {
  const { host, inside, losses, everything } = await makeBed(t)
  // Somebody's, with the label that the VIP would have, and one that the preparation finds.
  inside('ip', 'address', 'add', '10.9.9.1/32', 'dev', 'v0')
  inside('ip', 'address', 'add', '10.9.9.8/32', 'dev', 'lo', 'label', 'lo:0')
  for (const there of [[], [`${six}/128`]]) {
    for (const address of there) inside('ip', 'address', 'add', address, 'dev', 'lo')
    const before = everything()
    const steps = last + 1 - there.length
    for (const fate of fates) {
      for (const number of [0, 1, steps - 1]) {
        losses.tell({ [number]: fate })
        await t.rejects(host.prepareRealServer(profile), { code: unknown })
        t.equal(everything(), before, `${fate} at ${number} beside ${there.join()}`)
      }
    }
    losses.tell({})
    const preparation = await host.prepareRealServer(profile)
    t.equal(losses.count, steps)
    t.equal(preparation.changed.length, steps)
    const { restored } = await preparation.undo()
    t.equal(restored.length, steps)
    t.equal(everything(), before)
  }
})

t.test('a device that may have been brought up is brought down again', async (t) => {
  const { native, losses, everything } = await makeBed(t)
  const before = everything()
  const make = (): Promise<unknown> =>
    prepare(native, [bringUp('it is needed', 'v0')], 'it', (_, work) => work(native), undefined)
  for (const fate of fates) {
    losses.tell({ 0: fate })
    await t.rejects(make(), { code: unknown, command: 'RTM_SETLINK' }, fate)
    t.equal(everything(), before, fate)
  }
})

t.test('and so is what the kernel writes along with a switch', async (t) => {
  const { native, inside, losses, everything } = await makeBed(t)
  inside('sysctl', '-q', '-w', 'net.ipv4.conf.v0.forwarding=1')
  const before = everything()
  const steps = [forward('it routes', 'ipv4')]
  const make = (): Promise<unknown> =>
    prepare(native, steps, 'it', (_, work) => work(native), undefined)
  for (const fate of fates) {
    losses.tell({ 0: fate })
    await t.rejects(make(), { code: unknown, command: 'sysctl' }, fate)
    t.equal(everything(), before, fate)
  }
})

t.test('an undo that failed puts that back the next time', async (t) => {
  for (const family of ['ipv4', 'ipv6'] as const) {
    const { native, inside, losses, everything } = await makeBed(t)
    inside('sysctl', '-q', '-w', `net.${family}.conf.v0.forwarding=1`)
    const before = everything()
    const steps = [forward('it routes', family)]
    const make = () => prepare(native, steps, 'it', (_, work) => work(native), undefined)
    for (const fate of fates) {
      for (const numbers of [[0], [1], [3], [2, 2], [0, 3]]) {
        const preparation = await make()
        const { changed } = preparation
        for (const number of numbers) {
          losses.tell({ [number]: fate })
          await t.rejects(preparation.undo(), {
            name: 'AggregateError',
            errors: [{ code: unknown }],
          })
        }
        losses.tell({})
        t.same(
          await preparation.undo(),
          { restored: changed, left: [] },
          `${fate} at ${numbers.join()}`,
        )
        t.equal(everything(), before, `${fate} at ${numbers.join()} of ${family}`)
      }
    }
  }
})

t.test('nothing need be read after a switch is written', async (t) => {
  const { native, losses, everything } = await makeBed(t)
  const before = everything()
  const make = () =>
    prepare(native, [forward('it routes', 'ipv4')], 'it', (_, work) => work(native), undefined)
  const blind = { 0: () => void (losses.isBlind = true) }
  losses.tell({}, blind)
  const first = await make()
  losses.isBlind = false
  t.same(await first.undo(), { restored: first.changed, left: [] })
  t.equal(everything(), before)
  losses.tell({ 0: 'answer lost' }, blind)
  const errors = [{ code: unknown }, { name: 'AggregateError' }]
  await t.rejects(make(), { name: 'AggregateError', errors })
  losses.isBlind = false
  losses.tell({})
  await (await make()).undo()
  t.equal(everything(), before, 'what was left is put back by the next one')
})

t.test('what somebody else adds in the midst of a preparation stays', async (t) => {
  const { host, inside, losses } = await makeBed(t)
  const addresses = (): string => inside('ip', '-o', 'address', 'show', 'dev', 'lo')
  // The first VIP's answer is lost, and the second is refused: somebody else has it meanwhile.
  const other = (): void => void inside('ip', 'address', 'add', `${six}/128`, 'dev', 'lo')
  losses.tell({ 4: 'answer lost' }, { 5: other })
  await t.rejects(host.prepareRealServer(profile), { code: unknown, message: /10\.9\.9\.1/ })
  t.match(addresses(), six)
  t.notMatch(addresses(), four)
  // The label tells whose it is.
  const same = (): void => void inside('ip', 'address', 'add', `${four}/32`, 'dev', 'lo')
  losses.tell({ 4: 'answer lost' }, { 4: same })
  await t.rejects(host.prepareRealServer(profile), { code: unknown })
  t.match(addresses(), four)
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }], 'and it stays hidden')
})

t.test('a VIP that may be there, and may not have been deleted, stays hidden', async (t) => {
  for (const fate of fates) {
    const { host, losses } = await makeBed(t)
    losses.tell({ 4: 'answer lost', 6: fate, 7: fate })
    await t.rejects(host.prepareRealServer(profile), {
      name: 'AggregateError',
      errors: [{ code: unknown, command: 'RTM_NEWADDR' }, { name: 'AggregateError' }],
    })
    t.match(await host.arpSuppression('v0'), [{ suppressed: true }], fate)
  }
})

t.test('an undo that failed can be tried again, and does what is left', async (t) => {
  const { host, losses, everything } = await makeBed(t)
  const before = everything()
  const preparation = await host.prepareRealServer(profile)
  // Backwards: the VIPs, and then the settings.
  losses.tell({ 1: 'never made' })
  await t.rejects(preparation.undo(), { name: 'AggregateError' })
  t.match(await host.arpSuppression('v0'), [{ suppressed: true }], 'the VIP is still there')
  losses.tell({ 2: 'never made' })
  await t.rejects(preparation.undo(), { errors: [{ code: unknown, command: 'sysctl' }] })
  t.equal(losses.count, 5, 'a VIP and the settings')
  losses.tell({})
  const { restored, left } = await preparation.undo()
  t.equal(losses.count, 1)
  t.same(left, [])
  t.equal(restored.length, last + 1)
  t.equal(everything(), before)
  losses.tell({})
  t.same(await preparation.undo(), { restored, left })
  t.equal(losses.count, 0)
})

t.test('a single VIP whose answer is lost is told so, and nothing is deleted', async (t) => {
  const { host, inside, losses, everything } = await makeBed(t)
  const vips = [
    { address: six },
    { address: four, label: 'lo:x' },
    { address: '10.9.9.2', device: 'v0', label: 'v0' },
  ]
  const each = fates.flatMap((fate) => vips.map((vip) => [fate, vip] as const))
  for (const [fate, vip] of each) {
    const added = await host.addVip(vip)
    const before = everything()
    losses.tell({ 0: fate })
    await t.rejects(host.addVip(vip), { code: unknown }, 'it exists, and that answer is lost')
    t.equal(everything(), before, 'it is still there')
    t.equal(losses.count, 1)
    await host.deleteVip(added)
    losses.tell({ 0: fate })
    await t.rejects(host.addVip({ address: vip.address }), {
      code: unknown,
      command: 'RTM_NEWADDR',
    })
    t.equal(losses.count, 1)
    const isThere = inside('ip', '-o', 'address').includes(`${vip.address}/`)
    t.equal(isThere, fate !== 'never made')
    losses.tell({})
    await host.deleteVip([{ address: vip.address }])
  }
})

t.test('of many VIPs all or none are added, and others are let be', async (t) => {
  const { host, inside, losses, everything } = await makeBed(t)
  const names = ['10.9.9.1', '10.9.9.2', six, '10.9.9.3']
  const vips = names.map((address) => ({ address }))
  const each = fates.flatMap((fate) => ['10.9.9.2', six].map((there) => [fate, there] as const))
  for (const [fate, there] of each) {
    inside('ip', 'address', 'add', there, 'dev', 'lo')
    const before = everything()
    for (const number of [0, 1, 2]) {
      losses.tell({ [number]: fate })
      await t.rejects(host.addVip(vips), { code: unknown }, `${fate} at ${number}`)
      t.equal(everything(), before, `${fate} at ${number} beside ${there}`)
    }
    losses.tell({ 1: fate, 4: fate })
    await t.rejects(host.addVip(vips), { name: 'AggregateError', errors: [{}, { code: unknown }] })
    losses.tell({})
    await host.deleteVip(vips)
  }
})

t.test('a setting that may have been written is told so', async (t) => {
  const { host, losses } = await makeBed(t)
  const name = 'net.ipv4.conf.v0.arp_ignore'
  losses.tell({ 0: 'rejected', 1: 'answer lost' })
  const error: unknown = await host.setSysctl(name, 1).catch((reason: unknown) => reason)
  t.match(error, {
    code: unknown,
    errno: 0,
    command: 'sysctl',
    message: /write "1" to net\.ipv4\.conf\.v0\.arp_ignore.*std::bad_alloc.*may have been made/,
    cause: { message: 'std::bad_alloc' },
  })
  t.equal(await host.getSysctl(name), '1')
  await t.rejects(host.setSysctl(name, 0), { code: unknown, cause: undefined })
})

t.test('of several VIPs that were not deleted, the one that may have been is told', async (t) => {
  const { host, inside, losses } = await makeBed(t)
  const vips = [
    { address: '10.9.9.3', device: 'v0' },
    { address: '10.9.9.2' },
    { address: four },
    { address: six },
  ]
  await host.addVip(vips)
  losses.tell({ 2: 'answer lost' }, { 0: () => void inside('ip', 'link', 'delete', 'v0') })
  await t.rejects(host.deleteVip(vips), {
    name: 'IpvsError',
    code: unknown,
    command: 'RTM_DELADDR',
    message: /delete address 10\.9\.9\.1\/32 on lo: .*may have been made.* \(and 1 more\)$/,
    errors: [
      { code: unknown, message: /10\.9\.9\.1/ },
      { code: 'ERR_HOST_NO_DEVICE', message: /10\.9\.9\.3/ },
    ],
  })
  t.notMatch(inside('ip', '-o', 'address'), /10\.9\.9|2001:db8/)
})

t.test('of one VIP that was not deleted there is no list', async (t) => {
  const { host, losses } = await makeBed(t)
  const vips = [{ address: four }, { address: six }]
  await host.addVip(vips)
  losses.tell({ 1: 'answer lost' })
  const error: unknown = await host.deleteVip(vips).catch((reason: unknown) => reason)
  t.match(error, { code: unknown, message: /2001:db8::9/ })
  t.notOk('errors' in (error as object))
})

t.test('what was set is told so, also where it cannot be read again', async (t) => {
  const { host, inside, losses } = await makeBed(t)
  inside('sysctl', '-q', '-w', 'net.ipv4.conf.v1.arp_ignore=8')
  const blind = (): void => void (losses.isBlind = true)
  losses.tell({}, { 0: blind })
  const states = await host.suppressArp(['v1', 'all', 'v0'])
  t.equal(await host.ipForward(true), true)
  t.equal(await host.ipForward(false, { family: 'ipv6' }), false)
  await t.rejects(host.arpSuppression('v0'), { code: 'ERR_HOST_REFUSED', errno: -11 })
  losses.isBlind = false
  t.same(states, await host.arpSuppression(['v1', 'all', 'v0']))
  t.match(states, [
    { device: 'v1', arpIgnore: 8, arpAnnounce: 2, suppressed: true },
    { device: 'all', arpIgnore: 1, suppressed: true },
    { device: 'v0', arpIgnore: 1, suppressed: true },
  ])
  t.equal(await host.ipForward(), true)
})
