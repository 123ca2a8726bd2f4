// The table as metrics: names and labels of node_exporter's ipvs collector, and what we add.

import t from 'tap'
import { Registry } from 'prom-client'

import { createFakeIpvs } from 'ipvs-netlink/testing'
import type { FakeIpvs } from 'ipvs-netlink/testing'
import { IpvsCollector } from 'ipvs-netlink/prometheus'
import type { IpvsCollectorOptions } from 'ipvs-netlink/prometheus'

const web = { protocol: 'tcp', address: '192.168.0.22', port: 3306 } as const
const media = { protocol: 'sctp', address: '2001:db8::1', port: 9899 } as const
const marked = { fwmark: 0x10001000 } as const
const marked6 = { ...marked, family: 'ipv6' } as const

const makeTable = async (): Promise<FakeIpvs> => {
  const ipvs = createFakeIpvs()
  for (const service of [web, media, marked, marked6]) await ipvs.addService(service)
  const first = { address: '192.168.82.22' }
  await ipvs.addDestination(web, { ...first, weight: 100 })
  await ipvs.addDestination(web, { address: '192.168.83.24', weight: 0 })
  await ipvs.addDestination(media, { address: '2001:db8::9' })
  await ipvs.addDestination(marked, { address: '192.168.49.32', port: 3306, weight: 20 })
  await ipvs.addDestination(marked6, { address: '2001:db8::9', port: 3306, weight: 30 })
  ipvs.setCounters(web, { connections: 23_765_872, bytesIn: 2 ** 40, packetsOut: 0 })
  ipvs.setCounters(web, first, {
    activeConnections: 248,
    inactiveConnections: 2,
    persistentConnections: 7,
    packetsIn: 5,
  })
  ipvs.setTotals({ connections: 23_765_872, packetsIn: 3_811_989_221, bytesIn: 89_991_519_156_915 })
  return ipvs
}

const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** Lines without comments. */
const linesOf = (text: string): string[] =>
  text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))

const scrape = async (ipvs: FakeIpvs, options: IpvsCollectorOptions = {}): Promise<string[]> => {
  const register = new Registry()
  const collector = new IpvsCollector({ ipvs, registers: [register], ...options })
  const text = await register.metrics()
  // Both ways of rendering say the same.
  t.same(linesOf(await collector.metrics()).sort(), linesOf(text).sort())
  return linesOf(text)
}

/** One series, labels in the order of their names, as node_exporter prints them. */
const canonical = (line: string): string =>
  line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort().join()}}`)

// What node_exporter's ipvs collector shows (collector/ipvs_linux.go of 2024 and its tests), as facts:
// names and types, the labels of a destination, and of the table that its tests read the sums by port.

const ofTable = { labels: [], type: 'counter' } as const
const ofBackend = {
  labels: [
    'local_address',
    'local_mark',
    'local_port',
    'proto',
    'remote_address',
    'remote_port',
  ] as string[],
  type: 'gauge',
} as const
const nodeExporter = {
  node_ipvs_connections_total: ofTable,
  node_ipvs_incoming_packets_total: ofTable,
  node_ipvs_outgoing_packets_total: ofTable,
  node_ipvs_incoming_bytes_total: ofTable,
  node_ipvs_outgoing_bytes_total: ofTable,
  node_ipvs_backend_connections_active: ofBackend,
  node_ipvs_backend_connections_inactive: ofBackend,
  node_ipvs_backend_weight: ofBackend,
}

/** Service, destination, weight, active and inactive connections. */
const theirTable = [
  ['192.168.0.22', '192.168.82.22', 100, 248, 2],
  ['192.168.0.22', '192.168.83.24', 100, 248, 2],
  ['192.168.0.22', '192.168.83.21', 100, 248, 1],
  ['192.168.0.57', '192.168.84.22', 0, 0, 0],
  ['192.168.0.57', '192.168.82.21', 100, 1499, 0],
  ['192.168.0.57', '192.168.50.21', 100, 1498, 0],
  ['192.168.0.55', '192.168.50.26', 0, 0, 0],
  ['192.168.0.55', '192.168.49.32', 100, 0, 0],
  [0x10001000, '192.168.50.26', 20, 64, 1],
  [0x10001000, '192.168.49.32', 100, 321, 5],
] as const

const makeTheirs = async (): Promise<FakeIpvs> => {
  const ipvs = createFakeIpvs()
  for (const [local, address, weight, activeConnections, inactiveConnections] of theirTable) {
    const key = typeof local === 'number' ? { fwmark: local } : { ...web, address: local }
    const real = { address, port: 3306 }
    await ipvs.addService(key, { ifExists: 'ignore' })
    await ipvs.addDestination(key, { ...real, forwarding: 'tun', weight })
    ipvs.setCounters(key, real, { activeConnections, inactiveConnections })
  }
  return ipvs
}

t.test('every metric of node_exporter is there, of its type and with its labels', async (t) => {
  const register = new Registry()
  const collector = new IpvsCollector({ ipvs: await makeTheirs(), registers: [register] })
  for (const text of [await register.metrics(), await collector.metrics()]) {
    const lines = text.split('\n')
    for (const [name, { type, labels }] of Object.entries(nodeExporter)) {
      t.ok(lines.includes(`# TYPE ${name} ${type}`), `${name} is a ${type}`)
      const series = lines.filter((line) => line.startsWith(name) && !/^\w+_total_/.test(line))
      t.equal(series.length, type === 'gauge' ? theirTable.length : 1)
      for (const line of series) {
        t.same(Array.from(line.matchAll(/(\w+)="/g), ([, label]) => label).sort(), labels)
      }
    }
  }
})

