// What is told of requests, on the channel `ipvs-netlink:request`.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'

import t from 'tap'
import type { Test } from 'tap'

import type { RequestTrace } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'

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
    { command: 'FLUSH', count: 1, outcome: 'failed', failures: 1 },
    { command: 'GET_SERVICE', count: 1, outcome: 'refused', failures: 1 },
    { command: 'GET_INFO', count: 1, outcome: 'ok', failures: 0 },
  ])
  for (const { bytes, start, duration } of told) {
    t.ok(bytes > 0)
    t.ok(duration >= 0 && start + duration <= performance.now())
  }
  t.ok((told[2]?.bytes ?? 0) > 300, 'a service and a destination were read')
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
