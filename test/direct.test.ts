// What is written directly is what all checks would have made of it: the kernel gets the same bytes,
// and an error tells of the same request. Whatever they refuse is not written directly.

import fc from 'fast-check'
import t from 'tap'

import { createFakeIpvs } from 'ipvs-netlink/testing'

import { Group } from '#lib/group'
import { loadAddon } from '#lib/native'
import { addOperations, prepareOperation } from '#lib/operations'

const oneOf = (...values: readonly unknown[]): fc.Arbitrary<unknown> => fc.constantFrom(...values)
const octet = fc.oneof(
  { weight: 30, arbitrary: fc.integer({ min: 0, max: 255 }) },
  oneOf(0, 1, 223, 224, 255, 256, '01'),
)
const ipv4 = fc.tuple(octet, octet, octet, octet).map((parts) => parts.join('.'))
const odd = oneOf(null, '', -1, 0.5, NaN, 2 ** 31, 2 ** 32, 10n, [], {}, true, 'x', -0, '80')
const ipv6 = fc.oneof(
  fc.ipV6(),
  fc.constantFrom('2001:db8::1', 'fd00:0:0:1::9', '::1', 'fe80::1', 'ff02::1', '::ffff:10.0.0.1'),
)
const addresses = fc.oneof(
  { weight: 40, arbitrary: ipv4 },
  { weight: 10, arbitrary: ipv6 },
  oneOf('1.2.3', '1.2.3.4.5', '1..2.3', ' 1.2.3.4', '1.2.3.4 ', '::1', '2001:db8::1', '.1.2.3'),
  odd,
)
const numbers = fc.oneof(
  { weight: 40, arbitrary: oneOf(80, 80, 80, 1, 0, 65535) },
  { weight: 4, arbitrary: oneOf(undefined, 65536, 2 ** 31 - 1) },
  odd,
)

const record = (values: Readonly<Record<string, fc.Arbitrary<unknown>>>) =>
  fc.record(values, { requiredKeys: [] })

const service: fc.Arbitrary<unknown> = fc.oneof<fc.MaybeWeightedArbitrary<unknown>[]>(
  {
    weight: 8,
    arbitrary: fc.record({
      protocol: oneOf('tcp', 'udp', 'sctp', '6', 'x'),
      address: addresses,
      port: numbers,
    }),
  },
  {
    weight: 4,
    arbitrary: record({ fwmark: numbers, family: oneOf('ipv4', 'ipv6', undefined, 'x') }),
  },
  {
    weight: 4,
    arbitrary: record({
      protocol: oneOf('tcp', 'udp'),
      address: fc.oneof(ipv4, ipv6),
      port: numbers,
      fwmark: oneOf(undefined, undefined, 7),
      family: oneOf('ipv4', 'ipv6', undefined),
      scheduler: oneOf('rr', 'wlc', 'sixteen-letters-', 'a b', '', undefined, null, 7),
      onePacket: oneOf(undefined, false, true, null),
      schedulerFlags: oneOf(undefined, [], ['flag-1']),
      persistence: oneOf(undefined, undefined, {}, null),
      stats: odd,
    }),
  },
  record({
    protocol: oneOf('tcp', undefined),
    address: addresses,
    port: numbers,
    family: oneOf('ipv4', 'ipv6', undefined),
    fwmark: oneOf(undefined, 1),
    scheduler: odd,
    portt: numbers,
  }),
  odd,
)

const destination: fc.Arbitrary<unknown> = fc.oneof<fc.MaybeWeightedArbitrary<unknown>[]>(
  {
    weight: 8,
    arbitrary: record({
      address: addresses,
      port: numbers,
      forwarding: oneOf('nat', 'dr', 'tun', undefined, 'local'),
      weight: numbers,
      upperThreshold: numbers,
      lowerThreshold: numbers,
    }),
  },
  record({
    address: addresses,
    tunnel: oneOf(undefined, { type: 'ipip' }),
    family: odd,
    wieght: odd,
    stats: odd,
  }),
  odd,
)

