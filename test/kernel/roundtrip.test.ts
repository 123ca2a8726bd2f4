// The whole space of valid tables, both ways: what we write is what ipvsadm reads, what ipvsadm
// writes is what we read, and what we read can be written back. Rules and descriptions are rendered
// here, from a model that knows nothing of the library.

import { execFile } from 'node:child_process'
import { basename } from 'node:path'
import { promisify } from 'node:util'

import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'

import type { Ipvs, Operation, VirtualServerState } from 'ipvs-netlink'

import { canonicalIpv6, usableIpv4, usableIpv6 } from '../fixtures/arbitraries.js'
import { makeBed, tcp } from './bed.js'
import type { Bed } from './bed.js'

const exec = promisify(execFile)

t.setTimeout(240_000)

// The model: every value said, as the kernel has it.

interface Key {
  readonly kind: 'tcp' | 'udp' | 'sctp' | 'fwmark'
  readonly family: string
  /** Of an address service. */
  readonly address: string
  readonly port: number
  /** Of a fwmark service. */
  readonly fwmark: number
}

interface Persistence {
  readonly timeout: number
  /** Leading ones, or a mask with holes. */
  readonly mask: number | string
  readonly engine: string | undefined
}

interface Target {
  readonly address: string
  readonly family: string
  readonly port: number
  readonly forwarding: string
  readonly weight: number
  readonly upper: number
  readonly lower: number
  readonly tunnel: { readonly type: string; readonly port: number; readonly checksum: string }
}

interface Model {
  readonly key: Key
  readonly scheduler: string
  /** `fallback` or `flag-1`, `port` or `flag-2`, `flag-3`. */
  readonly flags: readonly boolean[]
  readonly onePacket: boolean
  readonly persistence: Persistence | undefined
  readonly targets: readonly Target[]
  /** What is the default is left out when it is written. */
  readonly sparse: boolean
}

const bits = { ipv4: 32, ipv6: 128 } as const
const bitsOf = (family: string): number => (family === 'ipv4' ? bits.ipv4 : bits.ipv6)

// As configurations and descriptions.

type Values = Readonly<Record<string, unknown>>

/** Scheduler flags by name, the scheduler's own before the general ones. */
const flagNames = ({ scheduler, flags }: Model, own: boolean): string[] => {
  const prefix = own && ['sh', 'mh'].includes(scheduler) ? `${scheduler}-` : undefined
  const names =
    prefix === undefined
      ? ['flag-1', 'flag-2', 'flag-3']
      : [`${prefix}fallback`, `${prefix}port`, 'flag-3']
  return names.filter((_, index) => flags[index] === true)
}

const describeKey = ({ kind, family, address, port, fwmark }: Key): Values =>
  kind === 'fwmark' ? { fwmark, family } : { protocol: kind, address, port }

const describePersistence = ({ timeout, mask, engine }: Persistence): Values => ({
  timeout,
  ...(typeof mask === 'number' ? { prefixLength: mask } : { netmask: mask }),
  ...(engine !== undefined && { engine }),
})

const describeTunnel = ({ tunnel }: Target): Values => {
  const { type, port, checksum } = tunnel
  if (type === 'ipip') return { type }
  return type === 'gre' ? { type, checksum } : { type, port, checksum }
}

const describeTarget = (target: Target): Values => ({
  address: target.address,
  port: target.port,
  forwarding: target.forwarding,
  weight: target.weight,
  upperThreshold: target.upper,
  lowerThreshold: target.lower,
  ...(target.forwarding === 'tun' && { tunnel: describeTunnel(target) }),
})

const describe = (model: Model): Values => ({
  ...describeKey(model.key),
  scheduler: model.scheduler,
  schedulerFlags: flagNames(model, true),
  onePacket: model.onePacket,
  ...(model.persistence && { persistence: describePersistence(model.persistence) }),
})

const without = (values: Values, defaults: Values): Values =>
  Object.fromEntries(
    Object.entries(values).filter(([name, value]) => text(value) !== text(defaults[name])),
  )

