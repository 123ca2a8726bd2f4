// The fake of `ipvs-netlink/testing` beside the kernel: the same calls, right ones and wrong ones,
// must have the same outcomes and leave the same table.

import fc from 'fast-check'
import t from 'tap'

import type { Ipvs, Operation } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'

import { makeBed } from './bed.js'

// Few names, so that calls meet: what one adds the next edits, and another finds missing.

const oneOf = fc.constantFrom

const sometimes = <T>(
  value: fc.Arbitrary<T>,
  wrong: fc.Arbitrary<unknown>,
): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 40, arbitrary: value }, { weight: 1, arbitrary: wrong })

/** Present or absent, one by one. */
const some = (properties: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<object> =>
  fc.record(properties, { requiredKeys: [] })

const key = sometimes(
  oneOf(
    { protocol: 'tcp', address: '10.0.0.1', port: 80 },
    { protocol: 'udp', address: '10.0.0.1', port: 80 },
    { protocol: 'sctp', address: '10.0.0.2', port: 65535 },
    { protocol: 'tcp', address: '10.0.0.1', port: 0 },
    { protocol: 'udp', address: '2001:db8::1', port: 53 },
    { fwmark: 7 },
    { fwmark: 7, family: 'ipv6' },
  ),
  oneOf(undefined, {}, { fwmark: 0 }, { protocol: 'tcp', address: '10.0.0.1', port: 65536 }),
)

const persistence = some({
  timeout: sometimes(oneOf(1, 90, 360, 4_294_967), oneOf(0, 4_294_968)),
  prefixLength: sometimes(oneOf(1, 24, 32), oneOf(0, 128, 129)),
})

const settings = {
  scheduler: sometimes(oneOf('rr', 'wlc', 'sh', 'mh', 'none'), oneOf('', 7)),
  schedulerFlags: sometimes(
    fc.subarray(['flag-1', 'flag-2', 'flag-3'], { maxLength: 2 }),
    oneOf(['sh-port'], ['mh-fallback']),
  ),
  onePacket: sometimes(oneOf(false), oneOf(true)),
}

const service = fc
  .tuple(key, some({ ...settings, persistence }))
  .map(([identity, others]) => ({ ...(identity as object), ...others }))

const serviceChanges = some({
  ...settings,
  persistence: fc.oneof(persistence, oneOf(null, { engine: null })),
})

const destinationKey = fc.record(
  {
    address: sometimes(
      oneOf('127.0.0.1', '127.0.0.2', '203.0.113.1', '::1', '2001:db8::9'),
      oneOf('127.255.255.255', '0.0.0.0', 'fe80::1', undefined),
    ),
    port: oneOf(80, 80, 8080),
  },
  { requiredKeys: ['address'] },
)

const tunnels = oneOf(
  {},
  { forwarding: 'nat' },
  { forwarding: 'tun' },
  { forwarding: 'tun' },
  { forwarding: 'tun', tunnel: { type: 'gre', checksum: 'csum' } },
  { forwarding: 'tun', tunnel: { type: 'gue', port: 6080, checksum: 'remcsum' } },
)

const thresholds = oneOf(
  {},
  { upperThreshold: 5, lowerThreshold: 4 },
  { upperThreshold: 2 ** 31 - 1 },
  { upperThreshold: 0 },
  { lowerThreshold: 6 },
)

const limits = fc
  .tuple(
    tunnels,
    thresholds,
    some({ weight: sometimes(oneOf(0, 1, 100, 2 ** 31 - 1), oneOf(-1, 2 ** 31, null)) }),
  )
  .map(([...parts]) => Object.assign({}, ...parts) as object)

const destination = fc
  .tuple(destinationKey, limits)
  .map(([identity, others]) => ({ ...identity, ...others }))

const operation = (op: string, values: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record({ op: oneOf(op), ...values })

const anyOperation = fc.oneof(
  { weight: 8, arbitrary: operation('addService', { service }) },
  { weight: 3, arbitrary: operation('editService', { service }) },
  { weight: 4, arbitrary: operation('patchService', { service: key, changes: serviceChanges }) },
  { weight: 2, arbitrary: operation('deleteService', { service: key }) },
  { weight: 16, arbitrary: operation('addDestination', { service: key, destination }) },
  { weight: 6, arbitrary: operation('editDestination', { service: key, destination }) },
  {
    weight: 6,
    arbitrary: operation('patchDestination', {
      service: key,
      destination: destinationKey,
      changes: limits,
    }),
  },
  {
    weight: 3,
    arbitrary: operation('deleteDestination', { service: key, destination: destinationKey }),
  },
  { weight: 1, arbitrary: operation('zero', { service: key }) },
  {
    weight: 1,
    arbitrary: operation('setTimeouts', {
      timeouts: some({ tcp: oneOf(1, 8_589_934, 8_589_935), udp: oneOf(30, 0) }),
    }),
  },
  {
    weight: 1,
    arbitrary: operation('startSyncDaemon', {
      daemon: fc
        .tuple(
          oneOf({ role: 'master' }, { role: 'backup' }),
          oneOf({ interface: 'eth0' }, { interface: 'eth9' }),
          some({ syncId: oneOf(7), group: oneOf('224.1.2.3', 'ff02::1'), maxLength: oneOf(1300) }),
        )
        .map((parts) => Object.assign({}, ...parts) as object),
    }),
  },
  { weight: 2, arbitrary: operation('stopSyncDaemon', { role: oneOf('master', 'backup') }) },
)

/** What a caller sees of an error; undefined for success. */
const shown = (error: unknown): unknown => {
  if (!(error instanceof Error)) return error
  const {
    name,
    message,
    code,
    errno,
    command,
    service: of,
    destination: to,
  } = error as Error & Record<string, unknown>
  return { name, message, code, errno, command, of, to }
}

/** One call after the other, so that each has its own refusals. */
const carryOut = async (ipvs: Ipvs, operations: readonly unknown[]): Promise<unknown[]> => {
  const calls = operations.map(async (each) => {
    const [outcome] = await ipvs.batch([each as Operation])
    return outcome?.ok === false ? shown(outcome.error) : outcome
  })
  const outcomes = await Promise.allSettled(calls)
  return outcomes.map((outcome) =>
    outcome.status === 'fulfilled' ? outcome.value : shown(outcome.reason),
  )
}

/** Everything that can be read. The order of services is the kernel's own affair. */
const readAll = async (ipvs: Ipvs): Promise<unknown> => {
  const services = (await ipvs.snapshot({ bigint: true })).map((each) => ({
    id:
      'address' in each
        ? [each.protocol, each.address, each.port].join()
        : `${each.fwmark}${each.family}`,
    ...each,
  }))
  return {
    services: services.sort((one, other) => (one.id < other.id ? -1 : 1)),
    timeouts: await ipvs.timeouts(),
    daemons: await ipvs.syncDaemons(),
    totals: await ipvs.totals(),
  }
}

/** How often each code was seen, by whoever wants to know that the calls were worth comparing. */
const seen = new Map<string, number>()

const count = (outcomes: readonly unknown[]): void => {
  for (const outcome of outcomes) {
    const { code = 'none' } = outcome as { code?: string }
    seen.set(code, (seen.get(code) ?? 0) + 1)
  }
}

const text = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : each), 1)

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
const sip = { protocol: 'udp', address: '10.0.0.1', port: 5060 }
const real = { address: '127.0.0.1', port: 80 }
const mixed = { address: '::1', port: 80, forwarding: 'tun' }
const absent = { ...web, port: 81 }
const no = { scheduler: 'no-such', persistence: { engine: 'no-such' } }
const gue = { ...real, forwarding: 'tun', tunnel: { type: 'gue', port: 1 } }