const ofDestination = ['addDestination', 'editDestination', 'deleteDestination']
const operation = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ op: fc.constantFrom(...ofDestination), service, destination }),
  },
  { weight: 1, arbitrary: fc.record({ op: oneOf('addService', 'editService'), service }) },
  fc.record({ op: oneOf('addService', 'deleteService'), service, destination }),
)

/** A group of one operation, all checks made. */
const thorough = (value: unknown): Group => {
  const group = new Group()
  group.add(prepareOperation(value, 'operations[0]'))
  return group
}

/** The request that the kernel gets. */
const wire = ({ bytes }: Group): Buffer =>
  Buffer.from(loadAddon().testing.encodeOperation(bytes, 32))

/** What the kernel gets of the only change, and what an error would say of it. */
const meaning = (group: Group): object => {
  const { what, ...request } = group.requestAt(0)
  return { wire: wire(group), what: what(), ...request }
}

t.test('what is written directly is what all checks make of it', async (t) => {
  const direct = new Map<unknown, number>()
  fc.assert(
    fc.property(operation, (value) => {
      const group = new Group()
      if (group.addOperations([value], 0, 1) < 1) return
      direct.set(value.op, 1 + (direct.get(value.op) ?? 0))
      t.strictSame(meaning(group), meaning(thorough(value)))
    }),
    { numRuns: 6000 },
  )
  for (const op of [...ofDestination, 'addService', 'editService']) {
    t.ok((direct.get(op) ?? 0) > 20, `${op}: ${direct.get(op)} were written directly`)
  }
})

t.test('an ordinary destination of each kind is written directly', async (t) => {
  const vip = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
  const real = { address: '192.168.100.200' }
  const vip6 = { protocol: 'udp', address: '2001:db8::1', port: 53, family: 'ipv6' }
  const real6 = { address: '2001:DB8:0:0::0a1', family: 'ipv6' }
  const pairs = [
    [vip, real],
    [vip6, real6],
    [{ fwmark: 2 ** 32 - 1 }, { ...real, port: 8080 }],
    [{ fwmark: 1, family: 'ipv6' }, real6],
  ]
  for (const op of ofDestination) {
    for (const forwarding of ['nat', 'dr', 'tun']) {
      for (const [service, key] of pairs) {
        const group = new Group()
        const value = { op, service, destination: { ...key, forwarding, weight: 3 } }
        t.equal(group.addOperations([value], 0, 1), 1)
        t.strictSame(meaning(group), meaning(thorough(value)))
      }
    }
  }
  const group = new Group()
  t.equal(group.addDirect('addDestination', vip, real), 0)
  const value = { op: 'addDestination', service: vip, destination: real }
  t.strictSame(meaning(group), meaning(thorough(value)))
})

t.test('an ordinary service of each kind is written directly', async (t) => {
  const keys = [
    { protocol: 'tcp', address: '10.0.0.1', port: 80 },
    { protocol: 'sctp', address: '2001:db8::1', port: 53 },
    { fwmark: 2 ** 32 - 1 },
    { fwmark: 1, family: 'ipv6' },
  ]
  for (const op of ['addService', 'editService']) {
    for (const key of keys) {
      for (const settings of [{}, { scheduler: 'rr' }, { scheduler: 'a.long-name_o15' }]) {
        const group = new Group()
        const value = { op, service: { ...key, ...settings, destinations: [], stats: {} } }
        t.equal(group.addOperations([value], 0, 1), 1)
        t.strictSame(meaning(group), meaning(thorough(value)))
      }
    }
  }
})

t.test('nothing that was in the memory before shows in a record', async (t) => {
  const vip = { protocol: 'udp', address: '2001:db8::1', port: 53 }
  const operations = [
    { op: 'patchService', service: vip, changes: { scheduler: 'a-long-name', persistence: {} } },
    { op: 'addDestination', service: vip, destination: { address: '2001:db8::2', weight: 9 } },
    {
      op: 'addDestination',
      service: { fwmark: 7 },
      destination: { address: '10.0.0.2', forwarding: 'tun', tunnel: { type: 'gue', port: 7 } },
    },
    { op: 'startSyncDaemon', daemon: { role: 'master', interface: 'lo', group: 'ff02::1' } },
  ]
  const key = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
  const plain = [
    { op: 'deleteDestination', service: key, destination: { address: '10.0.0.3' } },
    { op: 'addDestination', service: key, destination: { address: '10.0.0.3', forwarding: 'tun' } },
    { op: 'deleteService', service: key },
    { op: 'zero' },
    { op: 'addService', service: key },
    { op: 'editService', service: { fwmark: 3, scheduler: 'rr' } },
    { op: 'editDestination', service: { fwmark: 3 }, destination: { address: '10.0.0.3' } },
  ]
  for (const value of plain) {
    for (const before of operations) {
      const group = new Group()
      void addOperations(group, [before])
      group.truncate(0)
      void addOperations(group, [value])
      t.strictSame(meaning(group), meaning(thorough(value)), value.op)
    }
  }
})

