// What watching a table in memory yields. What the kernel counts is in kernel/watch.test.ts.

import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import t from 'tap'

import type { Ipvs, ServiceKey, Stats, TableChange, WatchOptions } from 'ipvs-netlink'
import { destination, makeTable, noStats, service } from './fixtures/small-table.js'

const tcp = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const mark = { fwmark: 7, family: 'ipv6' } as const
const one = '192.168.0.1'
const two = '192.168.0.2'

const makeSmall = (): ReturnType<typeof makeTable> =>
  makeTable(service(tcp, [destination(one), destination(two)]), service(mark))

interface Looks {
  /** What the next look shows. */
  readonly next: () => Promise<TableChange>
}

const start = (table: Ipvs, options: WatchOptions = {}): Looks => {
  const iterator = table.watch({ interval: 1, ...options })[Symbol.asyncIterator]()
  return {
    next: async () => {
      const result = await iterator.next()
      if (result.done === true) throw new Error('it ended')
      return result.value
    },
  }
}

type Entries = readonly { service: ServiceKey; destination?: { address: string } | undefined }[]

const named = (entries: Entries): string[] =>
  entries.map(({ service: key, destination: each }) => {
    const name = key.fwmark === undefined ? `${key.address}:${key.port}` : `mark ${key.fwmark}`
    return each ? `${name} ${each.address}` : name
  })

const count = (of: Partial<Stats>): Stats => ({ ...noStats, ...of })

t.test('the first look shows the whole table as added', async (t) => {
  const table = makeSmall()
  const before = Date.now()
  const { at, elapsed, added, ...others } = await start(table).next()
  t.same(named(added), ['10.0.0.1:80', `10.0.0.1:80 ${one}`, `10.0.0.1:80 ${two}`, 'mark 7'])
  t.same(others, { removed: [], changed: [], stats: [] })
  t.equal(elapsed, 0)
  t.ok(at >= before && at <= Date.now())
  const [first, second] = added
  t.match(first, { service: { ...tcp, scheduler: 'wlc', stats: noStats } })
  t.notOk('destinations' in (first?.service ?? {}), 'each of them has its own entry')
  t.same(second?.service, tcp)
  t.match(second?.destination, { weight: 1 })
})

t.test('what came and what went', async (t) => {
  const table = makeSmall()
  const { next } = start(table)
  await next()
  t.match(await next(), { added: [], removed: [], changed: [], stats: [] })

  const { destinations } = table.find(tcp)
  destinations.unshift(destination('192.168.0.3'))
  const [gone] = destinations.splice(1, 1)
  t.equal(gone?.address, one)
  const third = await next()
  t.same(named(third.added), ['10.0.0.1:80 192.168.0.3'])
  t.same(named(third.removed), [`10.0.0.1:80 ${one}`])

  table.services.shift()
  const fourth = await next()
  t.same(named(fourth.removed), ['10.0.0.1:80', '10.0.0.1:80 192.168.0.3', `10.0.0.1:80 ${two}`])
  t.same(fourth.added, [])

  table.services.unshift(service({ ...tcp, port: 81 }))
  table.services.push(service({ ...mark, family: 'ipv4' }))
  const fifth = await next()
  t.same(named(fifth.added), ['10.0.0.1:81', 'mark 7'], 'the other family is another service')
  t.same(fifth.removed, [])
})

t.test('another order is no difference', async (t) => {
  const table = makeSmall()
  const { next } = start(table)
  await next()
  table.services.reverse()
  table.find(tcp).destinations.reverse()
  t.match(await next(), { added: [], removed: [], changed: [], stats: [] })
})