/** The same, said as briefly as it can be. */
const abbreviate = (model: Model): Values => {
  const { persistence, ...others } = describe(model)
  const brief = without(others, {
    family: 'ipv4',
    scheduler: 'wlc',
    schedulerFlags: [],
    onePacket: false,
  })
  const defaults = { timeout: 360, prefixLength: bitsOf(model.key.family) }
  return {
    ...brief,
    // Each bit has two names.
    ...(brief['schedulerFlags'] !== undefined && { schedulerFlags: flagNames(model, false) }),
    ...(model.persistence && { persistence: without(persistence as Values, defaults) }),
  }
}

const abbreviateTarget = (target: Target, { key }: Model): Values => {
  const { tunnel, ...others } = describeTarget(target)
  return {
    ...without(others, {
      port: key.kind === 'fwmark' ? 0 : key.port,
      forwarding: 'dr',
      weight: 1,
      upperThreshold: 0,
      lowerThreshold: 0,
    }),
    ...(tunnel !== undefined &&
      target.tunnel.type !== 'ipip' && { tunnel: without(tunnel as Values, { checksum: 'none' }) }),
  }
}

/** What is sent to make this table. */
const operationsFor = (models: readonly Model[]): Operation[] =>
  models.flatMap((model) => {
    const service = describeKey(model.key)
    return [
      { op: 'addService', service: model.sparse ? abbreviate(model) : describe(model) },
      ...model.targets.map((target) => ({
        op: 'addDestination',
        service,
        destination: model.sparse ? abbreviateTarget(target, model) : describeTarget(target),
      })),
    ] as unknown as Operation[]
  })

// As ipvsadm's rules.

const join = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

const options = { tcp: '-t', udp: '-u', sctp: '--sctp-service' } as const
const methods: Readonly<Record<string, string>> = { nat: '-m', dr: '-g', tun: '-i' }

const keyRule = ({ kind, family, address, port, fwmark }: Key, saved: boolean): string =>
  kind === 'fwmark'
    ? // Its -S prints marks as signed numbers, which its -R then does not take.
      `-f ${saved ? fwmark | 0 : fwmark}${family === 'ipv6' ? ' -6' : ''}`
    : `${options[kind]} ${join(address, port)}`

const dotted = (length: number): string =>
  [0, 8, 16, 24].map((start) => 256 - 2 ** (8 - Math.min(8, Math.max(0, length - start)))).join('.')

const maskRule = ({ key, persistence }: Model): string => {
  const mask = persistence?.mask ?? bitsOf(key.family)
  if (mask === bitsOf(key.family)) return ''
  return ` -M ${typeof mask === 'number' && key.family === 'ipv4' ? dotted(mask) : mask}`
}

const flagRule = (model: Model): string => {
  if (!model.flags.includes(true)) return ''
  const own = ['sh', 'mh'].includes(model.scheduler)
  // With these two schedulers -S leaves flag-3 out.
  return ` -b ${flagNames(model, true)
    .filter((name) => !own || name !== 'flag-3')
    .join()}`
}

const serviceRule = (model: Model): string => {
  const { persistence } = model
  return [
    `-A ${keyRule(model.key, true)} -s ${model.scheduler}`,
    persistence ? ` -p ${persistence.timeout}${maskRule(model)}` : '',
    persistence?.engine === undefined ? '' : ` --pe ${persistence.engine}`,
    model.onePacket ? ' -o' : '',
    flagRule(model),
  ]
    .join('')
    .trim()
}

const tunnelRule = ({ forwarding, tunnel }: Target): string => {
  const { type, port, checksum } = tunnel
  if (forwarding !== 'tun') return ''
  const how = ` --tun-${checksum === 'none' ? 'nocsum' : checksum}`
  return {
    ipip: ' --tun-type ipip',
    gre: ` --tun-type gre${how}`,
    gue: ` --tun-type gue --tun-port ${port}${how}`,
  }[type as 'ipip' | 'gre' | 'gue']
}

const targetRule = (key: string, target: Target, thresholds: string): string =>
  [
    `-a ${key} -r ${join(target.address, target.port)} ${methods[target.forwarding]}`,
    ` -w ${target.weight}${thresholds}${tunnelRule(target)}`,
  ].join('')

/** What `ipvsadm -Sn` prints. Thresholds are not saved. */
const savedRules = (models: readonly Model[]): string[] =>
  models.flatMap((model) => [
    serviceRule(model),
    ...model.targets.map((target) => targetRule(keyRule(model.key, true), target, '')),
  ])

