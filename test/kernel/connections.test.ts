// The connection table of another namespace: both families, templates of persistent and of marked
// services, and what a persistence engine keeps, against `ipvsadm -Lnc`.

import t from 'tap'
import type { Test } from 'tap'
import type { ConnectionEntry, ConnectionFilter, Ipvs } from 'ipvs-netlink'

import { loadAddon } from '#lib/native'
import type { RecordsReply } from '../../types/addon.js'

import { datagrams, makeBed, udp6 } from './bed.js'
import type { Bed } from './bed.js'

const udp = { protocol: 'udp', address: '10.0.0.1', port: 5060 } as const
const marked = { fwmark: 4_000_000_000, family: 'ipv6' } as const
const callId = 'a84b4c76e66710@client.example'

const invite = [
  'INVITE sip:user@10.0.0.1 SIP/2.0',
  'Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1',
  `Call-ID: ${callId}`,
  'CSeq: 1 INVITE',
  'Content-Length: 0',
  '\r\n',
].join('\r\n')

/** One UDP packet, from a marked socket if the mark is not 0; 36 is SO_MARK. */
const sender = `use Socket qw(:all);
my ($address, $port, $mark, $text) = @ARGV;
my $six = $address =~ /:/;
socket(my $socket, $six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0) or die $!;
setsockopt($socket, SOL_SOCKET, 36, pack('L', $mark)) or die $!;
my $to = $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $address))
              : pack_sockaddr_in($port, inet_aton($address));
send($socket, $text, 0, $to) or die $!;`

const send = async (bed: Bed, address: string, port: number, text: string, mark = 0) =>
  bed.inside('perl', '-e', sender, address, String(port), String(mark), text)

const collect = async (ipvs: Ipvs, filter?: ConnectionFilter): Promise<ConnectionEntry[]> => {
  const all: ConnectionEntry[] = []
  for await (const entry of ipvs.connections(filter)) all.push(entry)
  return all
}

/** The entries as ipvsadm shows them, without the time, which runs. */
const shown = async ({ inside }: Bed): Promise<string[]> => {
  const text = await inside('ipvsadm', '-Lnc', '--persistent-conn')
  const rows = text.split('\n').filter((line) => /^(?:TCP|UDP|IP) /.test(line))
  return rows.map((line) => line.trim().split(/\s+/).toSpliced(1, 1).join(' ')).sort()
}

const end = ({ address, port }: { address: string; port: number }): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

const row = ({ protocol, state, client, virtual, destination, persistence }: ConnectionEntry) =>
  [
    protocol.toUpperCase(),
    state,
    ...[client, virtual, destination].map(end),
    ...(persistence ? [persistence.engine, persistence.data] : []),
  ].join(' ')

const makeLoop = async (t: Test): Promise<Bed> => {
  const bed = await makeBed(t)
  await bed.inside('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'lo')
  await bed.inside('ip', 'address', 'add', '2001:db8::1/128', 'dev', 'lo', 'nodad')
  return bed
}

t.test('connections and templates of every kind, as ipvsadm shows them', async (t) => {
  const bed = await makeLoop(t)
  const { ipvs } = bed
  await ipvs.addService({ ...udp, scheduler: 'rr', persistence: { timeout: 60, engine: 'sip' } })
  await ipvs.addDestination(udp, { address: '127.0.0.1', forwarding: 'nat' })
  await ipvs.addService({ ...udp6, scheduler: 'rr', persistence: { prefixLength: 64 } })
  await ipvs.addDestination(udp6, { address: '::1', port: 5353, forwarding: 'nat' })
  await ipvs.addService({ ...marked, scheduler: 'rr', persistence: { timeout: 90 } })
  await ipvs.addDestination(marked, { address: '::1', port: 0, forwarding: 'nat' })
  t.same(await collect(ipvs), [])

  await send(bed, '10.0.0.1', 5060, invite)
  await send(bed, '2001:db8::1', 53, 'query')
  await send(bed, '2001:db8::1', 5400, 'marked', marked.fwmark)
  const entries = await collect(ipvs)
  t.same(entries.map(row).sort(), await shown(bed))
  t.equal(entries.length, 6)
  t.equal(entries.filter(({ template }) => template).length, 3)

  const sip = entries.filter(({ persistence }) => persistence)
  t.match(sip, [{ persistence: { engine: 'sip', data: callId } }])
  const six = await collect(ipvs, { service: udp6 })
  t.match(
    six.find(({ template }) => !template),
    { protocol: 'udp', virtual: { address: '2001:db8::1', port: 53 }, destination: { port: 5353 } },
  )
  t.match(
    six.find(({ template }) => template),
    { client: { address: '2001:db8::', port: 0 }, destination: { address: '::1', port: 5353 } },
  )
  const mark = entries.find(({ protocol }) => protocol === 'ip')
  t.match(mark, { template: true, virtual: { address: 'ee6b:2800::' } })

  t.equal((await collect(ipvs, { destination: { address: '127.0.0.1' } })).length, 2)
  t.equal((await collect(ipvs, { destination: { address: '::1', port: 5353 } })).length, 2)
  t.equal((await collect(ipvs, { state: ['NONE', 'ASSURED'] })).length, 3)
})

/** The sizes of the pieces in which the table was read. */
const pieces: number[] = []

type Native = InstanceType<ReturnType<typeof loadAddon>['Connection']>

const addon = loadAddon() as { Connection: new (...options: never[]) => Native }

addon.Connection = class extends addon.Connection {
  override async readTable(table: Parameters<Native['readTable']>[0]): Promise<RecordsReply> {
    const reply = await super.readTable(table)
    pieces.push(reply.records.byteLength)
    return reply
  }
}

t.test('a long table is read piece by piece, and no further than is asked for', async (t) => {
  const bed = await makeLoop(t)
  const { ipvs, inside } = bed
  const count = 3000
  await ipvs.addService({ ...udp, scheduler: 'rr' })
  await ipvs.addDestination(udp, { address: '127.0.0.1', forwarding: 'nat' })
  await inside('perl', '-e', datagrams, '10.0.0.1', '5060', String(count))
  const seen = (await shown(bed)).length
  t.ok(seen > 0.9 * count, `${seen} connections, as some ports came twice`)

  pieces.length = 0
  const all = await collect(ipvs)
  t.same(all.map(row).sort(), await shown(bed))
  const total = pieces.reduce((sum, size) => sum + size, 0)
  t.ok(total > 65 * seen, `${total} bytes in ${pieces.length} pieces`)
  t.ok(Math.max(...pieces) <= 65536, 'no piece is longer than 64 KiB')

  pieces.length = 0
  for await (const entry of ipvs.connections()) {
    t.equal(entry.protocol, 'udp')
    break
  }
  t.equal(pieces.length, 1, 'whoever stops early has read one piece')

  pieces.length = 0
  t.same(await collect(ipvs, { state: 'ESTABLISHED' }), [])
  t.ok(pieces.length > 2, 'and a filter is no reason to keep anything')
})
