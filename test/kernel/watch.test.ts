// What another program does to the table, and what the kernel counts, as a watching program sees it.

import t from 'tap'

import type { Ipvs, TableChange, WatchOptions } from 'ipvs-netlink'

import { datagrams, makeBed, tcp } from './bed.js'

const start = (ipvs: Ipvs, options: WatchOptions): (() => Promise<TableChange>) => {
  const iterator = ipvs.watch(options)[Symbol.asyncIterator]()
  return async () => {
    const result = await iterator.next()
    if (result.done === true) throw new Error('it ended')
    return result.value
  }
}

t.test('what ipvsadm does is seen', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  const admin = async (line: string): Promise<string> => inside('ipvsadm', ...line.split(' '))
  await admin('-A -t 10.0.0.1:80 -s rr')
  await admin('-a -t 10.0.0.1:80 -r 127.0.0.1 -m')
  const next = start(ipvs, { interval: 20, stats: false })
  t.match(await next(), {
    elapsed: 0,
    added: [
      { service: { ...tcp, scheduler: 'rr' } },
      { service: tcp, destination: { address: '127.0.0.1' } },
    ],
  })
  const seen = next()
  await admin('-A -f 9 -6 -s wrr')
  t.match(await seen, {
    added: [{ service: { fwmark: 9, family: 'ipv6' } }],
    removed: [],
    changed: [],
  })
  await admin('-e -t 10.0.0.1:80 -r 127.0.0.1 -m -w 5')
  t.match(await next(), {
    changed: [
      { destination: { weight: 5 }, before: { weight: 1 }, properties: ['weight'], service: tcp },
    ],
  })
  await admin('-E -t 10.0.0.1:80 -s sh -b sh-port -p 30')
  t.match(await next(), {
    changed: [
      {
        properties: ['scheduler', 'schedulerFlags', 'persistence'],
        service: { persistence: { timeout: 30 } },
      },
    ],
  })
  await admin('-C')
  const { removed } = await next()
  // Since 7.2 the kernel keeps fwmark and address services in one table, in no certain order.
  const fwmarks = removed.filter(({ service }) => 'fwmark' in service)
  t.match(fwmarks, [{ service: { fwmark: 9 } }])
  const others = removed.filter((each) => !fwmarks.includes(each))
  t.match(others, [{ service: tcp }, { service: tcp, destination: { weight: 5 } }])
  t.equal(removed.length, 3)
})

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
