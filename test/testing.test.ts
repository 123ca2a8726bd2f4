// The fake: the scenarios that the kernel is tested with, and what only the fake can do.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import t from 'tap'

import type { ConnectionEntry } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'
import type { FakeIpvs, FakeVerb } from 'ipvs-netlink/testing'
import { fakeLayout } from '#lib/fake-layout'
import { loadAddon } from '#lib/native'

import { desired } from './scenarios/desired.js'
import { destinations } from './scenarios/destinations.js'
import { drain } from './scenarios/drain.js'
import { patch } from './scenarios/patch.js'
import { refusals } from './scenarios/refusals.js'
import { rules } from './scenarios/rules.js'
import { findSchedulers, refusal, rulesOf, tcp } from './scenarios/scene.js'
import type { MakeScene } from './scenarios/scene.js'
import { services } from './scenarios/services.js'
import { table } from './scenarios/table.js'
import { watch } from './scenarios/watch.js'

const makeScene: MakeScene = async (t) => {
  const ipvs = createFakeIpvs()
  t.teardown(async () => ipvs.close())
  const another = async (): Promise<FakeIpvs> => {
    const other = ipvs.openAnother()
    t.teardown(async () => other.close())
    return other
  }
  return {
    ipvs,
    another,
    rules: async () => rulesOf(ipvs),
    admin: async (line) => (await another()).restore(line, { clear: false }),
    schedulers: async () => findSchedulers(ipvs),
  }
}

services(makeScene)
destinations(makeScene)
patch(makeScene)
refusals(makeScene)
table(makeScene)
desired(makeScene)
drain(makeScene)
watch(makeScene)
rules(makeScene)

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

const server = { address: '127.0.0.1' }
const most64 = 2n ** 64n - 1n

t.test('counters are what the test says, to 64 bits', async (t) => {
  const ipvs = createFakeIpvs()
  await ipvs.addService(tcp)
  await ipvs.addDestination(tcp, server)
  ipvs.setCounters(tcp, { connections: 3, bytesIn: most64, bytesInPerSecond: 9 })
  ipvs.setCounters(tcp, server, { packetsOut: 2 ** 40, activeConnections: 5 })
  ipvs.setCounters(tcp, server, { persistentConnections: 2 ** 32 - 1 })
  ipvs.setTotals({ bytesOut: most64, connectionsPerSecond: 7 })
  const [service] = await ipvs.snapshot({ bigint: true })
  t.match(service?.stats, { connections: 3n, bytesIn: most64, bytesInPerSecond: 9, packetsIn: 0n })
  t.match(service?.destinations[0], {
    activeConnections: 5,
    inactiveConnections: 0,
    persistentConnections: 2 ** 32 - 1,
    stats: { packetsOut: BigInt(2 ** 40) },
  })
  t.match(await ipvs.totals({ bigint: true }), { bytesOut: most64, connectionsPerSecond: 7 })
  await ipvs.editDestination(tcp, { ...server, weight: 9 })
  t.equal((await ipvs.listDestinations(tcp))[0]?.activeConnections, 5, 'an edit keeps connections')

  await ipvs.zero(tcp)
  t.match(await ipvs.listDestinations(tcp), [{ activeConnections: 5, stats: { packetsOut: 0 } }])
  t.match(await ipvs.totals(), { connectionsPerSecond: 7 })
  await ipvs.zero()
  t.match(await ipvs.totals({ bigint: true }), { bytesOut: 0n, connectionsPerSecond: 0 })
})

t.test('counters of what is not there, and wrong ones', async (t) => {
  const ipvs = createFakeIpvs()
  t.throws(() => ipvs.setCounters(tcp, {}), refusal('ERR_IPVS_NO_SERVICE', { service: tcp }))
  await ipvs.addService(tcp)
  t.throws(
    () => ipvs.setCounters(tcp, server, {}),
    refusal('ERR_IPVS_NO_DESTINATION', { destination: { ...server, port: 80 } }),
  )
  const wrong: readonly (readonly [object, string])[] = [
    [{ connections: -1 }, 'ERR_OUT_OF_RANGE'],
    [{ connections: 2 ** 53 }, 'ERR_OUT_OF_RANGE'],
    [{ connections: '1' }, 'ERR_INVALID_ARG_TYPE'],
    [{ bytesIn: most64 + 1n }, 'ERR_INVALID_ARG_VALUE'],
    [{ bytesIn: -1n }, 'ERR_INVALID_ARG_VALUE'],
    [{ bytesInPerSecond: 1n }, 'ERR_INVALID_ARG_TYPE'],
    [{ activeConnections: 1 }, 'ERR_INVALID_ARG_VALUE'],
    [{ connection: 1 }, 'ERR_INVALID_ARG_VALUE'],
  ]
  for (const [counters, code] of wrong) {
    t.throws(() => ipvs.setCounters(tcp, counters), { code, message: /counters/ })
    t.throws(() => ipvs.setTotals(counters), { code })
  }
  t.throws(() => ipvs.setCounters({ fwmark: 0 }, {}), { code: 'ERR_OUT_OF_RANGE' })
})

