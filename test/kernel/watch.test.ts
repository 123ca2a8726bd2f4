// What another program does to the table, and what the kernel counts, as a watching program sees it.

import t from 'tap'

import type { TableChange } from 'ipvs-netlink'

import { start, watch as scenarios } from '../scenarios/watch.js'
import { datagrams, makeBed } from './bed.js'

scenarios(makeBed)

t.test('what the kernel counts is seen, and so is that it counts anew', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  const dns = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const
  const one = { address: '127.0.0.1', forwarding: 'nat' } as const
  await inside('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'lo')
  await ipvs.addService(dns)
  await ipvs.addDestination(dns, one)
  const say = async (times: number): Promise<string> =>
    inside('perl', '-e', datagrams, dns.address, String(dns.port), String(times))

  const controller = new AbortController()
  const { signal } = controller
  const next = start(ipvs, { interval: 100, signal })
  const first = await next()
  t.same(first.stats, [])
  /** The next look at which the destination's counters moved. */
  const moved = async (): Promise<TableChange['stats'][number]> => {
    const deadline = Date.now() + 15_000
    while (Date.now() < deadline) {
      const { stats } = await next()
      const found = stats.find(({ destination }) => destination !== undefined)
      if (found) return found
    }
    throw new Error('nothing was counted')
  }
  /** What was counted until a number of connections was reached. */
  const count = async (connections: number): Promise<[counted: number, reset: boolean]> => {
    let [counted, reset] = [0, false]
    while (counted < connections) {
      const each = await moved()
      counted += each.delta.connections
      reset ||= each.reset
      t.ok(Object.values(each.delta).every((total) => total >= 0))
    }
    return [counted, reset]
  }
  await say(5)
  t.same(await count(5), [5, false])

  await inside('ipvsadm', '-Z')
  t.match(await moved(), { reset: true, delta: { connections: 0, bytesIn: 0 } })
  await say(3)
  t.same(await count(3), [3, false])

  t.comment('deleted and added again between two looks')
  await ipvs.batch([
    { op: 'deleteService', service: dns },
    { op: 'addService', service: dns },
    { op: 'addDestination', service: dns, destination: one },
  ])
  t.match(await moved(), { reset: true })

  const waiting = t.rejects(next(), { name: 'AbortError' })
  controller.abort()
  await waiting
})