/** What `ipvsadm -R` takes. */
const restorable = (model: Model): string[] => {
  const { key, scheduler, persistence, sparse } = model
  const name = keyRule(key, false)
  const service = [
    `-A ${name}`,
    ...(sparse && scheduler === 'wlc' ? [] : [`-s ${scheduler}`]),
    ...(persistence
      ? [sparse && persistence.timeout === 360 ? '-p' : `-p ${persistence.timeout}`]
      : []),
    maskRule(model),
    persistence?.engine === undefined ? '' : `--pe ${persistence.engine}`,
    model.onePacket ? '-o' : '',
    model.flags.includes(true) ? `-b ${flagNames(model, !sparse).join()}` : '',
  ].join(' ')
  const targets = model.targets.map((target) =>
    targetRule(name, target, ` -x ${target.upper} -y ${target.lower}`),
  )
  return [service, ...targets]
}

// Every valid table.

// Persistence in seconds.
const longestOfOurs = 4_294_967
const longestOfIpvsadm = 2_678_400

const oneOf = fc.constantFrom
const most31 = 2 ** 31 - 1

const fromTo = (min: number, max: number): fc.Arbitrary<number> =>
  fc.oneof(fc.integer({ min, max }), oneOf(min, max), fc.integer({ min, max: Math.min(max, 999) }))

const anyKey: fc.Arbitrary<Key> = fc
  .record({
    kind: oneOf('tcp', 'udp', 'sctp', 'fwmark'),
    family: oneOf('ipv4', 'ipv6'),
    four: usableIpv4,
    six: usableIpv6,
    port: fc.oneof({ weight: 9, arbitrary: fromTo(1, 65535) }, { weight: 1, arbitrary: oneOf(0) }),
    fwmark: fromTo(1, 2 ** 32 - 1),
  })
  .map(({ four, six, family, ...others }) => ({
    ...others,
    family,
    address: (family === 'ipv4' ? four : six).canonical,
  }))

const holedMask = fc
  .array(oneOf(0, 1, 15, 128, 240, 255), { minLength: 4, maxLength: 4 })
  .filter(
    (bytes) => !/^1*0*$/.test(bytes.map((byte) => byte.toString(2).padStart(8, '0')).join('')),
  )
  .map((bytes) => bytes.join('.'))

// We refuse masks with holes, and ipvsadm does not.
const anyPersistence = ({ kind, family }: Key, longest: number): fc.Arbitrary<Persistence> =>
  fc.record({
    timeout: fc.oneof(fromTo(1, longest), oneOf(360)),
    mask: fc.oneof(
      fromTo(1, bitsOf(family)),
      oneOf(bitsOf(family)),
      ...(family === 'ipv4' && longest === longestOfIpvsadm ? [holedMask] : []),
    ),
    engine: oneOf(...(['udp', 'fwmark'].includes(kind) ? ['sip'] : []), undefined),
  })

// What the kernel takes for one machine: these two are none.
const reachable4 = usableIpv4.filter(
  ({ canonical }) => !['127.0.0.0', '127.255.255.255'].includes(canonical),
)

const anyTunnel = fc.oneof(
  fc.record({ type: oneOf('ipip'), port: oneOf(0), checksum: oneOf('none') }),
  fc.record({ type: oneOf('gre'), port: oneOf(0), checksum: oneOf('none', 'csum') }),
  fc.record({
    type: oneOf('gue'),
    port: fromTo(1, 65535),
    checksum: oneOf('none', 'csum', 'remcsum'),
  }),
)

/** `nat` alone rewrites packets, so with the others the port is the service's. */
const anyPort = ({ kind, port }: Key, forwarding: string): fc.Arbitrary<number> => {
  if (kind === 'fwmark') return fromTo(0, 65535)
  return forwarding === 'nat' ? fromTo(port === 0 ? 0 : 1, 65535) : oneOf(port)
}