t.test('what changed, and how it was', async (t) => {
  const table = makeSmall()
  const { next } = start(table)
  await next()
  const changed = { scheduler: 'rr', persistence: { timeout: 9 } }
  Object.assign(table.find(tcp), changed)
  Object.assign(table.findDestination(tcp, { address: two, port: 80 }), {
    weight: 0,
    tunnel: { type: 'gre' },
    activeConnections: 5,
  })
  const look = await next()
  t.match(look.changed, [
    {
      service: { ...tcp, ...changed },
      before: { ...tcp, scheduler: 'wlc' },
      properties: ['scheduler', 'persistence'],
    },
    {
      service: tcp,
      destination: { address: two, weight: 0 },
      before: { weight: 1 },
      properties: ['weight', 'tunnel'],
    },
  ])
  t.equal(look.changed.length, 2)
  const again = await next()
  t.same(again.changed, [])

  Object.assign(table.find(tcp), { persistence: { timeout: 9 }, schedulerFlags: ['flag-1'] })
  const third = await next()
  t.match(third.changed, [{ properties: ['schedulerFlags'] }], 'equal values are no change')
  table.findDestination(tcp, { address: two, port: 80 }).inactiveConnections = 4
  t.same((await next()).changed, [], 'nor are connections')
})

t.test('what was counted', async (t) => {
  const table = makeSmall()
  const found = table.find(tcp)
  const each = table.findDestination(tcp, { address: one, port: 80 })
  found.stats = count({ connections: 100, bytesIn: 5 })
  const { next } = start(table)
  t.same((await next()).stats, [], 'before the first look there is nothing to compare with')
  found.stats = count({ connections: 103, bytesIn: 5, bytesInPerSecond: 9 })
  each.stats = count({ bytesOut: 2 ** 40 })
  const { stats } = await next()
  const zero = { connections: 0, packetsIn: 0, packetsOut: 0, bytesIn: 0, bytesOut: 0 }
  t.same(named(stats), ['10.0.0.1:80', `10.0.0.1:80 ${one}`])
  t.same(
    stats.map(({ delta, reset }) => [delta, reset]),
    [
      [{ ...zero, connections: 3 }, false],
      [{ ...zero, bytesOut: 2 ** 40 }, false],
    ],
  )
  found.stats = count({ connections: 103, bytesIn: 5, bytesInPerSecond: 0 })
  t.same((await next()).stats, [], 'rates are no counters')
})

t.test('counters that were reset are not negative', async (t) => {
  const table = makeSmall()
  const found = table.find(tcp)
  const each = table.findDestination(tcp, { address: one, port: 80 })
  found.stats = count({ connections: 100, bytesIn: 5 })
  each.stats = count({ connections: 1 })
  const { next } = start(table)
  await next()
  found.stats = count({ connections: 2, bytesIn: 9 })
  each.stats = noStats
  t.match((await next()).stats, [
    { delta: { connections: 2, bytesIn: 9 }, reset: true },
    { delta: { connections: 0 }, reset: true },
  ])
  t.same((await next()).stats, [])
  table.services.splice(0, 1)
  t.same((await next()).stats, [], 'what went counts no more')
  table.services.push(found)
  t.same((await next()).stats, [], 'what came has nothing to be compared with')
})

t.test('totals as bigint', async (t) => {
  const table = makeSmall()
  const found = table.find(tcp)
  const totals = (connections: bigint): Stats => count({ connections: connections as never })
  found.stats = totals(2n ** 60n)
  const iterator = table.watch({ interval: 1, bigint: true })[Symbol.asyncIterator]()
  await iterator.next()
  found.stats = totals(2n ** 60n + 1n)
  const grown = (await iterator.next()).value as TableChange<bigint>
  t.equal(grown.stats[0]?.delta.connections, 1n)
  found.stats = totals(4n)
  const reset = (await iterator.next()).value as TableChange<bigint>
  t.match(reset.stats, [{ delta: { connections: 4n }, reset: true }])
})

t.test('without stats only differences are yielded', async (t) => {
  const table = makeSmall()
  const { next } = start(table, { stats: false })
  t.equal((await next()).added.length, 4)
  table.onLook = (number) => {
    table.find(tcp).stats = count({ connections: number })
    if (number === 4) table.services.pop()
  }
  const look = await next()
  t.same(named(look.removed), ['mark 7'])
  t.same(look.stats, [])
  t.equal(table.looks, 4)
  t.equal((await start(makeTable(), { stats: false }).next()).added.length, 0, 'an empty one too')
})

