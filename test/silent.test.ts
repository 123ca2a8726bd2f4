// What the kernel takes in silence although it is wrong, row by row: none of it reaches the kernel, and
// the refusal names the property. What is right although it looks odd passes.

import t from 'tap'

import { createFakeIpvs } from 'ipvs-netlink/testing'
import type { FakeIpvs } from 'ipvs-netlink/testing'

type Values = Readonly<Record<string, unknown>>

const tcp = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const six = { protocol: 'tcp', address: '2001:db8::1', port: 80 } as const
const server = { address: '192.168.0.1' } as const

const add = (values: Values, over: Values = tcp) => [
  async (ipvs: FakeIpvs) => ipvs.addService({ ...over, ...values } as never),
  async (ipvs: FakeIpvs) => ipvs.editService({ ...over, ...values } as never),
]
const persistent = (values: Values, over: Values = tcp) => [
  ...add({ persistence: values }, over),
  async (ipvs: FakeIpvs) => ipvs.patchService(over as never, { persistence: values }),
]
const patch = (values: Values) => async (ipvs: FakeIpvs) => ipvs.patchService(tcp, values)
const real = (values: Values) => [
  async (ipvs: FakeIpvs) => ipvs.addDestination(tcp, { ...server, ...values }),
  async (ipvs: FakeIpvs) => ipvs.editDestination(tcp, { ...server, ...values }),
]
const patchReal = (values: Values) => async (ipvs: FakeIpvs) =>
  ipvs.patchDestination(tcp, server, values)
const daemon = (values: Values) => [
  async (ipvs: FakeIpvs) =>
    ipvs.startSyncDaemon({ role: 'master', interface: 'eth0', ...values } as never),
]
const operation = (values: Values) => [async (ipvs: FakeIpvs) => ipvs.batch([values as never])]

type Call = (ipvs: FakeIpvs) => Promise<unknown>

/** Each row: what it is, the property that is refused, and the calls. */
const refused: readonly (readonly [string, RegExp, readonly Call[]])[] = [
  ...['icmp', '47', 47, 0, 256, 'TCP'].map(
    (protocol) => [`protocol ${String(protocol)}`, /protocol/, add({ protocol })] as const,
  ),
  ['fwmark 0', /fwmark/, add({ fwmark: 0 }, {})],
  ['fwmark 0 and an address', /protocol|fwmark/, add({ fwmark: 0 })],
  ['fwmark and an address', /protocol/, add({ fwmark: 1 })],
  ['fwmark and a port', /port/, add({ fwmark: 1, port: 80 }, {})],
  ['port 0 without persistence', /port/, add({ port: 0 })],
  ...['10.0', '10', '', '10.0.0.1.1', '2001:db8', '0x0a000001', '010.0.0.1'].map(
    (address) => [`address '${address}'`, /address/, add({ address })] as const,
  ),
  ...['0.0.0.0', '255.255.255.255', '224.0.0.1', '::', 'ff02::1', 'fe80::1', '::ffff:10.0.0.1'].map(
    (address) => [`VIP ${address}`, /address/, add({ address })] as const,
  ),
  ['an unknown flag', /schedulerFlags\[0\]/, add({ schedulerFlags: ['flag-4'] })],
  ['flags of sh with rr', /schedulerFlags/, add({ scheduler: 'rr', schedulerFlags: ['sh-port'] })],
  ['flags of sh by default', /schedulerFlags/, add({ schedulerFlags: ['sh-port'] })],
  ['one packet over tcp', /onePacket/, [...add({ onePacket: true }), patch({ onePacket: true })]],
  ['one packet over sctp', /onePacket/, add({ protocol: 'sctp', onePacket: true })],
  ...[0, 4_294_968, 2 ** 31, 2 ** 32 - 1, 0.5].map(
    (timeout) => [`persistence of ${timeout} s`, /timeout/, persistent({ timeout })] as const,
  ),
  ...['0.0.0.0', '255.0.255.0', '0.0.0.255', '0.0.0.24', '24', 'ffff::'].map(
    (netmask) => [`mask ${netmask}`, /netmask/, persistent({ netmask })] as const,
  ),
  ['mask of IPv6', /netmask/, persistent({ netmask: '255.255.255.0' }, six)],
  ['length 0', /prefixLength/, persistent({ prefixLength: 0 })],
  ['length 33 of IPv4', /prefixLength/, persistent({ prefixLength: 33 })],
  ['length 129 of IPv6', /prefixLength/, persistent({ prefixLength: 129 }, six)],
  ['length and mask', /netmask/, persistent({ prefixLength: 8, netmask: '255.0.0.0' })],
  [
    'scheduler with bytes after NUL',
    /scheduler/,
    [...add({ scheduler: 'rr\0x' }), patch({ scheduler: 'rr\0x' })],
  ],
  [
    'no scheduler by an empty name',
    /scheduler/,
    [...add({ scheduler: '' }), patch({ scheduler: '' })],
  ],
  ['sip over tcp', /engine/, persistent({ engine: 'sip' })],
  ['engine with bytes after NUL', /engine/, persistent({ engine: 'sip\0' })],
  ['engine by an empty name', /engine/, persistent({ engine: '' })],
  ...[-1, 2 ** 31, 1.5].map(
    (weight) =>
      [`weight ${weight}`, /weight/, [...real({ weight }), patchReal({ weight })]] as const,
  ),
  ...['local', 'bypass', 1, 4, 7].map(
    (forwarding) =>
      [
        `forwarding ${forwarding}`,
        /forwarding/,
        [...real({ forwarding }), patchReal({ forwarding })],
      ] as const,
  ),
  ['another port with dr', /port/, real({ port: 81 })],
  ['another port with tun', /port/, real({ port: 81, forwarding: 'tun' })],
  ['port 0 with nat', /port/, real({ port: 0, forwarding: 'nat' })],
  ...['vxlan', 3, 'IPIP'].map(
    (type) =>
      [`tunnel ${type}`, /tunnel\.type/, real({ forwarding: 'tun', tunnel: { type } })] as const,
  ),
  [
    'ipip with a port',
    /tunnel\.port/,
    real({ forwarding: 'tun', tunnel: { type: 'ipip', port: 1 } }),
  ],
  [
    'ipip with a checksum',
    /tunnel\.checksum/,
    real({ forwarding: 'tun', tunnel: { type: 'ipip', checksum: 'csum' } }),
  ],
  [
    'gre with remote checksums',
    /tunnel\.checksum/,
    real({ forwarding: 'tun', tunnel: { type: 'gre', checksum: 'remcsum' } }),
  ],
  [
    'checksums by their bits',
    /tunnel\.checksum/,
    real({ forwarding: 'tun', tunnel: { type: 'gue', port: 1, checksum: 3 } }),
  ],
  ['a tunnel with nat', /tunnel/, real({ forwarding: 'nat', tunnel: { type: 'ipip' } })],
  ['a tunnel with dr', /tunnel/, real({ tunnel: { type: 'gue', port: 1 } })],
  ['syncId 256', /syncId/, daemon({ syncId: 256 })],
  ['length 0 of a master', /maxLength/, daemon({ maxLength: 0 })],
  ['length 65508', /maxLength/, daemon({ maxLength: 65_508 })],
  ['length 65488 of an IPv6 group', /maxLength/, daemon({ maxLength: 65_488, group: 'ff02::81' })],
  ['length 1023 of a backup', /maxLength/, daemon({ role: 'backup', maxLength: 1023 })],
  ['ttl 0', /ttl/, daemon({ ttl: 0 })],
  ['port 0 of a daemon', /port/, daemon({ port: 0 })],
  ['timeout 0, which keeps it', /tcp/, [async (ipvs) => ipvs.setTimeouts({ tcp: 0 })]],
  ['clearing one service, which clears all', /service/, operation({ op: 'clear', service: tcp })],
  [
    'a service with a destination',
    /destination/,
    operation({ op: 'addService', service: tcp, destination: server }),
  ],
]

