// Desired state, on whatever has a table: what is there afterwards, what was sent, and what happens when
// somebody else changes the table meanwhile.

import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'

import type { VirtualServer } from 'ipvs-netlink'

import { withLosses } from '../fixtures/rules.js'
import {
  anyTransition,
  canonicalRule,
  configurationsOf,
  expectedLines,
  linesOf,
  longestOfOurs,
  mustBeSame,
  savedRules,
} from '../fixtures/tables.js'
import type { Model } from '../fixtures/tables.js'
import { afterReading, applyTwice, sentBy } from './applying.js'
import { tcp } from './scene.js'
import type { MakeScene, Scene } from './scene.js'

const { SEED } = process.env

/** Checks a property of one value, which is not made smaller when it breaks it. */
const check = async <T>(
  t: Test,
  values: fc.Arbitrary<T>,
  holds: (value: T) => Promise<void>,
): Promise<void> => {
  const { failed, seed, errorInstance } = await fc.check(fc.asyncProperty(values, holds), {
    numRuns: 1,
    endOnFailure: true,
    ...(SEED !== undefined && { seed: Number(SEED) }),
  })
  t.notOk(failed, `seed ${seed}${failed ? `: ${String(errorInstance)}` : ''}`)
}

const asDesired = (models: readonly Model[]): VirtualServer[] =>
  configurationsOf(models) as unknown as VirtualServer[]

const mustBe = async ({ ipvs, rules }: Scene, models: readonly Model[]): Promise<void> => {
  const saved = (await rules()).map((rule) => withLosses(canonicalRule(rule)).trim())
  mustBeSame('rules', saved, savedRules(models))
  mustBeSame('snapshot', linesOf(await ipvs.snapshot()), expectedLines(models))
}

const udp = { protocol: 'udp', address: '10.0.0.1', port: 5060 } as const
const six = { protocol: 'tcp', address: '2001:db8::1', port: 443 } as const