const anyTarget = (key: Key): fc.Arbitrary<Target> =>
  oneOf('nat', 'dr', 'tun').chain((forwarding) => {
    const own = key.family === 'ipv4' ? reachable4 : usableIpv6
    return fc
      .record({
        reached: forwarding === 'tun' ? fc.oneof(reachable4, usableIpv6) : own,
        port: anyPort(key, forwarding),
        weight: fromTo(0, most31),
        thresholds: fc.tuple(fromTo(0, most31), fromTo(0, most31), fc.boolean()),
        tunnel: anyTunnel,
      })
      .map(({ reached, thresholds: [one, other, limited], ...others }) => ({
        ...others,
        forwarding,
        address: reached.canonical,
        family: reached.family,
        upper: limited ? Math.max(one, other) : 0,
        lower: limited ? Math.min(one, other) : 0,
      }))
  })

const anyTargets = (key: Key): fc.Arbitrary<Target[]> =>
  fc.uniqueArray(anyTarget(key), {
    maxLength: 4,
    size: 'max',
    selector: ({ address, port }) => join(address, port),
  })

const anyModel = (schedulers: readonly string[], longest: number): fc.Arbitrary<Model> =>
  anyKey.chain((key) => {
    const persistence = anyPersistence(key, longest)
    const mayBeOnePacket = key.kind === 'udp' || key.kind === 'fwmark'
    return fc.record({
      key: oneOf(key),
      scheduler: oneOf(...schedulers, 'wlc', 'sh', 'mh'),
      flags: fc.oneof(
        oneOf([false, false, false]),
        fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
      ),
      onePacket: mayBeOnePacket ? fc.boolean() : oneOf(false),
      persistence:
        key.kind !== 'fwmark' && key.port === 0
          ? persistence
          : fc.option(persistence, { nil: undefined }),
      targets: anyTargets(key),
      sparse: fc.boolean(),
    })
  })

/** Tables of so many services. */
const anyTable = (
  size: number,
  schedulers: readonly string[],
  longest: number,
): fc.Arbitrary<Model[]> =>
  fc.uniqueArray(anyModel(schedulers, longest), {
    minLength: size,
    maxLength: size,
    size: 'max',
    selector: ({ key }) => keyRule(key, false),
  })

const known = 'rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos'.split(' ')

let found: readonly string[] | undefined

/** The schedulers of this kernel: before 6.5 it has no twos. */
const schedulersOf = async ({ ipvs }: Bed): Promise<readonly string[]> => {
  if (found) return found
  const outcomes = await ipvs.batch(
    known.map((scheduler, index) => ({
      op: 'addService',
      service: { ...tcp, port: index + 1, scheduler },
    })),
  )
  await ipvs.clear()
  found = known.filter((_, index) => outcomes[index]?.ok === true)
  return found
}

// Comparing.

/** The same text for the same values. */
function text(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(
          Object.entries(each).toSorted(([one], [other]) => (one < other ? -1 : 1)),
        )
      : each,
  )
}

/** Throws, as a property has to, and shows what differs only. */
const mustBeSame = (what: string, actual: readonly string[], expected: readonly string[]): void => {
  const [ours, theirs] = [actual.toSorted(), expected.toSorted()]
  if (ours.join('\n') === theirs.join('\n')) return
  const more = ours.filter((line) => !theirs.includes(line)).slice(0, 5)
  const missing = theirs.filter((line) => !ours.includes(line)).slice(0, 5)
  throw new Error(
    [
      `${what}: ${ours.length} lines for ${theirs.length}`,
      ...more.map((line) => `+ ${line}`),
      ...missing.map((line) => `- ${line}`),
    ].join('\n'),
  )
}

const observed = [
  'stats',
  'destinations',
  'activeConnections',
  'inactiveConnections',
  'persistentConnections',
]

const configured = (read: object): Values =>
  Object.fromEntries(Object.entries(read).filter(([name]) => !observed.includes(name)))

/** Of a table: its services and destinations as texts, without what is only observed. */
const linesOf = (table: readonly VirtualServerState[]): string[] =>
  table.flatMap((service) => {
    const own = text(configured(service))
    return [
      own,
      ...service.destinations.map((destination) => `${own} ${text(configured(destination))}`),
    ]
  })

const expectedLines = (models: readonly Model[]): string[] =>
  models.flatMap((model) => [
    text(describe(model)),
    ...model.targets.map(
      (target) =>
        `${text(describe(model))} ${text({ ...describeTarget(target), family: target.family })}`,
    ),
  ])