const entry: ConnectionEntry = {
  protocol: 'tcp',
  client: { address: '192.0.2.7', port: 40_000 },
  virtual: { address: '10.0.0.1', port: 80 },
  destination: { address: '127.0.0.1', port: 8080 },
  state: 'ESTABLISHED',
  expires: 899,
  template: false,
}
const template: ConnectionEntry = {
  protocol: 'udp',
  client: { address: '2001:db8::', port: 0 },
  virtual: { address: '2001:db8::1', port: 5060 },
  destination: { address: '::1', port: 5060 },
  state: 'ASSURED',
  expires: 4_294_967_295,
  template: true,
  persistence: { engine: 'sip', data: 'call id with blanks' },
}

t.test('connections are what the test says, and are filtered like others', async (t) => {
  const ipvs = createFakeIpvs()
  ipvs.setConnections([entry, template])
  t.same(await collect(ipvs.connections()), [entry, template])
  t.same(await collect(ipvs.connections({ service: tcp })), [entry])
  t.same(await collect(ipvs.connections({ state: 'ASSURED' })), [template])
  ipvs.setConnections([])
  t.same(await collect(ipvs.connections()), [])
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ ...entry, template: true }, /entries\[0\]\.template/],
    [{ ...entry, state: 'NOT ONE' }, /entries\[0\]\.state/],
    [{ ...entry, client: { address: 'here', port: 1 } }, /client\.address/],
    [{ ...entry, expires: -1 }, /expires/],
    [{ ...entry, persistence: { engine: 'sip', data: 'two\nlines' } }, /persistence\.data/],
    [{ ...entry, more: 1 }, /more/],
  ]
  for (const [one, message] of wrong) {
    t.throws(() => ipvs.setConnections([one as ConnectionEntry]), { message })
  }
})

t.test('a call can be made to fail, once and in order', async (t) => {
  const ipvs = createFakeIpvs()
  ipvs.failNext('addService', 'ERR_IPVS_PERMISSION')
  ipvs.failNext('addService', 'ERR_IPVS_TIMEOUT')
  await t.rejects(
    ipvs.addService(tcp),
    refusal('ERR_IPVS_PERMISSION', { errno: -1, command: 'NEW_SERVICE', service: tcp }),
  )
  t.match(await ipvs.batch([{ op: 'addService', service: tcp }]), [
    { error: { code: 'ERR_IPVS_TIMEOUT' } },
  ])
  t.same(await ipvs.listServices(), [], 'nothing was changed')
  ipvs.failNext('addService', 'ERR_IPVS_OUTCOME_UNKNOWN')
  await t.rejects(ipvs.addService(tcp), refusal('ERR_IPVS_OUTCOME_UNKNOWN'))
  t.match(await ipvs.listServices(), [tcp], 'it was made: only the reply was lost')
  await ipvs.addDestination(tcp, server)
  ipvs.failNext('patchDestination', 'ERR_IPVS_NO_DESTINATION')
  await ipvs.editDestination(tcp, server)
  const lost = refusal('ERR_IPVS_NO_DESTINATION')
  await t.rejects(ipvs.patchDestination(tcp, server, { weight: 2 }), lost)
  await ipvs.patchDestination(tcp, server, { weight: 2 })
})

