// What belongs to a namespace as a whole: timeouts, counters, synchronisation daemons, connections.

import { readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import t from 'tap'
import type { Test } from 'tap'
import { ipvs as ownTable } from 'ipvs-netlink'
import type { ConnectionEntry, Ipvs } from 'ipvs-netlink'

import { settledSnapshot } from '../../test/clusters/counters.mjs'
import { makeBed, refusal, run, tcp } from './bed.js'

t.test('timeouts are set one by one', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  const shown = async (): Promise<string> => inside('ipvsadm', '-L', '--timeout')
  t.same(await ipvs.timeouts(), { tcp: 900, tcpFin: 120, udp: 300 })
  await ipvs.setTimeouts({ tcpFin: 60 })
  t.same(await ipvs.timeouts(), { tcp: 900, tcpFin: 60, udp: 300 })
  await ipvs.setTimeouts({ tcp: 8_589_934, udp: 1 })
  t.match(await shown(), '8589934 60 1')
  await inside('ipvsadm', '--set', '1000', '2000', '3000')
  t.same(await ipvs.timeouts(), { tcp: 1000, tcpFin: 2000, udp: 3000 })
  // More than the kernel's counter of 250 ticks a second can hold.
  await t.rejects(
    ipvs.setTimeouts({ tcp: 1, udp: 8_589_935 }),
    refusal('ERR_IPVS_REFUSED', { errno: -22 }),
  )
  t.match(await shown(), '1000 2000 3000', 'nothing of it was stored')
})

t.test('timeouts that are overridden are put back, but for what another program set', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  const before = await ipvs.timeouts()
  {
    await using held = await ipvs.overrideTimeouts({ tcp: 7200, udp: 5 })
    t.same(held.before, before)
    t.same(await ipvs.timeouts(), { ...before, tcp: 7200, udp: 5 })
  }
  t.same(await ipvs.timeouts(), before)
  const held = await ipvs.overrideTimeouts({ tcp: 7200, udp: 5 })
  await inside('ipvsadm', '--set', '0', '0', '6')
  t.same(await held.undo(), { left: ['udp'] })
  t.same(await ipvs.timeouts(), { ...before, udp: 6 })
  await ipvs.setTimeouts({ tcp: 7200 })
  t.same(await held.undo(), { left: [] })
  t.match(await ipvs.timeouts(), { tcp: 7200 }, 'once')
  await t.rejects(ipvs.overrideTimeouts({ tcp: 0 }), { code: 'ERR_OUT_OF_RANGE' })
})

t.test('synchronisation daemons, both roles at once', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  await inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'eth0')
  await inside('ip', 'link', 'set', 'eth0', 'up')
  t.same(await ipvs.syncDaemons(), [])
  await ipvs.startSyncDaemon({ role: 'master', interface: 'eth0', syncId: 7 })
  await ipvs.startSyncDaemon({
    role: 'backup',
    interface: 'eth0',
    syncId: 255,
    maxLength: 1400,
    group: '224.0.0.99',
    port: 9000,
    ttl: 3,
  })
  const shown = await inside('ipvsadm', '-L', '--daemon')
  t.match(
    shown,
    /master sync daemon \(mcast=eth0, syncid=7, maxlen=1472, group=224\.0\.0\.81, port=8848, ttl=1\)/,
  )
  t.match(
    shown,
    /backup sync daemon \(mcast=eth0, syncid=255, maxlen=1400, group=224\.0\.0\.99, port=9000, ttl=3\)/,
  )
  t.same(
    (await ipvs.syncDaemons()).sort((one, other) => (one.role < other.role ? 1 : -1)),
    [
      {
        role: 'master',
        interface: 'eth0',
        syncId: 7,
        maxLength: 1472,
        group: '224.0.0.81',
        port: 8848,
        ttl: 1,
      },
      {
        role: 'backup',
        interface: 'eth0',
        syncId: 255,
        maxLength: 1400,
        group: '224.0.0.99',
        port: 9000,
        ttl: 3,
      },
    ],
  )
  await t.rejects(
    ipvs.startSyncDaemon({ role: 'master', interface: 'eth0' }),
    refusal('ERR_IPVS_DAEMON_RUNNING', { errno: -17 }),
  )
  await ipvs.stopSyncDaemon('master')
  await ipvs.stopSyncDaemon('backup')
  t.same(await ipvs.syncDaemons(), [])
  await t.rejects(ipvs.stopSyncDaemon('backup'), refusal('ERR_IPVS_NO_DAEMON', { errno: -3 }))
  await t.rejects(
    ipvs.startSyncDaemon({ role: 'backup', interface: 'nosuch' }),
    refusal('ERR_IPVS_REFUSED', { errno: -19, message: /no such network device/ }),
  )
})

t.test('an IPv6 group, and destinations of another family', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  await inside('ip', 'link', 'set', 'eth0', 'up')
  await inside('ip', 'address', 'add', '2001:db8::9/64', 'dev', 'eth0', 'nodad')
  const daemon = { role: 'backup', interface: 'eth0', group: 'ff02::81' } as const
  await ipvs.startSyncDaemon(daemon)
  t.match(await ipvs.syncDaemons(), [daemon])
  await ipvs.addService(tcp)
  const mixed = { address: '::1', forwarding: 'tun' } as const
  await t.rejects(
    ipvs.addDestination(tcp, mixed),
    refusal('ERR_IPVS_REFUSED', { message: /synchronisation daemon/ }),
  )
  await ipvs.stopSyncDaemon('backup')
  await ipvs.addDestination(tcp, mixed)
  await t.rejects(
    ipvs.startSyncDaemon(daemon),
    refusal('ERR_IPVS_REFUSED', { message: /another family/ }),
  )
})

