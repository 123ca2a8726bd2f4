// Synchronisation daemons and time-outs: said by a user, written into records, read back and
// described; and what is refused before anything is sent.

import { inspect } from 'node:util'

import fc from 'fast-check'
import t from 'tap'

import { openIpvs } from 'ipvs-netlink'
import { Memory } from '#lib/memory'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'
import { describeDaemon, describeTimeouts, stopOf, takeSyncDaemon, takeTimeouts } from '#lib/sync'

import { bytesOf, canonicalIpv6, ipv6Bytes } from './fixtures/arbitraries.js'

const { daemon, config } = recordFormat()

type Config = Readonly<Record<string, unknown>>

/** Through the record alone, as the addon would fill it. */
const throughRecord = (fields: ReturnType<typeof takeSyncDaemon>): typeof fields => {
  const memory = new Memory(new ArrayBuffer(daemon.size))
  daemon.write(memory, 0, fields)
  return daemon.read(memory, 0)
}

const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(value, { nil: undefined })

const group4 = fc
  .tuple(fc.integer({ min: 224, max: 239 }), bytesOf(3))
  .map(([first, others]) => ({ text: [first, ...others].join('.'), most: 65_507 }))

const group6 = ipv6Bytes.map((any) => {
  const groups = Array.from({ length: 8 }, (_, index) => {
    const bytes = any.with(0, 0xff).slice(2 * index, 2 * index + 2)
    return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
  })
  return { text: canonicalIpv6(groups.join(':')), most: 65_487 }
})

const anyDevice = fc.stringMatching(/^[a-z0-9.@_-]{2,15}$/).filter((name) => name !== '..')

const anyDaemon: fc.Arbitrary<Config> = fc
  .tuple(fc.constantFrom('master', 'backup'), optional(fc.oneof(group4, group6)))
  .chain(([role, group]) =>
    fc
      .record({
        interface: anyDevice,
        syncId: optional(fc.nat(255)),
        maxLength: optional(
          fc.integer({ min: role === 'master' ? 1 : 1024, max: group?.most ?? 65_507 }),
        ),
        port: optional(fc.integer({ min: 1, max: 65_535 })),
        ttl: optional(fc.integer({ min: 1, max: 255 })),
      })
      .map((others) => ({ ...others, role, group: group?.text })),
  )

const defined = (values: Config): Config =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))

t.test('a daemon comes back from its record as it was said', async (t) => {
  fc.assert(
    fc.property(anyDaemon, (said) => {
      const fields = throughRecord(takeSyncDaemon(said, 'daemon'))
      t.match(describeDaemon(fields), defined({ ...said, syncId: said['syncId'] ?? 0 }))
      // What is not named is the kernel's choice; but for the number, which it wants.
      const named = Object.keys(fields).filter((name) => !['state', 'syncId'].includes(name))
      const expected = Object.keys(defined(said)).filter((name) => name !== 'role')
      const isSixth = String(said['group']).includes(':')
      t.same(
        named.sort(),
        expected
          .filter((name) => name !== 'syncId')
          .map((name) => (name === 'group' && isSixth ? 'group6' : name))
          .sort(),
      )
    }),
    { numRuns: 500 },
  )
})

t.test('what is read of a daemon starts the same one', async (t) => {
  fc.assert(
    fc.property(anyDaemon, (said) => {
      const effective = { syncId: 0, maxLength: 1472, group: '224.0.0.81', port: 8848, ttl: 1 }
      const fields = takeSyncDaemon({ ...effective, ...defined(said) }, 'daemon')
      t.same(throughRecord(takeSyncDaemon(describeDaemon(throughRecord(fields)), 'daemon')), fields)
    }),
    { numRuns: 500 },
  )
})

t.test('a daemon is stopped by its role alone', async (t) => {
  t.same(throughRecord(stopOf('master')), { state: 1 })
  t.same(throughRecord(stopOf('backup')), { state: 2 })
})

const right = { role: 'master', interface: 'eth0' }
const codes = { type: 'ERR_INVALID_ARG_TYPE', value: 'ERR_INVALID_ARG_VALUE' } as const
const range = 'ERR_OUT_OF_RANGE'