t.test('an object with getters is judged as all checks judge it', async (t) => {
  const vip = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
  class Real {
    _address = '10.0.0.2'
    _weight = 5
    get address(): string {
      return this._address
    }
    get weight(): number {
      return this._weight
    }
  }
  const group = new Group()
  const value = { op: 'addDestination', service: vip, destination: new Real() }
  t.equal(group.addOperations([value], 0, 1), 0, 'not written directly')
  t.throws(() => thorough(value), { code: 'ERR_INVALID_ARG_VALUE' })

  const own = {
    get address(): string {
      return '10.0.0.2'
    },
  }
  const plain = { op: 'addDestination', service: vip, destination: own }
  t.equal(group.addOperations([plain], 0, 1), 1)
  t.strictSame(meaning(group), meaning(thorough(plain)))
})

t.test(
  'a getter that makes a change of its own does not disturb the one it is read for',
  async (t) => {
    const vip = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
    const other = { protocol: 'udp', address: '10.0.0.9', port: 53 }
    const inner = new Group()
    const destination = {
      get address(): string {
        inner.addDirect('addDestination', other, { address: '10.9.9.9' })
        return '10.0.0.2'
      },
    }
    const group = new Group()
    const next = { op: 'addDestination', service: vip, destination: { address: '10.0.0.3' } }
    t.equal(group.addOperations([{ ...next, destination }, next], 0, 2), 2)
    t.match(group.requestAt(0).what(), '10.0.0.2:80 of service tcp 10.0.0.1:80')
    t.match(group.requestAt(1).what(), '10.0.0.3:80 of service tcp 10.0.0.1:80')
    t.match(inner.requestAt(0).what(), '10.9.9.9:53 of service udp 10.0.0.9:53')
  },
)

t.test(
  'nor does one that makes changes in the same group, which grows, and in another',
  async (t) => {
    const vip = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
    const other = { protocol: 'udp', address: '10.0.0.9', port: 53 }
    const group = new Group()
    const foreign: Group[] = []
    const destination = {
      get address(): string {
        for (let last = 1; last <= 5; ++last) {
          group.addDirect('addDestination', other, { address: `10.9.9.${last}` })
        }
        const next = new Group()
        next.addDirect('addDestination', other, { address: '10.8.8.8' })
        foreign.push(next)
        return '10.0.0.2'
      },
    }
    t.equal(group.addDirect('addDestination', vip, destination), 5)
    for (let last = 1; last <= 5; ++last) {
      t.match(group.requestAt(last - 1).what(), `10.9.9.${last}:53 of service udp 10.0.0.9:53`)
    }
    t.match(group.requestAt(5).what(), '10.0.0.2:80 of service tcp 10.0.0.1:80')
    t.match(foreign[0]?.requestAt(0).what(), '10.8.8.8:53 of service udp 10.0.0.9:53')
  },
)

t.test('where there is no memory for a change, the others are what they were', async (t) => {
  const vip = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
  const group = new Group()
  const added: number[] = []
  let refused = 0
  const memory = globalThis.ArrayBuffer
  function NoMemory(): never {
    throw new RangeError('no memory')
  }
  for (let last = 1; last <= 9; ++last) {
    if (last === 3) globalThis.ArrayBuffer = NoMemory as unknown as ArrayBufferConstructor
    try {
      if (group.addDirect('addDestination', vip, { address: `10.0.1.${last}` }) >= 0) {
        added.push(last)
      }
    } catch (error) {
      globalThis.ArrayBuffer = memory
      t.match(error, { message: 'no memory' })
      ++refused
    }
  }
  t.equal(refused, 1)
  t.equal(group.count, 8)
  added.forEach((last, index) => {
    t.match(group.requestAt(index).what(), `10.0.1.${last}:80 of service tcp 10.0.0.1:80`)
  })
})

