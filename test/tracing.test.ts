// What is told of requests, on the channel `ipvs-netlink:request`.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'

import t from 'tap'
import type { Test } from 'tap'

import { IpvsError, openIpvs } from 'ipvs-netlink'
import type { RequestTrace } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'
import { recordFormat } from '#lib/records'
import { traced } from '#lib/tracing'

const name = 'ipvs-netlink:request'
const tcp = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const

const listen = (t: Test): RequestTrace[] => {
  const told: RequestTrace[] = []
  const hear = (message: unknown): void => {
    told.push(message as RequestTrace)
  }
  subscribe(name, hear)
  t.teardown(() => unsubscribe(name, hear))
  return told
}

const countOf = async (items: AsyncIterable<unknown>): Promise<number> => {
  let count = 0
  for await (const item of items) count += Number(item !== undefined)
  return count
}

t.test('each request is told once, with what became of it', async (t) => {
  const ipvs = createFakeIpvs()
  const told = listen(t)
  await Promise.allSettled([ipvs.addService(tcp), ipvs.addService(tcp)])
  await ipvs.batch([
    { op: 'addDestination', service: tcp, destination: { address: '127.0.0.1' } },
    { op: 'zero' },
  ])
  await ipvs.snapshot()
  ipvs.failNext('clear', 'ERR_IPVS_OUTCOME_UNKNOWN')
  await t.rejects(ipvs.clear())
  await t.rejects(ipvs.getService(tcp))
  await ipvs.info()
  t.match(told, [
    { command: 'NEW_SERVICE', count: 2, outcome: 'refused', failures: 1 },
    { command: 'mixed', count: 2, outcome: 'ok', failures: 0 },
    { command: 'GET_SERVICE', count: 1, outcome: 'ok' },
    { command: 'FLUSH', count: 1, outcome: 'unknown', failures: 1 },
    { command: 'GET_SERVICE', count: 1, outcome: 'refused', failures: 1 },
    { command: 'GET_INFO', count: 1, outcome: 'ok', failures: 0 },
  ])
  for (const { bytes, start, duration } of told) {
    t.ok(bytes > 0)
    t.ok(duration >= 0 && start + duration <= performance.now())
  }
  t.ok((told[2]?.bytes ?? 0) > 300, 'a service and a destination were read')
})

t.test('what may have been made is told as unknown, whatever became of the rest', async (t) => {
  const refused = [6, 17]
  const lost = [5, 110]
  const unsent = [4, 125]
  const answer = (...pairs: number[][]): unknown => ({
    outcomes: Int32Array.from(pairs.flat()).buffer,
    texts: {},
  })
  const noThread = Object.assign(new Error('no thread could be started'), { errno: 11 })
  const answers = [
    [async () => answer([0, 0], lost), 'unknown', 1],
    [async () => answer(refused, lost), 'unknown', 2],
    [async () => answer(lost, unsent), 'unknown', 2],
    [async () => answer(refused, unsent), 'failed', 2],
    [async () => Promise.reject(new Error('std::bad_alloc')), 'unknown', 2],
    [async () => Promise.reject(noThread), 'failed', 2],
  ] as const
  const told = listen(t)
  const { size } = recordFormat().operation
  for (const [apply, outcome, failures] of answers) {
    const native = { apply } as unknown as Parameters<typeof traced>[0]
    await traced(native)
      .apply(new Uint8Array(2 * size))
      .catch(() => undefined)
    t.match(told.splice(0), [{ count: 2, outcome, failures }])
  }
  const failure = { stage: 5, errno: 110, text: '' }
  const native = { readInfo: async () => ({ failure }) } as unknown as Parameters<typeof traced>[0]
  await traced(native).readInfo()
  t.match(
    told,
    [{ command: 'GET_INFO', outcome: 'failed', failures: 1 }],
    'reading changes nothing',
  )
})

t.test('a refused argument is no request, and nothing is told to nobody', async (t) => {
  const ipvs = createFakeIpvs()
  const told = listen(t)
  await t.rejects(ipvs.addService({ ...tcp, port: 80_000 }))
  t.same(told, [])
  const quiet: unknown[] = []
  const hear = (message: unknown): void => {
    quiet.push(message)
  }
  subscribe(name, hear)
  unsubscribe(name, hear)
  await ipvs.addService(tcp)
  t.same(quiet, [])
  t.equal(told.length, 1)
})

t.test('every way of reading is told', async (t) => {
  const ipvs = createFakeIpvs()
  await ipvs.addService(tcp)
  await ipvs.addDestination(tcp, { address: '127.0.0.1' })
  const told = listen(t)
  const commandsOf = async (work: () => Promise<unknown>): Promise<string[]> => {
    await work()
    return told.splice(0).map(({ command, outcome }) => `${command} ${outcome}`)
  }
  t.same(await commandsOf(() => countOf(ipvs.stream())), ['GET_SERVICE ok', 'GET_DEST ok'])
  t.same(await commandsOf(() => countOf(ipvs.connections())), ['proc ok'])
  t.same(await commandsOf(() => ipvs.columns()), ['GET_SERVICE ok'])
  t.same(await commandsOf(() => ipvs.listDestinations(tcp)), ['GET_DEST ok'])
  t.same(await commandsOf(() => ipvs.timeouts()), ['GET_CONFIG ok'])
  t.same(await commandsOf(() => ipvs.syncDaemons()), ['GET_DAEMON ok'])
  t.same(await commandsOf(() => ipvs.totals()), ['GET_INFO ok', 'proc ok'])
})

t.test("the addon's requests are told, whatever this machine makes of them", async (t) => {
  const ipvs = await openIpvs()
  t.teardown(() => ipvs.close())
  const told = listen(t)
  const failureOf = async (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => undefined,
      (error: unknown) => error,
    )
  const calls = [
    [() => ipvs.listServices(), 'GET_SERVICE'],
    [() => ipvs.info(), 'GET_INFO'],
    [() => ipvs.deleteDestination(tcp, { address: '127.0.0.1' }), 'DEL_DEST'],
  ] as const
  for (const [call, command] of calls) {
    const before = performance.now()
    const error = await failureOf(call())
    const [{ start, duration, bytes, ...what } = {} as never, ...others] = told.splice(0)
    t.same(others, [])
    const isRefusal = IpvsError.is(error) && error.code.includes('_NO_')
    const refused = isRefusal ? 'refused' : 'failed'
    const outcome = error === undefined ? 'ok' : refused
    t.same(what, { command, count: 1, outcome, failures: error === undefined ? 0 : 1 })
    t.ok(bytes >= 0 && start >= before && start + duration <= performance.now())
  }
})

t.test('while nobody listens, a request is the call of the addon and nothing else', async (t) => {
  const reply = { failure: undefined, records: new ArrayBuffer(8) }
  const promise = Promise.resolve(reply)
  const native = { readInfo: t.captureFn(() => promise) }
  const connection = traced(native as unknown as Parameters<typeof traced>[0])
  const now = performance.now.bind(performance)
  const looks = t.capture(performance, 'now', now)
  t.equal(connection.readInfo(), promise)
  t.equal(looks().length, 0)
  const told = listen(t)
  t.not(connection.readInfo(), promise)
  await promise
  t.ok(looks().length > 0)
  await new Promise(setImmediate)
  t.match(told, [{ command: 'GET_INFO', bytes: 8, outcome: 'ok' }])
})
