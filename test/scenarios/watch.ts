import t from 'tap'

import type { Ipvs, TableChange, WatchOptions } from 'ipvs-netlink'

import { tcp } from './scene.js'
import type { MakeScene } from './scene.js'

/** Begins to watch, and answers what gives the next change. */
export const start = (ipvs: Ipvs, options: WatchOptions): (() => Promise<TableChange>) => {
  const iterator = ipvs.watch(options)[Symbol.asyncIterator]()
  return async () => {
    const result = await iterator.next()
    if (result.done === true) throw new Error('it ended')
    return result.value
  }
}

export const watch = (makeScene: MakeScene): void => {
  t.test('what another program does is seen', async (t) => {
    const { ipvs, admin } = await makeScene(t)
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
}