/** ipvsadm writes some IPv6 addresses with a dotted tail. */
const canonicalRule = (rule: string): string =>
  rule.replaceAll(/\[([^\]]+)\]/g, (_, address: string) => `[${canonicalIpv6(address)}]`)

const rulesOf = async ({ rules }: Bed): Promise<string[]> => (await rules()).map(canonicalRule)

/** All of them, or it says which one was refused and why. */
const mustSucceed = async (ipvs: Ipvs, operations: readonly Operation[]): Promise<void> => {
  const outcomes = await ipvs.batch(operations)
  outcomes.forEach((outcome, index) => {
    if (!outcome.ok) throw new Error(`${outcome.error.message} ${text(operations[index])}`)
  })
}

const write = async (ipvs: Ipvs, models: readonly Model[]): Promise<void> => {
  await ipvs.clear()
  await mustSucceed(ipvs, operationsFor(models))
}

// To see a failure again: SEED=... as it was printed.
const { SEED } = process.env

/**
 * Checks a property of one table. A table that breaks it is not made smaller, which would take
 * minutes here: what differs in it is shown.
 */
const check = async (
  t: Test,
  table: fc.Arbitrary<Model[]>,
  holds: (models: Model[]) => Promise<void>,
): Promise<void> => {
  const { failed, seed, errorInstance } = await fc.check(fc.asyncProperty(table, holds), {
    numRuns: 1,
    endOnFailure: true,
    ...(SEED !== undefined && { seed: Number(SEED) }),
  })
  t.notOk(failed, `seed ${seed}${failed ? `: ${String(errorInstance)}` : ''}`)
}

t.test('what we write is what ipvsadm reads', async (t) => {
  const bed = await makeBed(t)
  await check(t, anyTable(150, await schedulersOf(bed), longestOfOurs), async (models) => {
    await write(bed.ipvs, models)
    mustBeSame('ipvsadm -Sn', await rulesOf(bed), savedRules(models))
    mustBeSame('snapshot', linesOf(await bed.ipvs.snapshot()), expectedLines(models))
  })
})

/** Standard input for a program inside the namespace. */
const feed = async (bed: Bed, input: string, ...command: string[]): Promise<void> => {
  const name = basename(bed.netns)
  const running = exec('ip', ['netns', 'exec', name, ...command], { timeout: 60_000 })
  running.child.stdin?.end(input)
  const { stderr } = await running
  if (stderr !== '') throw new Error(stderr)
}

t.test('what ipvsadm writes is what we read, every default filled in', async (t) => {
  const bed = await makeBed(t)
  await check(t, anyTable(100, await schedulersOf(bed), longestOfIpvsadm), async (models) => {
    await bed.ipvs.clear()
    await feed(bed, `${models.flatMap(restorable).join('\n')}\n`, 'ipvsadm', '-R')
    mustBeSame('snapshot', linesOf(await bed.ipvs.snapshot()), expectedLines(models))
  })
})

const additions = (table: readonly VirtualServerState[]): Operation[] =>
  table.flatMap((service) => [
    { op: 'addService', service },
    // The kernel lists the newest first.
    ...service.destinations
      .toReversed()
      .map((destination) => ({ op: 'addDestination', service, destination }) as const),
  ])

const edits = (table: readonly VirtualServerState[]): Operation[] =>
  table.flatMap((service) => [
    { op: 'editService', service },
    ...service.destinations.map(
      (destination) => ({ op: 'editDestination', service, destination }) as const,
    ),
  ])

t.test('what we read can be written back as it is', async (t) => {
  const bed = await makeBed(t)
  const { ipvs } = bed
  await check(t, anyTable(75, await schedulersOf(bed), longestOfOurs), async (models) => {
    await write(ipvs, models)
    const before = await ipvs.snapshot()
    const rules = await rulesOf(bed)
    await ipvs.clear()
    mustBeSame('cleared', linesOf(await ipvs.snapshot()), [])
    await mustSucceed(ipvs, additions(before))
    const after = await ipvs.snapshot()
    mustBeSame('added again', linesOf(after), linesOf(before))
    // In the same order as well.
    for (const service of before) {
      const again = after.find((each) => text(keyOf(each)) === text(keyOf(service)))
      mustBeSame('order', [linesOf(again ? [again] : []).join()], [linesOf([service]).join()])
    }
    await mustSucceed(ipvs, edits(after))
    mustBeSame('edited', linesOf(await ipvs.snapshot()), linesOf(before))
    mustBeSame('ipvsadm -Sn', await rulesOf(bed), rules)
  })
})

