// Large tables: read and changed in pieces, so that everybody else has their turn, and the same
// however they are read.

import { readFileSync } from 'node:fs'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'

import { addressAt } from 'ipvs-netlink'
import type { Operation, VirtualServerState } from 'ipvs-netlink'

import { makeBed, tcp } from './bed.js'

const services = 30
const each = 100

const serviceOf = (index: number) =>
  ({ protocol: 'tcp', address: '10.0.0.1', port: 1 + index, scheduler: 'rr' }) as const

const operations: Operation[] = Array.from({ length: services }, (_, index): Operation[] => [
  { op: 'addService', service: serviceOf(index) },
  // The last one has none.
  ...Array.from({ length: index === services - 1 ? 0 : each }, (_, n): Operation => {
    const destination = { address: `127.0.${index}.${n}`, weight: n, forwarding: 'nat' } as const
    return { op: 'addDestination', service: serviceOf(index), destination }
  }),
]).flat()

const collect = async <T>(source: AsyncIterable<T>): Promise<T[]> => {
  const all: T[] = []
  for await (const one of source) all.push(one)
  return all
}

/** Without what the kernel's estimator may have changed in between. */
const still = (table: readonly VirtualServerState[]): object[] =>
  table.map((service) => ({
    ...service,
    stats: undefined,
    destinations: service.destinations.map((destination) => ({ ...destination, stats: undefined })),
  }))

t.test('a table is the same as a snapshot, as a stream and as columns', async (t) => {
  const { ipvs, rules } = await makeBed(t)
  const outcomes = await ipvs.batch(operations)
  t.ok(outcomes.every(({ ok }) => ok))
  t.equal((await rules()).length, operations.length)

  const table = await ipvs.snapshot()
  t.equal(table.length, services)
  t.same(still(await collect(ipvs.stream())), still(table))
  const [first] = await collect(ipvs.stream({ bigint: true }))
  t.equal(first?.stats.connections, 0n)

  const { services: keys, destinations: reals } = await ipvs.columns()
  t.equal(keys.count, services)
  t.equal(reals.count, (services - 1) * each)
  t.same(
    [...keys.port],
    table.map((service) => ('port' in service ? service.port : 0)),
  )
  const all = table.flatMap(({ destinations }) => destinations)
  t.same(
    [...reals.weight],
    all.map(({ weight }) => weight),
  )
  t.same(
    Array.from(reals.port, (_, index) => addressAt(reals, index)),
    all.map(({ address }) => address),
  )
  t.same(
    Array.from({ length: keys.count }, (_, index) =>
      reals.service.subarray(keys.firstDestination[index], keys.firstDestination[index + 1]),
    ).map((own, index) => own.length === 0 || new Set(own).has(index)),
    Array<boolean>(services).fill(true),
  )
  const big = await ipvs.columns({ bigint: true })
  t.type(big.destinations.stats.bytesIn, BigUint64Array)
})

t.test(
  'a stream that is given up reads no further, and an empty table streams nothing',
  async (t) => {
    const { ipvs } = await makeBed(t)
    t.same(await collect(ipvs.stream()), [])
    t.same((await ipvs.columns()).destinations.count, 0)
    await ipvs.batch(operations)
    for await (const { destinations } of ipvs.stream()) {
      t.equal(destinations.length <= each, true)
      break
    }
    const controller = new AbortController()
    const stream = ipvs.stream({ signal: controller.signal })[Symbol.asyncIterator]()
    await stream.next()
    controller.abort()
    await t.rejects(collect({ [Symbol.asyncIterator]: () => stream }), { name: 'AbortError' })
  },
)

/** Milliseconds for which the main thread has run so far, wherever else the processor was. */
const mainThreadRan = (): number => {
  const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')
  return Number(nanoseconds) / 1e6
}

t.test('while a long table is read and changed, others have their turn', async (t) => {
  const [busy, other] = [await makeBed(t), await makeBed(t)]
  await busy.ipvs.addService(tcp)
  const many = Array.from({ length: 6000 }, (_, index): Operation => {
    const address = `127.1.${index >> 8}.${index & 255}`
    return { op: 'addDestination', service: tcp, destination: { address } }
  })
  const state = { ended: false }
  const before = process.cpuUsage()
  const adding = busy.ipvs
    .batch(many)
    .then(async (outcomes) => {
      t.ok(outcomes.every(({ ok }) => ok))
      return busy.ipvs.snapshot()
    })
    .finally(() => (state.ended = true))
  let calls = 0
  const calling = (async () => {
    while (!state.ended) {
      await other.ipvs.info()
      ++calls
      // A chain of calls is served in one turn, up to a thousand (Node's ThreadSafeFunction), where the
      // scheduler lets a woken thread run at once.
      await nextTurn()
    }
  })()
  let ran = mainThreadRan()
  const turns: number[] = []
  while (!state.ended) {
    await sleep(1)
    const now = mainThreadRan()
    turns.push(now - ran)
    ran = now
  }
  await calling
  const { user, system } = process.cpuUsage(before)
  t.equal((await adding)[0]?.destinations.length, 6000)
  t.ok(calls > 3, `another handle was called ${calls} times meanwhile`)
  // The kernel searches a list at each addition: each of the last of the 47 sends takes a 24th of all.
  const all = (user + system) / 1000
  // Were they made by the main thread, 19 of them would be longer than this. A machine that was halted
  // counts that as time of whoever ran, which happens to a few.
  const long = turns.filter((turn) => turn > all / 40)
  t.ok(long.length <= 4, `of ${all} ms turns of the main thread took ${long.join()}`)
  t.comment(`the longest turn of the main thread took ${Math.max(...turns)} of ${all} ms`)
})