/** What refuses what, where two things are wrong at once; missing modules take their time. */
const order: readonly object[] = [
  { op: 'addService', service: web },
  { op: 'addService', service: { ...web, scheduler: 'no-such' } },
  { op: 'addService', service: { ...absent, scheduler: 'no-such' } },
  { op: 'addService', service: { ...sip, persistence: { engine: 'sip' } } },
  { op: 'addService', service: { ...sip, port: 1, ...no } },
  { op: 'editService', service: { ...sip, ...no, scheduler: 'rr' } },
  { op: 'editService', service: { ...absent, scheduler: 'no-such' } },
  { op: 'patchService', service: sip, changes: { persistence: { engine: 'no-such' } } },
  { op: 'patchService', service: sip, changes: { schedulerFlags: ['mh-port'] } },
  { op: 'patchService', service: sip, changes: { persistence: { engine: null } } },
  { op: 'addDestination', service: web, destination: real },
  { op: 'addDestination', service: web, destination: { ...real, weight: 9 } },
  { op: 'addDestination', service: web, destination: { address: '127.255.255.255' } },
  { op: 'editDestination', service: web, destination: { address: '127.255.255.255' } },
  { op: 'editDestination', service: web, destination: gue },
  { op: 'patchDestination', service: web, destination: real, changes: { lowerThreshold: 1 } },
  { op: 'patchDestination', service: web, destination: real, changes: { forwarding: 'nat' } },
  { op: 'addDestination', service: web, destination: mixed },
  { op: 'startSyncDaemon', daemon: { role: 'master', interface: 'eth9' } },
  { op: 'deleteDestination', service: web, destination: mixed },
  { op: 'startSyncDaemon', daemon: { role: 'backup', interface: 'eth0', group: 'ff02::1' } },
  { op: 'startSyncDaemon', daemon: { role: 'backup', interface: 'eth9' } },
  { op: 'startSyncDaemon', daemon: { role: 'backup', interface: 'eth0' } },
  { op: 'editDestination', service: web, destination: mixed },
  { op: 'patchDestination', service: web, destination: mixed, changes: { weight: 1 } },
  { op: 'addDestination', service: absent, destination: mixed },
  { op: 'stopSyncDaemon', role: 'master' },
  { op: 'setTimeouts', timeouts: { tcp: 8_589_934, udp: 8_589_935 } },
  { op: 'setTimeouts', timeouts: { tcp: 8_589_934, udp: 1 } },
  { op: 'zero' },
]