t.test('selected labels give the sums that node_exporter gives', async (t) => {
  const lines = await scrape(await makeTheirs(), { backendLabels: ['local_port'] })
  for (const line of [
    'node_ipvs_backend_connections_active{local_port="0"} 385',
    'node_ipvs_backend_connections_active{local_port="3306"} 3741',
    'node_ipvs_backend_connections_inactive{local_port="0"} 6',
    'node_ipvs_backend_connections_inactive{local_port="3306"} 5',
    'node_ipvs_backend_weight{local_port="0"} 120',
    'node_ipvs_backend_weight{local_port="3306"} 600',
  ]) {
    t.ok(lines.includes(line), line)
  }
})

t.test("names and labels are node_exporter's", async (t) => {
  const lines = (await scrape(await makeTable())).map(canonical)
  const named = (name: string): string[] =>
    lines.filter((line) => line.startsWith(`node_ipvs_${name}{`)).sort()
  t.same(named('backend_connections_active'), [
    'node_ipvs_backend_connections_active{local_address="",local_mark="10001000",local_port="0",proto="FWM",remote_address="192.168.49.32",remote_port="3306"} 0',
    'node_ipvs_backend_connections_active{local_address="",local_mark="10001000",local_port="0",proto="FWM",remote_address="2001:db8::9",remote_port="3306"} 0',
    'node_ipvs_backend_connections_active{local_address="192.168.0.22",local_mark="",local_port="3306",proto="TCP",remote_address="192.168.82.22",remote_port="3306"} 248',
    'node_ipvs_backend_connections_active{local_address="192.168.0.22",local_mark="",local_port="3306",proto="TCP",remote_address="192.168.83.24",remote_port="3306"} 0',
    'node_ipvs_backend_connections_active{local_address="2001:db8::1",local_mark="",local_port="9899",proto="SCTP",remote_address="2001:db8::9",remote_port="9899"} 0',
  ])
  t.equal(named('backend_connections_inactive').length, 5)
  t.match(named('backend_weight').join('\n'), /82\.22",remote_port="3306"} 100$/m)
  t.match(named('backend_connections_persistent').join('\n'), /82\.22",remote_port="3306"} 7$/m)
  for (const line of [
    'node_ipvs_connections_total 23765872',
    'node_ipvs_incoming_packets_total 3811989221',
    'node_ipvs_outgoing_packets_total 0',
    'node_ipvs_incoming_bytes_total 89991519156915',
    'node_ipvs_outgoing_bytes_total 0',
    'node_ipvs_up 1',
  ]) {
    t.ok(lines.includes(line), line)
  }
})

t.test('services and destinations have counters of their own', async (t) => {
  const lines = (await scrape(await makeTable())).map(canonical)
  const service = '{local_address="192.168.0.22",local_mark="",local_port="3306",proto="TCP"}'
  t.ok(lines.includes(`node_ipvs_service_connections_total${service} 23765872`))
  t.ok(lines.includes(`node_ipvs_service_incoming_bytes_total${service} ${2 ** 40}`))
  t.ok(lines.includes(`node_ipvs_service_backends${service} 2`))
  const destination = service.replace('}', ',remote_address="192.168.82.22",remote_port="3306"}')
  t.ok(lines.includes(`node_ipvs_backend_incoming_packets_total${destination} 5`))
  const without = await scrape(await makeTable(), { backendCounters: false })
  t.notMatch(without.join('\n'), /backend_incoming/)
  t.match(without.join('\n'), /backend_weight/)
})

t.test('fewer labels are fewer series, added up', async (t) => {
  const ipvs = await makeTable()
  const lines = await scrape(ipvs, { backendLabels: ['proto'], serviceLabels: [], prefix: 'lvs_' })
  const weights = lines.filter((line) => line.startsWith('lvs_backend_weight'))
  t.same(weights.sort(), [
    'lvs_backend_weight{proto="FWM"} 50',
    'lvs_backend_weight{proto="SCTP"} 1',
    'lvs_backend_weight{proto="TCP"} 100',
  ])
  t.ok(lines.includes('lvs_service_backends 5'))
  const one = await scrape(ipvs, { backendLabels: [] })
  t.ok(one.includes('node_ipvs_backend_weight 151'))
  const apart = await scrape(ipvs, { backendLabels: ['family', 'local_mark'] })
  t.ok(
    apart
      .map(canonical)
      .includes('node_ipvs_backend_weight{family="ipv6",local_mark="10001000"} 30'),
  )
  await ipvs.clear()
  const empty = await scrape(ipvs)
  t.notMatch(empty.join('\n'), /backend/)
  t.equal(empty.length, 6)
})

t.test('it reads once for a scrape, and again for the next', async (t) => {
  const ipvs = await makeTable()
  let reads = 0
  const counting = new Proxy(ipvs, {
    get: (target, name) => {
      if (name === 'snapshot') ++reads
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? (value as () => void).bind(target) : value
    },
  })
  const register = new Registry()
  new IpvsCollector({ ipvs: counting, registers: [register] })
  reads = 0
  await Promise.all([register.metrics(), register.metrics()])
  t.equal(reads, 1)
  await ipvs.editDestination(web, { address: '192.168.82.22', weight: 55 })
  t.match(await register.metrics(), /backend_weight\{.*82\.22".*\} 55$/m)
  t.equal(reads, 2)
  register.resetMetrics()
  const json = await register.getMetricsAsJSON()
  const weights = json.find(({ name }) => name === 'node_ipvs_backend_weight')?.values
  t.match(weights?.[0]?.labels, { proto: 'TCP' })
})

t.test("a registry's own ways: default labels, OpenMetrics", async (t) => {
  const ipvs = await makeTable()
  const register = new Registry()
  register.setDefaultLabels({ netns: 'blue' })
  new IpvsCollector({ ipvs, registers: [register] })
  t.match(await register.metrics(), /node_ipvs_connections_total\{netns="blue"\} 23765872/)
  const open = new Registry<'application/openmetrics-text; version=1.0.0; charset=utf-8'>()
  open.setContentType('application/openmetrics-text; version=1.0.0; charset=utf-8')
  new IpvsCollector({ ipvs, registers: [open] })
  const text = await open.metrics()
  t.match(text, /^# TYPE node_ipvs_connections counter\nnode_ipvs_connections_total 23765872$/m)
  t.match(text, /# EOF\n$/)
})

t.test('a table that cannot be read does not spoil the scrape', async (t) => {
  const ipvs = await makeTable()
  const errors: unknown[] = []
  const register = new Registry()
  new IpvsCollector({ ipvs, registers: [register], onError: (error) => errors.push(error) })
  ipvs.failNext('snapshot', 'ERR_IPVS_PERMISSION')
  t.same(linesOf(await register.metrics()), ['node_ipvs_up 0'])
  t.match(errors, [{ code: 'ERR_IPVS_PERMISSION' }])
  t.match(await register.metrics(), /^node_ipvs_up 1$/m)
})

t.test('wrong options', async (t) => {
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ backendLabels: ['remote'] }, /options\.backendLabels\[0\]/],
    [{ serviceLabels: ['remote_port'] }, /options\.serviceLabels\[0\]/],
    [{ backendLabels: 'proto' }, /options\.backendLabels/],
    [{ prefix: '1_' }, /options\.prefix/],
    [{ prefix: 1 }, /options\.prefix/],
    [{ backendCounters: 'no' }, /options\.backendCounters/],
    [{ ipvs: {} }, /options\.ipvs/],
    [{ labels: [] }, /labels/],
    [{ onError: 5 }, /"options\.onError" must be a function/],
    [{ onError: null }, /options\.onError/],
    [{ registers: new Registry() }, /"options\.registers" must be an array of registries/],
    [{ registers: null }, /options\.registers/],
    [{ registers: [new Registry(), {}] }, /"options\.registers\[1\]" must be a Registry/],
  ]
  for (const [options, message] of wrong) {
    const make = (): unknown => new IpvsCollector({ registers: [], ...options })
    t.throws(make, { code: /^ERR_INVALID_ARG/, message })
  }
})

t.test('a large table is rendered piece by piece', async (t) => {
  const ipvs = createFakeIpvs()
  await ipvs.batch([
    { op: 'addService', service: web },
    ...Array.from({ length: 5000 }, (_, index) => ({
      op: 'addDestination' as const,
      service: web,
      destination: { address: `10.1.${index >> 8}.${index & 255}` },
    })),
  ])
  const collector = new IpvsCollector({ ipvs, registers: [] })
  let turns = 0
  let going = true
  const count = (): void => {
    ++turns
    if (going) setImmediate(count)
  }
  setImmediate(count)
  const pieces = await collect(collector.stream())
  going = false
  t.ok(pieces.every((piece) => piece.split('\n').length <= 2001))
  // Of 9 metrics of 5,000 destinations, three pieces each.
  t.ok(turns >= 27, `${turns} turns`)
  t.equal(linesOf(pieces.join('')).length, 9 * 5000 + 6 + 6)
})

/** Counts turns of the event loop while something is done. */
const countingTurns = async <T>(work: (turn: () => number) => Promise<T>): Promise<T> => {
  let turns = 0
  let going = true
  const count = (): void => {
    ++turns
    if (going) setImmediate(count)
  }
  setImmediate(count)
  const result = await work(() => turns)
  going = false
  return result
}

t.test('a large table is taken in piece by piece', async (t) => {
  const ipvs = createFakeIpvs()
  await ipvs.batch(
    Array.from({ length: 5000 }, (_, index) => ({
      op: 'addService' as const,
      service: { ...web, address: `10.1.${index >> 8}.${index & 255}` },
    })),
  )
  const services = await ipvs.snapshot()
  await ipvs.batch(
    Array.from({ length: 5000 }, (_, index) => ({
      op: 'addDestination' as const,
      service: services[0] ?? web,
      destination: { address: `10.2.${index >> 8}.${index & 255}` },
    })),
  )
  const state = await ipvs.snapshot()
  const perTurn = await countingTurns(async (turn) => {
    const taken = new Map<number, number>()
    // Each entry's counters are read once.
    const watched = <Entry extends object>(entry: Entry): Entry =>
      new Proxy(entry, {
        get: (target, name) => {
          if (name === 'stats') taken.set(turn(), (taken.get(turn()) ?? 0) + 1)
          return Reflect.get(target, name) as unknown
        },
      })
    const table = state.map((each) =>
      watched({ ...each, destinations: each.destinations.map(watched) }),
    )
    const snapshot = async (): Promise<typeof table> => table
    const read = { totals: async () => ipvs.totals(), snapshot } as unknown as FakeIpvs
    await collect(new IpvsCollector({ ipvs: read, registers: [] }).stream())
    return [...taken.values()]
  })
  t.equal(
    perTurn.reduce((sum, each) => sum + each, 0),
    10_000,
  )
  t.ok(
    perTurn.every((each) => each <= 1000),
    perTurn.join(),
  )
})

t.test('a registry renders one metric in a turn', async (t) => {
  const ipvs = await makeTable()
  const rendered = await countingTurns(async (turn) => {
    const at: number[] = []
    const register = new Registry()
    const registerMetric = register.registerMetric.bind(register)
    register.registerMetric = (metric) => {
      const rendering = metric as unknown as { getForPromString: () => Promise<unknown> }
      const get = rendering.getForPromString.bind(rendering)
      rendering.getForPromString = async () => {
        const answer = await get()
        at.push(turn())
        return answer
      }
      registerMetric(metric)
    }
    new IpvsCollector({ ipvs, registers: [register] })
    await register.metrics()
    return at
  })
  t.equal(rendered.length, 21)
  t.equal(new Set(rendered).size, rendered.length, rendered.join())
})