t.test('every verb can fail', async (t) => {
  const ipvs = createFakeIpvs()
  await ipvs.addService(tcp)
  await ipvs.addDestination(tcp, server)
  const reads: Readonly<Partial<Record<FakeVerb, () => Promise<unknown>>>> = {
    getService: async () => ipvs.getService(tcp),
    listServices: async () => ipvs.listServices(),
    listDestinations: async () => ipvs.listDestinations(tcp),
    snapshot: async () => ipvs.snapshot(),
    timeouts: async () => ipvs.timeouts(),
    syncDaemons: async () => ipvs.syncDaemons(),
    connections: async () => collect(ipvs.connections()),
    totals: async () => ipvs.totals(),
    info: async () => ipvs.info(),
  }
  const changes: Readonly<Partial<Record<FakeVerb, () => Promise<unknown>>>> = {
    editService: async () => ipvs.editService(tcp),
    patchService: async () => ipvs.patchService(tcp, {}),
    editDestination: async () => ipvs.editDestination(tcp, server),
    patchDestination: async () => ipvs.patchDestination(tcp, server, {}),
    deleteDestination: async () => ipvs.deleteDestination(tcp, server),
    addDestination: async () => ipvs.addDestination(tcp, server),
    zero: async () => ipvs.zero(),
    setTimeouts: async () => ipvs.setTimeouts({ tcp: 1 }),
    startSyncDaemon: async () => ipvs.startSyncDaemon({ role: 'master', interface: 'eth0' }),
    stopSyncDaemon: async () => ipvs.stopSyncDaemon('master'),
    deleteService: async () => ipvs.deleteService(tcp),
    addService: async () => ipvs.addService(tcp),
    clear: async () => ipvs.clear(),
  }
  const everywhere = [
    'PERMISSION',
    'NOT_AVAILABLE',
    'TIMEOUT',
    'MALFORMED_REPLY',
    'REFUSED',
  ] as const
  for (const [verb, call] of Object.entries({ ...reads, ...changes }) as [
    FakeVerb,
    () => Promise<unknown>,
  ][]) {
    for (const name of everywhere) {
      const code = `ERR_IPVS_${name}` as const
      ipvs.failNext(verb, code)
      await t.rejects(call(), refusal(code), `${verb}: ${code}`)
    }
    await t.resolves(call(), `${verb} works again`)
  }
  for (const verb of Object.keys(reads)) {
    t.throws(() => ipvs.failNext(verb as FakeVerb, 'ERR_IPVS_OUTCOME_UNKNOWN'), /"code"/)
  }
  t.throws(() => ipvs.failNext('clear', 'ERR_IPVS_SERVICE_EXISTS'), /one that clear can have/)
  t.throws(() => ipvs.failNext('clear', 'ERR_IPVS_CLOSED'), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(
    () => ipvs.failNext('getService', 'ERR_IPVS_NO_PERSISTENCE_ENGINE'),
    /one that getService can have: ERR_IPVS_NO_SERVICE, ERR_IPVS_REFUSED, /,
  )
  t.throws(() => ipvs.failNext('close' as FakeVerb, 'ERR_IPVS_REFUSED'), /"verb"/)
})

t.test('a call that names an engine misses what the test says', async (t) => {
  const sip = { ...tcp, protocol: 'udp', persistence: { engine: 'sip' } } as const
  for (const code of ['ERR_IPVS_NO_PERSISTENCE_ENGINE', 'ERR_IPVS_NO_SCHEDULER'] as const) {
    const ipvs = createFakeIpvs()
    ipvs.failNext('addService', code)
    ipvs.failNext('addService', 'ERR_IPVS_TIMEOUT')
    await t.rejects(ipvs.addService(sip), refusal(code))
    await t.rejects(ipvs.addService(sip), refusal('ERR_IPVS_TIMEOUT'))
    await ipvs.addService(sip)
    ipvs.failNext('editService', code)
    await t.rejects(ipvs.editService(sip), refusal(code))
    await ipvs.editService(sip)
  }
})

t.test('verbs that read alike fail by their own names', async (t) => {
  const ipvs = createFakeIpvs()
  await ipvs.addService(tcp)
  ipvs.failNext('stream', 'ERR_IPVS_TIMEOUT')
  ipvs.failNext('columns', 'ERR_IPVS_PERMISSION')
  await t.resolves(ipvs.snapshot())
  await t.resolves(ipvs.listServices())
  await t.rejects(collect(ipvs.stream()), refusal('ERR_IPVS_TIMEOUT'))
  await t.rejects(ipvs.columns(), refusal('ERR_IPVS_PERMISSION'))
  ipvs.failNext('snapshot', 'ERR_IPVS_TIMEOUT')
  t.equal((await collect(ipvs.stream())).length, 1)
  await t.resolves(ipvs.columns())
  await t.rejects(ipvs.snapshot(), refusal('ERR_IPVS_TIMEOUT'))
})

t.test('two handles share a table, and each is closed by itself', async (t) => {
  const one = createFakeIpvs()
  const other = one.openAnother()
  await one.addService(tcp)
  t.match(await other.listServices(), [tcp])
  await one.close()
  await t.rejects(one.listServices(), refusal('ERR_IPVS_CLOSED'))
  await other.deleteService(tcp)
  t.same(await createFakeIpvs().listServices(), [], 'every fake is a table of its own')
})

t.test('the machine has what the test says', async (t) => {
  const ipvs = createFakeIpvs({ schedulers: ['rr'], engines: [], devices: ['bond0'] })
  await ipvs.addService({ ...tcp, scheduler: 'rr' })
  const fallback = { ...tcp, port: 81 }
  await t.rejects(ipvs.addService(fallback), refusal('ERR_IPVS_NO_SCHEDULER', { message: /wlc/ }))
  const sip = { ...tcp, protocol: 'udp', scheduler: 'rr', persistence: { engine: 'sip' } } as const
  await t.rejects(ipvs.addService(sip), refusal('ERR_IPVS_NO_PERSISTENCE_ENGINE'))
  const daemon = { role: 'backup', interface: 'bond0', syncId: 7 } as const
  await ipvs.startSyncDaemon(daemon)
  await t.rejects(
    ipvs.startSyncDaemon({ role: 'master', interface: 'eth0' }),
    refusal('ERR_IPVS_REFUSED', { errno: -19, message: /no such network device/ }),
  )
  t.match(await ipvs.syncDaemons(), [{ ...daemon, maxLength: 1472, group: '224.0.0.81' }])
  for (const options of [{ schedulers: 'rr' }, { engines: [''] }, { device: ['eth0'] }, null]) {
    t.throws(() => createFakeIpvs(options as object), { code: /^ERR_INVALID_ARG/ })
  }
})

t.test('it needs no addon, and importing it loads none', async (t) => {
  const script = `
    process.dlopen = () => { throw new Error('the addon was loaded') }
    const { createFakeIpvs } = await import('ipvs-netlink/testing')
    const fake = createFakeIpvs()
    await fake.addService(${JSON.stringify({ ...tcp, persistence: { timeout: 77 } })})
    await fake.addDestination(${JSON.stringify(tcp)}, { address: '::1', forwarding: 'tun' })
    await fake.patchService(${JSON.stringify(tcp)}, { schedulerFlags: ['flag-3'] })
    fake.setCounters(${JSON.stringify(tcp)}, { bytesIn: 2 ** 40 })
    console.log(JSON.stringify(await fake.snapshot()))
  `
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '--eval',
    script,
  ])
  t.match(JSON.parse(stdout), [
    {
      ...tcp,
      scheduler: 'wlc',
      schedulerFlags: ['flag-3'],
      persistence: { timeout: 77, prefixLength: 32 },
      stats: { bytesIn: 2 ** 40 },
      destinations: [{ address: '::1', forwarding: 'tun', tunnel: { type: 'ipip' }, weight: 1 }],
    },
  ])
})

