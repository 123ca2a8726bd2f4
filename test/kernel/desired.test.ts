// Desired state on a real kernel: what ipvsadm reads afterwards, what was sent, and what happens when
// somebody else changes the table meanwhile. The addon's class is extended, so that a test knows what
// is sent and can step in between a reading and what follows from it.

import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'

import type { DesiredStateOptions, Ipvs, VirtualServer } from 'ipvs-netlink'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'

import {
  anyTransition,
  canonicalRule,
  configurationsOf,
  expectedLines,
  linesOf,
  longestOfOurs,
  mustBeSame,
  savedRules,
  text,
} from '../fixtures/tables.js'
import type { Model } from '../fixtures/tables.js'
import { makeBed, schedulersOf, tcp } from './bed.js'
import type { Bed } from './bed.js'
import { sendRaw } from './raw.js'

/** Changes that reached the kernel. */
let sent = 0

/** What somebody else does after each reading of the table. */
let meanwhile: (() => Promise<unknown>) | undefined

interface Native {
  apply: (operations: Uint8Array) => Promise<unknown>
  readAll: (consistent: boolean) => Promise<unknown>
}

const addon = loadAddon() as unknown as {
  Connection: new (netns: string | undefined, timeout: number) => Native
}

const Real = addon.Connection

addon.Connection = class extends Real {
  override apply = async (operations: Uint8Array): Promise<unknown> => {
    sent += operations.length / recordFormat().operation.size
    return super.apply(operations)
  }

  override readAll = async (consistent: boolean): Promise<unknown> => {
    const reply = await super.readAll(consistent)
    await meanwhile?.()
    return reply
  }
}

const sentBy = async (work: () => Promise<unknown>): Promise<number> => {
  const before = sent
  await work()
  return sent - before
}

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

const mustHold = (what: string, holds: boolean, value: unknown): void => {
  if (!holds) throw new Error(`${what}: ${text(value)}`)
}

/** Applies it twice: nothing may fail, and nothing may be sent the second time. */
const applyTwice = async (
  ipvs: Ipvs,
  desired: readonly VirtualServer[],
  options?: DesiredStateOptions,
): Promise<void> => {
  const { changes } = await ipvs.plan(desired, options)
  const first = await ipvs.apply(desired, options)
  mustHold('failed', first.failed.length === 0, first.failed)
  mustHold('as planned', text(first.changes) === text(changes), [first.changes, changes])
  const again = await sentBy(async () => {
    const second = await ipvs.apply(desired, options)
    mustHold('the second time', second.changes.length + second.failed.length === 0, second)
  })
  mustHold('sent the second time', again === 0, again)
}

const mustBe = async ({ ipvs, rules }: Bed, models: readonly Model[]): Promise<void> => {
  mustBeSame('ipvsadm -Sn', (await rules()).map(canonicalRule), savedRules(models))
  mustBeSame('snapshot', linesOf(await ipvs.snapshot()), expectedLines(models))
}

t.test('any table becomes any other', async (t) => {
  const bed = await makeBed(t)
  const { ipvs } = bed
  const transition = anyTransition(12, await schedulersOf(bed), longestOfOurs)
  await check(t, transition, async ([before, after]) => {
    await applyTwice(ipvs, asDesired(before))
    await mustBe(bed, before)
    t.equal(await sentBy(async () => ipvs.plan(asDesired(after), { prune: true })), 0)
    await applyTwice(ipvs, asDesired(after), { prune: true })
    await mustBe(bed, after)
    // What was read is a desired state too, and is what there is.
    t.same(await ipvs.plan(await ipvs.snapshot(), { prune: true }), { changes: [] })
  })
})

const udp = { protocol: 'udp', address: '10.0.0.1', port: 5060 } as const
const six = { protocol: 'tcp', address: '2001:db8::1', port: 443 } as const

t.test('every setting is edited in place, there and back', async (t) => {
  const { ipvs, rules } = await makeBed(t)
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
      destinations: [{ address: '127.0.0.9' }, { address: '127.0.0.8' }, { address: '127.0.0.2' }],
    },
  ])
  t.same((await rules()).length, 4)
})

t.test('destinations on the director itself and of another family stay as declared', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'lo')
  await inside('ip', 'address', 'add', '2001:db8::1/128', 'dev', 'lo', 'nodad')
  const tunnels = [
    { type: 'ipip' },
    { type: 'gre', checksum: 'csum' },
    { type: 'gue', port: 6080 },
  ] as const
  const own = ['127.0.0.1', '10.0.0.1'].flatMap((address) =>
    (['nat', 'dr', 'tun'] as const).map((forwarding, index) => ({
      ...tcp,
      port: 80 + index,
      address,
      destinations: [{ address, forwarding }],
    })),
  )
  const mixed = tunnels.map((tunnel, index) => ({
    ...six,
    port: 443 + index,
    destinations: [
      { address: '127.0.0.1', forwarding: 'tun', tunnel } as const,
      { address: '10.0.0.1', forwarding: 'tun', tunnel } as const,
      { address: '2001:db8::1', forwarding: 'tun', tunnel } as const,
      { address: '::1', forwarding: 'dr' } as const,
    ],
  }))
  const desired = [...own, ...mixed] as readonly VirtualServer[]
  await applyTwice(ipvs, desired)
  const table = await ipvs.snapshot()
  t.same(
    table.flatMap(({ destinations }) => destinations.map(({ forwarding }) => forwarding)).sort(),
    desired.flatMap(({ destinations }) => destinations.map(({ forwarding }) => forwarding)).sort(),
  )
})