t.test('a getter that makes a call with a signal sends no change twice', async (t) => {
  const ipvs = createFakeIpvs()
  const vip = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
  const other = { protocol: 'udp', address: '10.0.0.9', port: 53 } as const
  await ipvs.addService({ ...vip, scheduler: 'rr' })
  const { signal } = new AbortController()
  const calls: Promise<void>[] = [ipvs.addDestination(vip, { address: '10.0.1.1' })]
  const destination = {
    get address(): string {
      calls.push(ipvs.addService({ ...other, scheduler: 'rr' }, { signal }))
      return '10.0.1.2'
    },
  }
  calls.push(ipvs.addDestination(vip, destination))
  calls.push(ipvs.addDestination(vip, { address: '10.0.1.3' }))
  await Promise.all(calls)
  const [first, second] = await ipvs.snapshot()
  t.same(first?.destinations.map(({ address }) => address).sort(), [
    '10.0.1.1',
    '10.0.1.2',
    '10.0.1.3',
  ])
  t.match(second, other)
})

t.test('a tunnel that no list of properties shows is not left out', async (t) => {
  const vip = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
  const hidden = { address: '10.0.0.2', forwarding: 'tun', tunnel: { type: 'gue', port: 6080 } }
  const destination: object = {}
  for (const [name, value] of Object.entries(hidden)) {
    Object.defineProperty(destination, name, { value, enumerable: false })
  }
  const group = new Group()
  const value = { op: 'addDestination', service: vip, destination }
  t.equal(group.addOperations([value], 0, 1), 0)
  group.add(prepareOperation(value, 'operations[0]'))
  t.strictSame(meaning(group), meaning(thorough(value)))
})

t.test('a deletion reads what it needs', async (t) => {
  const vip = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
  const destination = {
    address: '10.0.0.2',
    get weight(): number {
      throw new Error('not to be read')
    },
  }
  const group = new Group()
  t.equal(group.addDirect('deleteDestination', vip, destination), 0)
  t.throws(() => group.addDirect('editDestination', vip, destination), {
    message: 'not to be read',
  })
  t.equal(group.count, 1)
})

t.test('a batch that fails within another one leaves it nothing', async (t) => {
  const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
  const fails = {
    get address(): string {
      service.port = 443
      throw new Error('no address')
    },
  }
  const inner = [{ op: 'addDestination', service, destination: fails }]
  const destination = {
    get address(): string {
      t.throws(() => new Group().addOperations(inner, 0, 1), { message: 'no address' })
      return '10.0.1.1'
    },
  }
  const group = new Group()
  const next = { op: 'addDestination', service, destination: { address: '10.0.1.2' } }
  t.equal(group.addOperations([{ ...next, destination }, next], 0, 2), 2)
  t.match(group.requestAt(0).what(), 'tcp 10.0.0.1:80')
  t.match(group.requestAt(1).what(), 'tcp 10.0.0.1:443')
})

t.test('what is to be edited where it exists is told of as an addition', async (t) => {
  const ipvs = createFakeIpvs()
  const service = { protocol: 'tcp', address: '10.0.0.1', port: 80, scheduler: 'nope' } as const
  await t.rejects(ipvs.addService(service, { ifExists: 'edit' }), /^Cannot add service tcp/)
})

t.test('a service that changed since the last piece of a batch is read again', async (t) => {
  const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
  const operations = [1, 2].map((last) => ({
    op: 'addDestination',
    service,
    destination: { address: `10.0.1.${last}` },
  }))
  const group = new Group()
  group.addOperations(operations, 0, 1)
  service.port = 443
  group.addOperations(operations, 1, 2)
  t.match(group.requestAt(0).what(), 'tcp 10.0.0.1:80')
  t.match(group.requestAt(1).what(), 'tcp 10.0.0.1:443')
})