/** Properties that differ from a right daemon, and what is refused about them. */
const wrongDaemons: readonly (readonly [path: string, code: string, values: readonly Config[]])[] =
  [
    ['role', codes.type, [{ role: undefined }, { role: null }, { role: 1 }, { role: ['master'] }]],
    [
      'role',
      codes.value,
      [{ role: '' }, { role: 'both' }, { role: 'Master' }, { role: 'toString' }],
    ],
    ['interface', codes.type, [{ interface: undefined }, { interface: null }, { interface: 2 }]],
    [
      'interface',
      codes.value,
      [
        '',
        '.',
        '..',
        'eth 0',
        'a/b',
        'lo:0',
        'x'.repeat(16),
        'ä'.repeat(8),
        'eth0\0',
        'eth0\n',
      ].map((name) => ({ interface: name })),
    ],
    ['syncId', codes.type, [{ syncId: null }, { syncId: '1' }, { syncId: 1n }]],
    ['syncId', range, [{ syncId: -1 }, { syncId: 256 }, { syncId: 0.5 }, { syncId: NaN }]],
    ['maxLength', codes.type, [{ maxLength: null }, { maxLength: '1472' }]],
    [
      'maxLength',
      range,
      [
        { maxLength: 0 },
        { maxLength: 65_508 },
        { role: 'backup', maxLength: 1023 },
        { group: 'ff02::81', maxLength: 65_488 },
        { role: 'backup', group: 'ff02::81', maxLength: 1023 },
      ],
    ],
    ['group', codes.type, [{ group: null }, { group: 224 }, { group: ['224.0.0.81'] }]],
    [
      'group',
      codes.value,
      [
        '',
        'all-hosts',
        '10.0.0.1',
        '223.255.255.255',
        '240.0.0.1',
        '255.255.255.255',
        '0.0.0.0',
        '::',
        'fe80::1',
        'fe00::1',
        '2001:db8::1',
        '::ffff:224.0.0.81',
        'ff02::81%eth0',
        '224.0.0.81/4',
      ].map((group) => ({ group })),
    ],
    ['port', codes.type, [{ port: null }, { port: '8848' }]],
    ['port', range, [{ port: 0 }, { port: 65_536 }, { port: -1 }, { port: 1.5 }]],
    ['ttl', codes.type, [{ ttl: null }, { ttl: '1' }]],
    ['ttl', range, [{ ttl: 0 }, { ttl: 256 }]],
    ['syncid', codes.value, [{ syncid: 1 }]],
    ['state', codes.value, [{ state: 'master' }]],
  ]

// No addon answers, so nothing can be sent unnoticed.
const sent: string[] = []
let records = new ArrayBuffer(0)

const addon = loadAddon() as unknown as Record<string, unknown>
addon['Connection'] = class {
  async open(): Promise<undefined> {
    return undefined
  }

  async apply(operations: Uint8Array): Promise<object> {
    sent.push('apply')
    return { outcomes: new ArrayBuffer(8 * operations.length), texts: {} }
  }

  async readDaemons(): Promise<object> {
    return { failure: undefined, records }
  }

  async readConfig(): Promise<object> {
    return { failure: undefined, records }
  }
}

const ipvs = (await openIpvs()) as unknown as Readonly<
  Record<string, (...given: unknown[]) => Promise<unknown>>
>

const call = async (verb: string, ...given: unknown[]): Promise<unknown> => {
  const method = ipvs[verb]
  if (!method) throw new Error(`there is no verb ${verb}`)
  return method.apply(ipvs, given)
}