/** Most calls of a sequence find these. */
const start: readonly object[] = [
  { op: 'addService', service: web },
  { op: 'addService', service: { ...web, protocol: 'udp' } },
  { op: 'addService', service: { fwmark: 7 } },
  { op: 'addService', service: { fwmark: 7, family: 'ipv6' } },
]

// Always the same sequences, so that it is known what they reach. Each takes a third of a second in
// an emulated machine; RUNS=... is for more of them.
const { RUNS = '15' } = process.env

t.test('whatever is called, the kernel and the fake answer alike', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'up', 'type', 'dummy')
  await inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'eth0')
  const reset = async (): Promise<void> => {
    await ipvs.clear()
    await ipvs.setTimeouts({ tcp: 900, tcpFin: 120, udp: 300 })
    for (const { role } of await ipvs.syncDaemons()) await ipvs.stopSyncDaemon(role)
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array<object>(anyOperation as fc.Arbitrary<object>, {
        minLength: 40,
        maxLength: 40,
        size: 'max',
      }),
      async (random) => {
        const operations = [...start, ...random]
        const fake = createFakeIpvs()
        await reset()
        const outcomes = await carryOut(ipvs, operations)
        const pretended = await carryOut(fake, operations)
        operations.forEach((each, index) => {
          const [real, ours] = [text(outcomes[index]), text(pretended[index])]
          if (real !== ours) throw new Error(`${text(each)}\nkernel: ${real}\nfake: ${ours}`)
        })
        count(outcomes)
        const [real, ours] = [text(await readAll(ipvs)), text(await readAll(fake))]
        if (real !== ours) t.strictSame(ours.split('\n'), real.split('\n'))
        if (real !== ours) throw new Error('the tables differ')
      },
    ),
    {
      seed: 20261122,
      numRuns: Number(RUNS),
      endOnFailure: true,
      examples: [[[...order]]],
    },
  )
  t.comment(text(Object.fromEntries(seen)))
  for (const code of [
    'none',
    'ERR_IPVS_SERVICE_EXISTS',
    'ERR_IPVS_NO_SERVICE',
    'ERR_IPVS_DESTINATION_EXISTS',
    'ERR_IPVS_NO_DESTINATION',
    'ERR_IPVS_NO_SCHEDULER',
    'ERR_IPVS_NO_PERSISTENCE_ENGINE',
    'ERR_IPVS_REFUSED',
    'ERR_IPVS_DAEMON_RUNNING',
    'ERR_IPVS_NO_DAEMON',
    'ERR_INVALID_ARG_VALUE',
    'ERR_OUT_OF_RANGE',
  ]) {
    t.ok((seen.get(code) ?? 0) > 0, code)
  }
})