t.test('a slow consumer skips looks', async (t) => {
  const table = makeSmall()
  const found = table.find(tcp)
  const { next } = start(table, { interval: 10 })
  await next()
  await sleep(80)
  t.equal(table.looks, 1, 'nobody asked')
  found.stats = count({ connections: 1 })
  const second = await next()
  t.ok(second.elapsed >= 75, `${second.elapsed} ms`)
  t.equal(second.stats[0]?.delta.connections, 1)
  t.equal(table.looks, 2, 'it does not catch up')
  const third = await next()
  t.ok(third.elapsed >= 8 && third.at >= second.at)
})

t.test('an interval lies between two looks', async (t) => {
  const table = makeSmall()
  const { next } = start(table, { interval: 50 })
  await next()
  t.ok((await next()).elapsed >= 45)
})

t.test('it stops at once when it is aborted', async (t) => {
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const table = makeSmall()
  const controller = new AbortController()
  const { signal } = controller
  const { next } = start(table, { interval: 60_000, signal })
  await next()
  const waiting = t.rejects(next(), { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' })
  t.equal(timers(), 1)
  controller.abort('enough')
  await waiting
  t.equal(timers(), 0)
  t.equal(table.looks, 1)
  await t.rejects(next(), /it ended/)
  await t.rejects(start(table, { signal }).next(), { name: 'AbortError' })
  t.equal(table.looks, 1)
})

t.test('leaving the loop ends it', async (t) => {
  const table = makeSmall()
  for await (const look of table.watch({ interval: 1 })) {
    if (look.elapsed > 0) break
  }
  t.equal(table.looks, 2)
  t.same(
    process.getActiveResourcesInfo().filter((name) => name === 'Timeout'),
    [],
  )
})

t.test('it ends with the error of a reading', async (t) => {
  const table = makeSmall()
  const { next } = start(table)
  await next()
  table.onLook = () => {
    throw new Error('unreadable')
  }
  await t.rejects(next(), /unreadable/)
  await t.rejects(next(), /it ended/)
})

t.test('what a snapshot is asked for', async (t) => {
  const table = makeSmall()
  const asked: unknown[] = []
  const snapshot = table.snapshot.bind(table)
  const spy = async (options: unknown): Promise<unknown> => {
    asked.push(options)
    return snapshot()
  }
  Object.assign(table, { snapshot: spy })
  await start(table).next()
  await start(table, { bigint: true, consistent: true }).next()
  t.match(asked, [
    { bigint: false, consistent: false },
    { bigint: true, consistent: true },
  ])
})

t.test('wrong options', async (t) => {
  const table = makeSmall()
  const wrong = [
    [{ interval: 0 }, 'options.interval'],
    [{ interval: NaN }, 'options.interval'],
    [{ interval: '1' }, 'options.interval'],
    [{ stats: 1 }, 'options.stats'],
    [{ stats: null }, 'options.stats'],
    [{ bigint: 'yes' }, 'options.bigint'],
    [{ consistent: 0 }, 'options.consistent'],
    [{ signal: {} }, 'options.signal'],
    [{ intervall: 1 }, 'options.intervall'],
  ] as const
  for (const [options, path] of wrong) {
    const refusal = { code: /^ERR_(INVALID_ARG_(TYPE|VALUE)|OUT_OF_RANGE)$/, message: path }
    await t.rejects(start(table, options as WatchOptions).next(), refusal, path)
  }
  t.equal(table.looks, 0)
})

t.test('it keeps a process alive only while the next change is waited for', async (t) => {
  const fixture = fileURLToPath(new URL('fixtures/small-table.js', import.meta.url))
  const program = `
    import { makeTable } from ${JSON.stringify(fixture)}
    const iterator = makeTable().watch({ interval: 50 })[Symbol.asyncIterator]()
    await iterator.next()
    const { value } = await iterator.next()
    console.log(value.elapsed >= 45)
  `
  const args = ['--input-type=module', '--eval', program]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 })
  t.equal(stdout, 'true\n')
})