t.test('a stop that the kernel never answers settles all the same', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  await inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'eth0')
  await inside('ip', 'link', 'set', 'eth0', 'up')
  const daemon = { role: 'master', interface: 'eth0' } as const
  for (let i = 0; i < 30; ++i) {
    const outcomes = await ipvs.batch([
      { op: 'startSyncDaemon', daemon },
      { op: 'stopSyncDaemon', role: 'master' },
    ])
    t.same(outcomes, [{ ok: true }, { ok: true }])
    t.same(await ipvs.syncDaemons(), [])
  }
})

t.test('a stop and a start in one batch are told apart', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  await inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'eth0')
  await inside('ip', 'link', 'set', 'eth0', 'up')
  const daemon = { role: 'backup', interface: 'eth0' } as const
  await ipvs.startSyncDaemon({ ...daemon, syncId: 1 })
  const outcomes = await ipvs.batch([
    { op: 'stopSyncDaemon', role: 'backup' },
    { op: 'startSyncDaemon', daemon: { ...daemon, syncId: 2 } },
  ])
  t.same(outcomes, [{ ok: true }, { ok: true }])
  t.match(await ipvs.syncDaemons(), [{ role: 'backup', syncId: 2 }])
  await ipvs.stopSyncDaemon('backup')
})

/** A service on lo whose one destination is a server of ours; both in the process's namespace. */
const serve = async (t: Test, ipvs: Ipvs): Promise<{ request: () => Promise<string> }> => {
  const server = createServer((_, response) => response.end('page'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await run('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'lo')
  t.teardown(async () => {
    server.close()
    await ipvs.clear()
    await run('ip', 'address', 'delete', '10.0.0.1/32', 'dev', 'lo')
  })
  await ipvs.addService({ ...tcp, scheduler: 'rr' })
  await ipvs.addDestination(tcp, { address: '127.0.0.1', port, forwarding: 'nat' })
  const request = async (): Promise<string> =>
    (await fetch('http://10.0.0.1/', { headers: { connection: 'close' } })).text()
  return { request }
}

const collect = async (entries: AsyncIterable<ConnectionEntry>): Promise<ConnectionEntry[]> => {
  const all: ConnectionEntry[] = []
  for await (const entry of entries) all.push(entry)
  return all
}

t.test('connections and counters of real traffic', async (t) => {
  const { request } = await serve(t, ownTable)
  t.same(await collect(ownTable.connections()), [])
  for (let i = 0; i < 5; ++i) t.equal(await request(), 'page')

  const entries = await collect(ownTable.connections())
  t.equal(entries.length, 5)
  for (const entry of entries) {
    t.match(entry, {
      protocol: 'tcp',
      client: { address: '10.0.0.1' },
      virtual: { address: '10.0.0.1', port: 80 },
      destination: { address: '127.0.0.1' },
      template: false,
    })
    t.ok(entry.expires <= 900)
    t.match(entry.state, /^[A-Z_]+$/)
  }
  const [first] = entries
  const count = async (filter: Parameters<Ipvs['connections']>[0]): Promise<number> =>
    (await collect(ownTable.connections(filter))).length
  t.equal(await count({ service: tcp }), 5)
  t.equal(await count({ service: { ...tcp, port: 81 } }), 0)
  t.equal(await count({ destination: { address: '127.0.0.1' } }), 5)
  t.equal(await count({ destination: { address: '127.0.0.1', port: 1 } }), 0)
  t.equal((await count({ state: ['LISTEN', first?.state ?? ''] })) > 0, true)
  const descriptors = async (): Promise<number> => (await readdir('/proc/self/fd')).length
  const before = await descriptors()
  for (let i = 0; i < 20; ++i) {
    for await (const entry of ownTable.connections()) {
      t.equal(entry.virtual.port, 80)
      break
    }
  }
  t.ok((await descriptors()) <= before, 'ending the loop closes the file')

  await settledSnapshot(ownTable, 5, 30_000)
  const { stats } = await ownTable.getService(tcp)
  t.equal(stats.connections, 5)
  t.ok(stats.packetsIn > 10)
  const totals = await ownTable.totals({ bigint: true })
  t.ok(totals.connections >= 5n)
  const shown = await run('ipvsadm', '-Ln', '--stats', '--exact')
  t.match(shown, new RegExp(`10\\.0\\.0\\.1:80 +5 +${stats.packetsIn} +${stats.packetsOut} `))

  await ownTable.zero(tcp)
  t.match((await ownTable.getService(tcp)).stats, { connections: 0, packetsIn: 0 })
  t.ok((await ownTable.totals()).connections >= 5, 'zeroing one service leaves the totals alone')
  await ownTable.zero()
  t.equal((await ownTable.totals()).connections, 0)
  await t.rejects(ownTable.zero({ ...tcp, port: 9 }), refusal('ERR_IPVS_NO_SERVICE'))
})

t.test('a template of a persistent service', async (t) => {
  const { request } = await serve(t, ownTable)
  await ownTable.patchService(tcp, { persistence: { timeout: 100 } })
  t.equal(await request(), 'page')
  const entries = await collect(ownTable.connections({ service: tcp }))
  t.match(
    entries.find(({ template }) => template),
    { client: { address: '10.0.0.1', port: 0 }, virtual: { port: 80 } },
  )
  t.match(await ownTable.listDestinations(tcp), [{ persistentConnections: 1 }])
})