export const desired = (makeScene: MakeScene): void => {
  t.test('any table becomes any other', async (t) => {
    const scene = await makeScene(t)
    const { ipvs } = scene
    const transition = anyTransition(12, await scene.schedulers(), longestOfOurs)
    await check(t, transition, async ([before, after]) => {
      await applyTwice(ipvs, asDesired(before))
      await mustBe(scene, before)
      t.equal(await sentBy(async () => ipvs.plan(asDesired(after), { prune: true })), 0)
      await applyTwice(ipvs, asDesired(after), { prune: true })
      await mustBe(scene, after)
      // What was read is a desired state too, and is what there is.
      t.same(await ipvs.plan(await ipvs.snapshot(), { prune: true }), { changes: [] })
    })
  })

  t.test('every setting is edited in place, there and back', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const services = [
      {},
      { scheduler: 'sh', schedulerFlags: ['sh-fallback', 'sh-port', 'flag-3'] },
      { scheduler: 'mh', schedulerFlags: ['mh-port'], onePacket: true },
      { persistence: {} },
      { persistence: { timeout: 1, prefixLength: 24, engine: 'sip' } },
      { persistence: { timeout: 1, netmask: '255.0.0.0' }, onePacket: true },
    ] as const
    const destinations = [
      {},
      { forwarding: 'nat' },
      { forwarding: 'nat', weight: 0, upperThreshold: 9, lowerThreshold: 3 },
      { forwarding: 'tun' },
      { forwarding: 'tun', tunnel: { type: 'gre', checksum: 'csum' } },
      { forwarding: 'tun', tunnel: { type: 'gue', port: 6080, checksum: 'remcsum' } },
      { forwarding: 'dr', weight: 2147483647, upperThreshold: 2147483647 },
    ] as const
    const others = [{ address: '127.0.0.8' }, { address: '127.0.0.9' }]
    let last: readonly VirtualServer[] = []
    // Every pair of neighbours, and the last with the first.
    for (const n of Array.from({ length: 15 }, (_, index) => index)) {
      const desired: readonly VirtualServer[] = [
        {
          ...udp,
          ...services[n % services.length],
          destinations: [
            { address: '127.0.0.2', ...destinations[n % destinations.length] },
            ...others,
          ] as VirtualServer['destinations'],
        },
      ]
      await applyTwice(ipvs, desired)
      const { changes } = await ipvs.plan(last)
      if (n > 0) t.same(changes.map(({ op }) => op).sort(), ['editDestination', 'editService'])
      last = desired
    }
    // What is edited keeps its place in the kernel's list, what is added again does not.
    t.match(await ipvs.snapshot(), [
      {
        destinations: [
          { address: '127.0.0.9' },
          { address: '127.0.0.8' },
          { address: '127.0.0.2' },
        ],
      },
    ])
    t.same((await rules()).length, 4)
  })

  t.test('weights can be left to others', async (t) => {
    const { ipvs, admin, rules } = await makeScene(t)
    const server = (n: number) => ({ address: `127.0.0.${n}`, weight: 5 }) as const
    const desired = [{ ...tcp, destinations: [server(1), server(2)] }]
    await ipvs.apply(desired)
    await admin('-e -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 0')
    await admin('-e -t 10.0.0.1:80 -r 127.0.0.2:80 -g -w 3')
    const next = [
      {
        ...tcp,
        destinations: [
          { ...server(1), upperThreshold: 7, forwarding: 'tun' },
          { ...server(2), forwarding: 'nat' },
          server(3),
        ],
      },
    ] as const
    await applyTwice(ipvs, desired, { keepWeights: true })
    await applyTwice(ipvs, next, { keepWeights: true })
    const server3 = '-a -t 10.0.0.1:80 -r 127.0.0.3:80 -g -w 5'
    const named = (await rules()).sort()
    t.same(named.slice(1), [
      '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -i -w 0 --tun-type ipip',
      '-a -t 10.0.0.1:80 -r 127.0.0.2:80 -m -w 3',
      server3,
    ])
    await applyTwice(ipvs, next, { keepWeights: ({ weight }) => weight === 0 })
    t.same((await rules()).sort().slice(1), [
      '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -i -w 0 --tun-type ipip',
      '-a -t 10.0.0.1:80 -r 127.0.0.2:80 -m -w 5',
      server3,
    ])
    t.match((await ipvs.plan(next)).changes, [{ op: 'editDestination', reason: 'weight 0 -> 5' }])
    await applyTwice(ipvs, next)
  })

  t.test('what others change is put right', async (t) => {
    const { ipvs, admin, rules } = await makeScene(t)
    const desired = [
      {
        ...tcp,
        scheduler: 'rr',
        destinations: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }],
      },
      { ...udp, persistence: {}, destinations: [{ address: '127.0.0.1' }] },
    ]
    await ipvs.apply(desired)
    const right = await rules()
    for (const rule of [
      '-E -t 10.0.0.1:80 -s wrr',
      '-a -t 10.0.0.1:80 -r 127.0.0.3 -m',
      '-d -t 10.0.0.1:80 -r 127.0.0.2',
      '-e -t 10.0.0.1:80 -r 127.0.0.1 -m -w 7 -x 3',
      '-D -u 10.0.0.1:5060',
    ]) {
      await admin(rule)
      const { changes, failed } = await ipvs.apply(desired)
      t.ok(changes.length > 0)
      t.same(failed, [])
      t.same(await rules(), right, rule)
    }
  })

  t.test('a lost race is looked at again', async (t) => {
    const { ipvs, admin, rules } = await makeScene(t)
    const desired = [{ ...tcp, scheduler: 'rr', destinations: [{ address: '127.0.0.1' }] }]
    const right = ['-A -t 10.0.0.1:80 -s rr', '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1']
    const service = '-A -t 10.0.0.1:80'
    const place = '-t 10.0.0.1:80 -r 127.0.0.1:80'
    const server = `-a ${place}`
    /** Once, right after the table was read. */
    const after = async (...steps: string[]): Promise<void> => {
      let isOver = false
      afterReading(ipvs, async () => {
        if (isOver) return
        isOver = true
        for (const step of steps) await admin(step)
      })
      const { failed } = await ipvs.apply(desired)
      t.same(failed, [])
      t.same(await rules(), right)
    }
    await t.test('the service appears', async () => after(service))
    await ipvs.clear()
    await t.test('it appears with a destination', async () => after(service, server))
    await ipvs.deleteDestination(tcp, { address: '127.0.0.1' })
    await t.test('the destination appears', async () => after(server))
    await ipvs.editService(tcp)
    await t.test('the service goes', async () => after('-C'))
    await ipvs.editDestination(tcp, { address: '127.0.0.1', weight: 2 })
    await t.test('the destination goes', async () => after(`-d ${place}`))
    await ipvs.addDestination(tcp, { address: '127.0.0.2' })
    await t.test('what is to go is gone', async () => after('-C'))

    await t.test('but not for ever', async (t) => {
      await ipvs.clear()
      let looks = 0
      afterReading(ipvs, async () => {
        // There whenever it is to be added, and gone whenever it is to be edited.
        await admin(++looks % 2 === 1 ? service : '-C')
      })
      const { changes, failed } = await ipvs.apply(desired)
      t.equal(looks, 5)
      t.match(failed, [
        {
          change: { op: 'addService' },
          error: { name: 'IpvsError', code: 'ERR_IPVS_SERVICE_EXISTS' },
        },
      ])
      t.ok(changes.every(({ op }) => op === 'addDestination'))
      await ipvs.clear()
    })
  })

  t.test('several programs that want the same get it', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const desired = Array.from({ length: 10 }, (_, index) => ({
      ...tcp,
      port: index + 1,
      destinations: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }],
    }))
    const answers = await Promise.all(
      Array.from({ length: 4 }, async () => ipvs.apply(desired, { prune: true })),
    )
    for (const { failed } of answers) t.same(failed, [])
    t.equal((await rules()).length, 30)
    await applyTwice(ipvs, desired)
  })

  t.test('what the kernel refuses is reported, and the rest is done', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    await ipvs.addService({ ...tcp, scheduler: 'rr' })
    const desired = [
      { ...udp, scheduler: 'nonesuch', destinations: [{ address: '127.0.0.1' }] },
      { ...tcp, scheduler: 'nonesuch', destinations: [{ address: '127.0.0.1' }] },
      { ...six, destinations: [{ address: '::1' }] },
    ]
    const { changes, failed } = await ipvs.apply(desired)
    t.match(failed, [
      { change: { op: 'addService', service: udp }, error: { code: 'ERR_IPVS_NO_SCHEDULER' } },
      { change: { op: 'editService', service: tcp }, error: { code: 'ERR_IPVS_NO_SCHEDULER' } },
    ])
    t.equal(failed.length, 2, 'nothing for the destination of the service that is not there')
    t.same(
      changes.map(({ op }) => op),
      ['addDestination', 'addService', 'addDestination'],
    )
    t.same((await rules()).sort(), [
      '-A -t 10.0.0.1:80 -s rr',
      '-A -t [2001:db8::1]:443 -s wlc',
      '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1',
      '-a -t [2001:db8::1]:443 -r [::1]:443 -g -w 1',
    ])
  })

  t.test('a faulty state, or an abort, sends nothing', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const controller = new AbortController()
    const good = { ...tcp, destinations: [{ address: '127.0.0.1' }] }
    t.equal(
      await sentBy(async () => {
        await t.rejects(ipvs.apply([good, { ...udp, destinations: [{ address: '0.0.0.0' }] }]), {
          name: 'TypeError',
          message: /"\[1\]\.destinations\[0\]\.address"/,
        })
        afterReading(ipvs, async () => controller.abort())
        await t.rejects(ipvs.apply([good], { signal: controller.signal }), { name: 'AbortError' })
      }),
      0,
    )
    t.same(await rules(), [])
  })
}