const keyOf = (service: VirtualServerState): Values =>
  'fwmark' in service
    ? { fwmark: service.fwmark, family: service.family }
    : { protocol: service.protocol, address: service.address, port: service.port }

t.test('every way of reading says the same, with totals as number or bigint', async (t) => {
  const bed = await makeBed(t)
  const { ipvs } = bed
  const few = anyTable(15, await schedulersOf(bed), longestOfOurs)
  await check(t, few, async (models) => {
    await write(ipvs, models)
    const table = await ipvs.snapshot({ bigint: true })
    const services = await ipvs.listServices({ bigint: true })
    mustBeSame(
      'listServices',
      services.map((service) => text(asNumbers(service))),
      table.map((service) => text(asNumbers(service))),
    )
    for (const service of table) {
      const { destinations } = service
      const one = await ipvs.getService(service)
      mustBeSame('getService', [text(one)], [text(asNumbers(service))])
      mustBeSame(
        'listDestinations',
        (await ipvs.listDestinations(service)).map(text),
        destinations.map((destination) => text(asNumbers(destination))),
      )
    }
  })
})

const totalNames = ['connections', 'packetsIn', 'packetsOut', 'bytesIn', 'bytesOut']

/** With totals, all of which have to be bigint, as numbers. */
const asNumbers = (read: { readonly stats: object }): unknown => ({
  ...read,
  destinations: undefined,
  stats: Object.fromEntries(
    Object.entries(read.stats).map(([name, value]: [string, unknown]) => {
      const wanted = totalNames.includes(name) ? 'bigint' : 'number'
      if (typeof value !== wanted) throw new Error(`${name} is a ${typeof value}`)
      return [name, Number(value)]
    }),
  ),
})

/** Waits for the kernel, which adds its counters up every two seconds. */
const until = async (t: Test, what: string, holds: () => Promise<boolean>): Promise<void> => {
  const deadline = Date.now() + 20_000
  while (!(await holds())) {
    if (Date.now() > deadline) return void t.fail(what)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

t.test('counters of traffic are the same as number, as bigint and to ipvsadm', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  const udp = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const
  await inside('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'lo')
  await ipvs.addService({ ...udp, scheduler: 'rr', onePacket: true })
  await ipvs.addDestination(udp, { address: '127.0.0.1', port: 5353, forwarding: 'nat' })
  await inside('bash', '-c', 'for i in 1 2 3 4 5; do echo hello > /dev/udp/10.0.0.1/53; done')
  await until(
    t,
    'five connections',
    async () => (await ipvs.getService(udp)).stats.connections === 5,
  )

  // Five packets of 20 + 8 + 6 bytes.
  const { stats } = await ipvs.getService(udp)
  t.match(stats, { connections: 5, packetsIn: 5, bytesIn: 170 })
  const exact = (await ipvs.getService(udp, { bigint: true })).stats
  t.match(exact, { connections: 5n, packetsIn: 5n, bytesIn: 170n })
  t.type(exact.packetsInPerSecond, 'number')
  const [destination] = await ipvs.listDestinations(udp, { bigint: true })
  t.match(destination?.stats, { connections: 5n, packetsIn: 5n, bytesIn: 170n })
  t.match(await ipvs.snapshot(), [
    { stats: { bytesIn: 170 }, destinations: [{ stats: { bytesIn: 170 } }] },
  ])
  t.match(await inside('ipvsadm', '-Ln', '--stats', '--exact'), /10\.0\.0\.1:53 +5 +5 +\d+ +170 /)

  await ipvs.editService({ ...udp, scheduler: 'wrr' })
  await ipvs.editDestination(udp, {
    address: '127.0.0.1',
    port: 5353,
    forwarding: 'nat',
    weight: 2,
  })
  t.match((await ipvs.getService(udp)).stats, { connections: 5 }, 'an edit keeps the counters')
  await ipvs.zero()
  t.match(await ipvs.snapshot(), [
    { stats: { connections: 0, bytesIn: 0 }, destinations: [{ stats: { packetsIn: 0 } }] },
  ])
})
