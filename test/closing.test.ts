// What waits between two looks ends when its handle is closed, and keeps no process alive.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'

import { createFakeIpvs } from 'ipvs-netlink/testing'
import type { FakeIpvs } from 'ipvs-netlink/testing'

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const one = { address: '192.168.0.1' } as const

const timers = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

const makeBusy = async (): Promise<FakeIpvs> => {
  const ipvs = createFakeIpvs()
  await ipvs.addService(web)
  await ipvs.addDestination(web, { ...one, weight: 5 })
  ipvs.setCounters(web, one, { activeConnections: 1 })
  return ipvs
}

const drains = {
  'a destination': async (ipvs: FakeIpvs, signal?: AbortSignal) =>
    ipvs.drainDestination(web, one, { interval: 60_000, signal }),
  'a service': async (ipvs: FakeIpvs, signal?: AbortSignal) =>
    ipvs.drainService(web, { interval: 60_000, signal }),
}

for (const [what, drain] of Object.entries(drains)) {
  t.test(`a drain of ${what} ends at once, and what it drained stays at weight 0`, async (t) => {
    const ipvs = await makeBusy()
    const before = timers()
    const refused = t.rejects(drain(ipvs), {
      name: 'IpvsError',
      code: 'ERR_IPVS_CLOSED',
      message:
        /^The drain of .*tcp 10\.0\.0\.1:80 ended because the handle was closed; what .* stays so, and listDrains\(\) finds it$/,
    })
    // Until it waits.
    while ((await ipvs.listDrains()).length === 0) await sleep(1)
    await sleep(20)
    await ipvs.close()
    await refused
    t.equal(timers(), before, 'no timer is left')
    t.match(await ipvs.openAnother().listDrains(), [{ service: web, destination: one }])
  })

  t.test(`a drain of ${what} that is aborted and then closed is an aborted one`, async (t) => {
    const ipvs = await makeBusy()
    const controller = new AbortController()
    const refused = t.rejects(drain(ipvs, controller.signal), { name: 'AbortError' })
    await sleep(20)
    controller.abort()
    await ipvs.close()
    await refused
  })
}

t.test('a drain that has changed nothing yet does not say so', async (t) => {
  const ipvs = await makeBusy()
  const refused = t.rejects(ipvs.drainDestination(web, one), {
    code: 'ERR_IPVS_CLOSED',
    message: /^Cannot drain 192\.168\.0\.1:80 of tcp [\d.:]+: the handle was closed$/,
  })
  await ipvs.close()
  await refused
  t.match(await ipvs.openAnother().listDestinations(web), [{ weight: 5 }])
})

t.test('what is as declared already can be applied in the tick of closing', async (t) => {
  const ipvs = await makeBusy()
  const destinations = await ipvs.listDestinations(web)
  const desired = [
    { ...web, destinations: destinations.map(({ address, weight }) => ({ address, weight })) },
  ]
  const applied = ipvs.apply(desired)
  await ipvs.close()
  t.same(await applied, { changes: [], failed: [] })
})

t.test('a watch ends', async (t) => {
  const ipvs = await makeBusy()
  const before = timers()
  const iterator = ipvs.watch({ interval: 100_000 })[Symbol.asyncIterator]()
  t.match(await iterator.next(), { done: false })
  const refused = t.rejects(iterator.next(), { name: 'IpvsError', code: 'ERR_IPVS_CLOSED' })
  await sleep(20)
  await ipvs.close()
  await refused
  t.equal(timers(), before, 'no timer is left')
  t.same(await iterator.next(), { done: true, value: undefined })
})

t.test('many can wait on one handle', async (t) => {
  const ipvs = await makeBusy()
  const warned = once(process, 'warning', { signal: AbortSignal.timeout(100) })
  const waiting = Array.from({ length: 50 }, async () => {
    for await (const change of ipvs.watch({ interval: 100_000 })) t.ok(change)
  })
  const outcomes = Promise.allSettled(waiting)
  await t.rejects(warned, { name: 'AbortError' }, 'nothing is said of a leak')
  await ipvs.close()
  t.ok((await outcomes).every(({ status }) => status === 'rejected'))
})
