// Synchronisation between two directors with every option set: as we read the daemons, as the kernel
// shows their sockets and groups, and by the connections that arrive.

import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'
import type { Test } from 'tap'
import type { SyncDaemonConfig } from 'ipvs-netlink'

import { datagrams, makeBed } from './bed.js'
import type { Bed } from './bed.js'

const addresses = [
  ['192.0.2.1/24', '2001:db8::1/64'],
  ['192.0.2.2/24', '2001:db8::2/64'],
] as const

/** Two namespaces that are each other's neighbours on eth0. */
const makeDirectors = async (t: Test): Promise<readonly [Bed, Bed]> => {
  const beds = [await makeBed(t), await makeBed(t)] as const
  const [one, other] = beds
  const peer = ['peer', 'name', 'eth0', 'netns', basename(other.netns)]
  await one.inside('ip', 'link', 'add', 'eth0', 'type', 'veth', ...peer)
  for (const [index, { inside }] of beds.entries()) {
    for (const address of addresses[index] ?? []) {
      const nodad = address.includes(':') ? ['nodad'] : []
      await inside('ip', 'address', 'add', address, 'dev', 'eth0', ...nodad)
    }
    await inside('ip', 'link', 'set', 'eth0', 'up')
  }
  for (const { inside } of beds) {
    // A kernel's thread notes the carrier some time later, and IPv6 has a route to groups then.
    const routes = async (): Promise<string> =>
      inside('ip', '-6', 'route', 'show', 'table', 'all', 'dev', 'eth0')
    for (let tries = 0; tries < 100 && !(await routes()).includes('ff00::/8'); ++tries) {
      await sleep(100)
    }
  }
  return beds
}

/** A port and an address, as /proc/net/udp and udp6 write them. */
const hexEnd = (group: string, port: number): string =>
  `${group}:${port.toString(16).toUpperCase().padStart(4, '0')}`

const cases = [
  {
    name: 'IPv6',
    group: 'ff05::4:81',
    sockets: '/proc/net/udp6',
    // Four words, each in host order.
    socket: hexEnd('000005FF000000000000000081000400', 9999),
    most: 65_487,
  },
  {
    name: 'IPv4',
    group: '239.1.2.3',
    sockets: '/proc/net/udp',
    socket: hexEnd('030201EF', 9999),
    most: 65_507,
  },
] as const

const common = { interface: 'eth0', syncId: 201, port: 9999, ttl: 7 } as const

/** Local and remote end of the sockets in a file of /proc/net. */
const socketsOf = async ({ inside }: Bed, file: string): Promise<string[][]> =>
  (await inside('cat', file))
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/).slice(1, 3))

for (const { name, group, sockets, socket, most } of cases) {
  t.test(`daemons with every option, of an ${name} group`, async (t) => {
    const [master, backup] = await makeDirectors(t)
    const sends: SyncDaemonConfig = { ...common, role: 'master', group, maxLength: 1200 }
    const receives: SyncDaemonConfig = { ...common, role: 'backup', group, maxLength: most }
    await master.ipvs.startSyncDaemon(sends)
    await backup.ipvs.startSyncDaemon(receives)

    t.same(await master.ipvs.syncDaemons(), [sends], 'as we read the master')
    t.same(await backup.ipvs.syncDaemons(), [receives], 'as we read the backup')
    for (const [{ inside }, role, length] of [
      [master, 'master', 1200],
      [backup, 'backup', most],
    ] as const) {
      const rest = `(mcast=eth0, syncid=201, maxlen=${length}, group=${group}, port=9999, ttl=7)`
      t.equal((await inside('ipvsadm', '-L', '--daemon')).trim(), `${role} sync daemon ${rest}`)
    }

    const [sending] = (await socketsOf(master, sockets)).filter(([, to]) => to === socket)
    t.ok(sending, "the master's socket")
    const [receiving] = (await socketsOf(backup, sockets)).filter(([at]) => at === socket)
    t.ok(receiving, "the backup's socket")
    t.match(await backup.inside('ip', 'maddr', 'show', 'dev', 'eth0'), ` ${group}\n`, 'its group')

    await synchronises(t, master, backup)
    await master.ipvs.stopSyncDaemon('master')
    await backup.ipvs.stopSyncDaemon('backup')
    t.same(
      (await socketsOf(master, sockets)).filter(([, to]) => to === socket),
      [],
    )
    t.same(
      (await socketsOf(backup, sockets)).filter(([at]) => at === socket),
      [],
    )
  })
}

/** A client's packets make a connection of the master, and the backup has it soon. */
const synchronises = async (t: Test, master: Bed, backup: Bed): Promise<void> => {
  const service = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const
  await master.inside('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'lo')
  await master.host.setIpvsSettings({ syncThreshold: [1, 0] })
  await master.ipvs.addService({ ...service, scheduler: 'rr' })
  await master.ipvs.addDestination(service, { address: '192.0.2.2', forwarding: 'dr' })
  const arrived = async (): Promise<string | undefined> => {
    for await (const { destination } of backup.ipvs.connections()) return destination.address
    return undefined
  }
  t.equal(await arrived(), undefined)
  for (let tries = 0; tries < 40 && (await arrived()) === undefined; ++tries) {
    await master.inside('perl', '-e', datagrams, '10.0.0.1', '53', '3')
    await sleep(250)
  }
  t.equal(await arrived(), '192.0.2.2', 'a connection of the master')
}