t.test('what is not declared stays, unless it is ours and pruned', async (t) => {
  const { ipvs, netns, inside, rules } = await makeBed(t)
  const ours = { ...tcp, port: 81 }
  const settings = { scheduler: 'rr', flags: 0, timeout: 0, netmask: Uint8Array.of(255, 0, 255, 0) }
  const address = Uint8Array.of(10, 0, 0, 1)
  const odd = { family: 2, protocol: 47, address, port: 0 }
  const server = {
    address: Uint8Array.of(127, 0, 0, 1),
    family: 2,
    port: 0,
    weight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
  }
  await sendRaw(netns, 'NEW_SERVICE', { ...odd, ...settings })
  // Forwarding that only the kernel's own code uses.
  await sendRaw(netns, 'NEW_DEST', odd, { ...server, forwarding: 1 })
  await sendRaw(netns, 'NEW_DEST', odd, { ...server, port: 1, forwarding: 4 })
  await inside('ipvsadm', '-A', '-f', '7', '-s', 'rr', '-p', '-M', '255.0.255.0')
  await ipvs.addService(ours)
  const foreign = await rules()
  const desired = [{ ...tcp, destinations: [{ address: '127.0.0.1' }] }]

  await applyTwice(ipvs, desired)
  t.equal((await rules()).length, foreign.length + 2)
  await applyTwice(ipvs, desired, { owns: () => true })
  t.equal((await rules()).length, foreign.length + 2, 'owns alone removes nothing')

  const asked: unknown[] = []
  await applyTwice(ipvs, desired, {
    prune: true,
    owns: (service) => {
      asked.push('fwmark' in service ? service.fwmark : `${service.protocol}:${service.port}`)
      return 'port' in service && service.port === 81
    },
  })
  t.same([...new Set(asked)].sort(), ['47:0', 7, 'tcp:81'], 'not about what is declared')
  t.equal((await rules()).length, foreign.length + 1)

  // A snapshot with what cannot be declared is refused, at its path.
  await t.rejects(ipvs.apply(await ipvs.snapshot()), {
    name: 'TypeError',
    message: /persistence\.netmask/,
    code: 'ERR_INVALID_ARG_VALUE',
  })
  await applyTwice(ipvs, desired, { prune: true })
  t.same(await rules(), ['-A -t 10.0.0.1:80 -s wlc', '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1'])

  // Declared, it is made what can be declared.
  const declared = { family: 2, protocol: 6, address, port: 80 }
  await sendRaw(netns, 'SET_DEST', declared, { ...server, port: 80, forwarding: 1 })
  t.match(await ipvs.plan(desired), { changes: [{ reason: 'forwarding local -> dr' }] })
  await applyTwice(ipvs, desired)
})

t.test('weights can be left to others', async (t) => {
  const { ipvs, inside, rules } = await makeBed(t)
  const server = (n: number) => ({ address: `127.0.0.${n}`, weight: 5 }) as const
  const desired = [{ ...tcp, destinations: [server(1), server(2)] }]
  await ipvs.apply(desired)
  await inside('ipvsadm', '-e', '-t', '10.0.0.1:80', '-r', '127.0.0.1:80', '-g', '-w', '0')
  await inside('ipvsadm', '-e', '-t', '10.0.0.1:80', '-r', '127.0.0.2:80', '-g', '-w', '3')
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
  const { ipvs, inside, rules } = await makeBed(t)
  const desired = [
    { ...tcp, scheduler: 'rr', destinations: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }] },
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
    await inside('ipvsadm', ...rule.split(' '))
    const { changes, failed } = await ipvs.apply(desired)
    t.ok(changes.length > 0)
    t.same(failed, [])
    t.same(await rules(), right, rule)
  }
})

t.test('a lost race is looked at again', async (t) => {
  const { ipvs, inside, rules } = await makeBed(t)
  const desired = [{ ...tcp, scheduler: 'rr', destinations: [{ address: '127.0.0.1' }] }]
  const right = ['-A -t 10.0.0.1:80 -s rr', '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1']
  const service = ['-A', '-t', '10.0.0.1:80']
  const server = ['-a', '-t', '10.0.0.1:80', '-r', '127.0.0.1:80']
  /** Once, right after the table was read. */
  const after = async (...steps: string[][]): Promise<void> => {
    meanwhile = async () => {
      meanwhile = undefined
      for (const step of steps) await inside('ipvsadm', ...step)
    }
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
  await t.test('the service goes', async () => after(['-C']))
  await ipvs.editDestination(tcp, { address: '127.0.0.1', weight: 2 })
  await t.test('the destination goes', async () => after(['-d', ...server.slice(1)]))
  await ipvs.addDestination(tcp, { address: '127.0.0.2' })
  await t.test('what is to go is gone', async () => after(['-C']))

  await t.test('but not for ever', async (t) => {
    await ipvs.clear()
    let looks = 0
    meanwhile = async () => {
      // There whenever it is to be added, and gone whenever it is to be edited.
      await inside('ipvsadm', ...(++looks % 2 === 1 ? service : ['-C']))
    }
    const { changes, failed } = await ipvs.apply(desired)
    meanwhile = undefined
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
  const { ipvs, rules } = await makeBed(t)
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
  const { ipvs, rules } = await makeBed(t)
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
  const { ipvs, rules } = await makeBed(t)
  const controller = new AbortController()
  const good = { ...tcp, destinations: [{ address: '127.0.0.1' }] }
  t.equal(
    await sentBy(async () => {
      await t.rejects(ipvs.apply([good, { ...udp, destinations: [{ address: '0.0.0.0' }] }]), {
        name: 'TypeError',
        message: /"\[1\]\.destinations\[0\]\.address"/,
      })
      meanwhile = async () => controller.abort()
      await t.rejects(ipvs.apply([good], { signal: controller.signal }), { name: 'AbortError' })
      meanwhile = undefined
    }),
    0,
  )
  t.same(await rules(), [])
})