for (const [name, code, values] of wrongDaemons) {
  t.test(`startSyncDaemon refuses a wrong ${name}: ${code}`, async (t) => {
    for (const value of values) {
      const config = { ...right, ...value }
      const message = new RegExp(`"daemon\\.${name}"`)
      await t.rejects(call('startSyncDaemon', config), { code, message }, inspect(value))
      const inBatch = call('batch', [{ op: 'startSyncDaemon', daemon: config }])
      await t.rejects(inBatch, { code, message: /"operations\[0\]\.daemon\./ }, inspect(value))
    }
    t.same(sent, [])
  })
}

t.test('what is at the edge of a range is right', async (t) => {
  const edges = [
    { syncId: 0 },
    { syncId: 255 },
    { maxLength: 1 },
    { maxLength: 65_507 },
    { maxLength: 65_487, group: 'ff02::81' },
    { role: 'backup', maxLength: 1024 },
    { group: '224.0.0.0' },
    { group: '239.255.255.255' },
    { group: 'FF00::' },
    { port: 1 },
    { port: 65_535 },
    { ttl: 1 },
    { ttl: 255 },
    { interface: 'x'.repeat(15) },
    { interface: 'eth0.5' },
    { interface: 'ä'.repeat(7) },
  ]
  for (const edge of edges) {
    t.doesNotThrow(() => takeSyncDaemon({ ...right, ...edge }, 'daemon'), inspect(edge))
  }
})

t.test('stopSyncDaemon wants one of the two roles', async (t) => {
  for (const role of [undefined, null, 1, ['master'], {}]) {
    const wrong = { code: codes.type, message: /"role" must be one of 'master', 'backup'/ }
    await t.rejects(call('stopSyncDaemon', role), wrong, inspect(role))
  }
  for (const role of ['', 'both', 'MASTER', 'constructor']) {
    const wrong = { code: codes.value, message: /"role" must be one of 'master', 'backup'/ }
    await t.rejects(call('stopSyncDaemon', role), wrong, role)
    const inBatch = { code: codes.value, message: /"operations\[0\]\.role"/ }
    await t.rejects(call('batch', [{ op: 'stopSyncDaemon', role }]), inBatch, role)
  }
  t.same(sent, [])
})

t.test('both daemons are listed with all they have', async (t) => {
  const both = [
    {
      role: 'backup',
      interface: 'eth0.5',
      syncId: 255,
      maxLength: 65_487,
      group: 'ff02::81',
      port: 9000,
      ttl: 3,
    },
    {
      role: 'master',
      interface: 'lo',
      syncId: 0,
      maxLength: 1472,
      group: '224.0.0.81',
      port: 8848,
      ttl: 1,
    },
  ]
  const memory = new Memory(new ArrayBuffer(2 * daemon.size))
  both.forEach((each, index) =>
    daemon.write(memory, index * daemon.size, takeSyncDaemon(each, 'daemon')),
  )
  records = memory.bytes.buffer as ArrayBuffer
  t.same(await call('syncDaemons'), both)
  records = new ArrayBuffer(0)
  t.same(await call('syncDaemons'), [])
})

// Time-outs.

const names = ['tcp', 'tcpFin', 'udp'] as const
const most = 21_474_836

t.test('any of the three time-outs, and no other, is sent', async (t) => {
  const seconds = optional(fc.oneof(fc.integer({ min: 1, max: most }), fc.constantFrom(1, most)))
  const some = fc.record({ tcp: seconds, tcpFin: seconds, udp: seconds })
  fc.assert(
    fc.property(some, (said) => {
      fc.pre(names.some((name) => said[name] !== undefined))
      const memory = new Memory(new ArrayBuffer(config.size))
      config.write(memory, 0, takeTimeouts(said, 'timeouts'))
      t.same(config.read(memory, 0), defined(said))
    }),
    { numRuns: 500 },
  )
})

t.test('all three are read', async (t) => {
  t.same(describeTimeouts({ tcp: 900, tcpFin: 120, udp: 300 }), { tcp: 900, tcpFin: 120, udp: 300 })
  const memory = new Memory(new ArrayBuffer(config.size))
  config.write(memory, 0, { tcp: 1, tcpFin: 2, udp: 4_294_967_295 })
  records = memory.bytes.buffer as ArrayBuffer
  t.same(await call('timeouts'), { tcp: 1, tcpFin: 2, udp: 4_294_967_295 })
})

t.test('setTimeouts refuses what no timer can be', async (t) => {
  for (const name of names) {
    const message = new RegExp(`"timeouts\\.${name}" must be an integer from 1 to ${most}`)
    // The kernel takes 0 for "leave it", and the greatest for a negative number.
    for (const value of [0, -1, 0.5, NaN, Infinity, most + 1, 2 ** 31, 2 ** 32]) {
      const wrong = call('setTimeouts', { [name]: value })
      await t.rejects(wrong, { code: range, message }, `${name} ${value}`)
    }
    for (const value of [null, '900', true, 900n, [900]]) {
      const wrong = call('setTimeouts', { tcp: 1, udp: 1, [name]: value })
      await t.rejects(wrong, { code: codes.type, message }, `${name} ${inspect(value)}`)
    }
  }
  t.same(sent, [])
})

t.test('setTimeouts wants at least one', async (t) => {
  for (const value of [{}, { tcp: undefined }, { tcp: undefined, tcpFin: undefined }]) {
    const message = /"timeouts" must be at least one of tcp, tcpFin, udp/
    await t.rejects(call('setTimeouts', value), { code: codes.value, message }, inspect(value))
  }
  for (const value of [{ tcpfin: 1 }, { tcp: 1, sctp: 1 }, { tcp: 1, TCP: 1 }]) {
    const message = /is unknown\. Known are tcp, tcpFin, udp/
    await t.rejects(call('setTimeouts', value), { code: codes.value, message }, inspect(value))
  }
  t.same(sent, [])
})
