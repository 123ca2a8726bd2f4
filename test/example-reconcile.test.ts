// The rounds of examples/controller on the fake: what goes is drained after what comes was added.

import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'

import t from 'tap'

import { createFakeIpvs } from 'ipvs-netlink/testing'
import type { FakeIpvs } from 'ipvs-netlink/testing'
import type { VirtualServer } from 'ipvs-netlink'

interface Drains {
  readonly giveUpBut: (wanted: ReadonlyMap<string, unknown>) => Promise<void>
}

interface Example {
  readonly reconcile: (round: Readonly<Record<string, unknown>>) => Promise<void>
  readonly Drains: new (options: Readonly<Record<string, unknown>>) => Drains
}

const load = async (name: string): Promise<Partial<Example>> => {
  const { href } = new URL(`../examples/controller/${name}.js`, import.meta.url)
  return (await import(href)) as Partial<Example>
}
const { reconcile, Drains } = { ...(await load('reconcile')), ...(await load('drains')) } as Example

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const other = { ...web, port: 81 } as const
const a = { address: '192.168.0.1' } as const
const b = { address: '192.168.0.2' } as const

interface Controller {
  /** Makes a round with what the file says, without those that do not answer. */
  readonly round: (servers: readonly VirtualServer[], ...dead: string[]) => Promise<void>
  readonly logged: string[]
  readonly stop: () => Promise<void>
}

const control = (ipvs: FakeIpvs, exclusive = false): Controller => {
  const logged: string[] = []
  const log = (text: string): unknown => logged.push(text)
  const drains = new Drains({ ipvs, log, ended: () => undefined })
  return {
    logged,
    stop: async () => drains.giveUpBut(new Map()),
    round: async (servers, ...dead) => {
      const checks = {
        round: async () => undefined,
        isHealthy: (url: string) => dead.every((address) => !url.includes(address)),
      }
      const settings = {
        ...{ check: {}, drain: { timeout: 10_000 }, exclusive },
        virtualServers: servers.map((server) => ({ server, health: {} })),
      }
      await reconcile({ ipvs, settings, checks, drains, log })
    },
  }
}

const weights = async (ipvs: FakeIpvs, key: typeof web | typeof other = web) => {
  const found = await ipvs.listDestinations(key)
  return Object.fromEntries(found.map(({ address, weight }) => [address, weight]))
}

/** Waits for the weights that a drain, for which nobody waits, is to set. */
const settled = async (ipvs: FakeIpvs, expected: Readonly<Record<string, number>>) => {
  for (let tries = 0; tries < 1000; ++tries) {
    if (isDeepStrictEqual(await weights(ipvs), expected)) return
    await sleep(10)
  }
}

const busy = { activeConnections: 1 }

t.test('what goes is drained when what comes is there', async (t) => {
  const ipvs = createFakeIpvs()
  const { round, stop } = control(ipvs)
  await round([{ ...web, destinations: [a] }])
  ipvs.setCounters(web, a, busy)
  const order: unknown[] = []
  const patch = ipvs.patchDestination.bind(ipvs)
  ipvs.patchDestination = async (...given) => {
    order.push(await weights(ipvs))
    return patch(...given)
  }
  await round([{ ...web, destinations: [b] }])
  await settled(ipvs, { [a.address]: 0, [b.address]: 1 })
  t.same(order, [{ [a.address]: 1, [b.address]: 1 }], 'b was there before a got weight 0')
  t.same(await weights(ipvs), { [a.address]: 0, [b.address]: 1 })

  t.comment('it is wanted again')
  await round([{ ...web, destinations: [a, b] }])
  t.same(await weights(ipvs), { [a.address]: 1, [b.address]: 1 })
  await stop()
})

t.test('what cannot be replaced goes on serving', async (t) => {
  const ipvs = createFakeIpvs()
  const { round, logged, stop } = control(ipvs)
  await round([
    { ...web, destinations: [a] },
    { ...other, destinations: [a] },
  ])
  ipvs.setCounters(web, a, busy)
  ipvs.failNext('addDestination', 'ERR_IPVS_TIMEOUT')
  const next = [
    { ...web, destinations: [b] },
    { ...other, destinations: [] },
  ]
  await round(next)
  await sleep(10)
  t.same(await weights(ipvs), { [a.address]: 1 })
  t.match(logged.join('\n'), /^kept tcp 10\.0\.0\.1 80 192\.168\.0\.1 80: what is to serve in its/m)
  t.same(await weights(ipvs, other), {}, 'another service does not wait')

  await round(next)
  await settled(ipvs, { [a.address]: 0, [b.address]: 1 })
  t.same(await weights(ipvs), { [a.address]: 0, [b.address]: 1 }, 'the next round makes up for it')
  await stop()
})

t.test('who does not answer goes, whatever else is refused', async (t) => {
  const ipvs = createFakeIpvs()
  const { round, stop } = control(ipvs)
  await round([{ ...web, destinations: [a] }])
  ipvs.setCounters(web, a, busy)
  ipvs.failNext('addDestination', 'ERR_IPVS_TIMEOUT')
  await round([{ ...web, destinations: [a, b] }], a.address)
  await settled(ipvs, { [a.address]: 0 })
  t.same(await weights(ipvs), { [a.address]: 0 })
  await stop()
})

t.test('a service goes when those that the file names are there', async (t) => {
  const ipvs = createFakeIpvs()
  const { round, stop } = control(ipvs, true)
  await round([{ ...web, destinations: [a] }])
  ipvs.failNext('addService', 'ERR_IPVS_TIMEOUT')
  const next = [{ ...other, destinations: [b] }]
  await round(next)
  await sleep(10)
  t.same(await weights(ipvs), { [a.address]: 1 })
  await round(next)
  for (let tries = 0; tries < 1000 && (await ipvs.listServices()).length > 1; ++tries) {
    await sleep(10)
  }
  t.match(await ipvs.listServices(), [{ port: 81 }])
  t.equal((await ipvs.listServices()).length, 1)
  await stop()
})
