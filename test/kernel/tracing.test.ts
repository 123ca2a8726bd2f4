// What is told of requests that the kernel answers.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'

import t from 'tap'

import type { RequestTrace } from 'ipvs-netlink'

import { makeBed, refusal, tcp } from './bed.js'

const name = 'ipvs-netlink:request'

t.test('requests to the kernel are told, as it answered them', async (t) => {
  const { ipvs } = await makeBed(t)
  const told: RequestTrace[] = []
  const hear = (message: unknown): void => {
    told.push(message as RequestTrace)
  }
  subscribe(name, hear)
  t.teardown(() => unsubscribe(name, hear))
  const start = performance.now()
  await Promise.all([ipvs.addService(tcp), ipvs.addService({ ...tcp, port: 81 })])
  await t.rejects(ipvs.addService(tcp), refusal('ERR_IPVS_SERVICE_EXISTS'))
  await ipvs.batch([
    { op: 'addDestination', service: tcp, destination: { address: '127.0.0.1' } },
    { op: 'editDestination', service: tcp, destination: { address: '127.0.0.1', weight: 2 } },
    { op: 'deleteDestination', service: tcp, destination: { address: '127.0.0.9' } },
  ])
  await ipvs.listDestinations(tcp)
  await ipvs.snapshot()
  await t.rejects(ipvs.getService({ ...tcp, port: 9 }), refusal('ERR_IPVS_NO_SERVICE'))
  await ipvs.clear()
  const end = performance.now()

  t.match(told, [
    { command: 'NEW_SERVICE', count: 2, outcome: 'ok', failures: 0 },
    { command: 'NEW_SERVICE', count: 1, outcome: 'refused', failures: 1 },
    { command: 'mixed', count: 3, outcome: 'refused', failures: 1 },
    { command: 'GET_DEST', count: 1, outcome: 'ok', failures: 0 },
    { command: 'GET_SERVICE', count: 1, outcome: 'ok', failures: 0 },
    { command: 'GET_SERVICE', count: 1, outcome: 'refused', failures: 1 },
    { command: 'FLUSH', count: 1, outcome: 'ok', failures: 0 },
  ])
  t.equal(told.length, 7)
  const [two] = told
  const one = told.at(-1)
  t.equal(two?.bytes, 2 * (one?.bytes ?? 0), 'two records have twice the bytes of one')
  let last = start
  for (const { start: handed, duration, bytes } of told) {
    t.ok(bytes > 0)
    t.ok(handed >= last, 'one after the other')
    t.ok(duration > 0)
    last = handed + duration
  }
  t.ok(last <= end)
})