t.test("its records have the fields of the addon's", async (t) => {
  const { layout } = loadAddon()
  const tables = ['counters', 'service', 'destination', 'daemon', 'config', 'info'] as const
  for (const name of tables) {
    const fields = ({ rows }: (typeof layout)[typeof name]): string[] =>
      rows
        // The same place as `counters`, as old kernels send it.
        .filter((row) => row.name !== 'counters32')
        .map(({ name: field, kind, size }) => `${field} ${kind} ${size}`)
        .sort()
    t.same(fields(fakeLayout[name]), fields(layout[name]), name)
  }
})

t.test('large groups of one family leave nothing behind for those of the other', async (t) => {
  const ipvs = createFakeIpvs()
  const six = { protocol: 'tcp', address: '2001:db8::1', port: 80 } as const
  const networks = [
    { service: six, addressOf: (index: number) => `2001:db8::2:${index}` },
    { service: tcp, addressOf: (index: number) => `10.1.${index >> 8}.${index & 255}` },
  ]
  for (const { service, addressOf } of networks) {
    await ipvs.addService(service)
    const outcomes = await ipvs.batch(
      Array.from({ length: 1000 }, (_, index) => ({
        op: 'addDestination',
        service,
        destination: { address: addressOf(index + 1) },
      })),
    )
    t.same(
      outcomes.filter(({ ok }) => !ok),
      [],
    )
    t.equal((await ipvs.listDestinations(service)).length, 1000)
  }
})

t.test("a batch's outcomes are the caller's own", async (t) => {
  const ipvs = createFakeIpvs()
  const [first, second] = await ipvs.batch([{ op: 'clear' }, { op: 'clear' }])
  t.not(first, second)
  Object.assign(first ?? {}, { ok: false })
  t.same(await ipvs.batch([{ op: 'clear' }]), [{ ok: true }])
})