const codes = /^ERR_(?:INVALID_ARG_(?:TYPE|VALUE)|OUT_OF_RANGE)$/

for (const [what, property, calls] of refused) {
  t.test(`refused: ${what}`, async (t) => {
    const ipvs = createFakeIpvs()
    await ipvs.addService(tcp)
    await ipvs.addService(six)
    await ipvs.addDestination(tcp, server)
    const before = JSON.stringify(await ipvs.snapshot())
    for (const call of calls) {
      await t.rejects(call(ipvs), { code: codes, message: property })
    }
    t.equal(JSON.stringify(await ipvs.snapshot()), before)
    t.same(await ipvs.syncDaemons(), [])
  })
}

t.test('what only looks odd passes', async (t) => {
  const ipvs = createFakeIpvs()
  await ipvs.addService(tcp)
  await ipvs.addDestination(tcp, { address: '127.0.0.1', forwarding: 'nat', weight: 2 ** 31 - 1 })
  await ipvs.addDestination(tcp, { address: tcp.address, port: 8080, forwarding: 'nat' })
  await ipvs.addService({ ...six, persistence: { timeout: 4_294_967, prefixLength: 1 } })
  await ipvs.addDestination(six, { address: '::1' })
  await ipvs.addService({ ...tcp, port: 0, persistence: { netmask: '128.0.0.0' } })
  await ipvs.addService({ fwmark: 2 ** 32 - 1, onePacket: true, persistence: { engine: 'sip' } })
  // One of the ports of its threads would be beyond: only the kernel knows how many there are.
  await ipvs.startSyncDaemon({ role: 'master', interface: 'eth0', port: 65_535, syncId: 255 })
  t.equal((await ipvs.snapshot()).length, 4)
  // What is observed is let pass, and has no effect.
  const [read] = await ipvs.listDestinations(six)
  if (!read) return t.fail('it was not read')
  await ipvs.editDestination(six, { ...read, activeConnections: 7 })
  t.match(await ipvs.listDestinations(six), [{ activeConnections: 0 }])
  await t.rejects(ipvs.listDestinations({ ...tcp, port: 81 }), { code: 'ERR_IPVS_NO_SERVICE' })
  return undefined
})
