// The addon's tables, the library's numbers and the documented types against the kernel's header:
// whoever forgets an attribute in one of them fails here.

import { readdirSync, readFileSync } from 'node:fs'

import t from 'tap'

import { commands } from '#lib/commands'
import { takeDestination } from '#lib/destination'
import { loadAddon } from '#lib/native'
import { takeService } from '#lib/service'

const header = readFileSync('/usr/include/linux/ip_vs.h', 'utf8').replaceAll(/\/\*[^]*?\*\//g, '')

/** Names and numbers of every enumeration of the header. */
const enumerations: Readonly<Record<string, number>> = Object.fromEntries(
  [...header.matchAll(/enum\s*\{([^}]*)\}/g)].flatMap(([, body = '']) => {
    let next = 0
    return body.split(',').flatMap((item) => {
      const [name = '', value] = item.split('=').map((part) => part.trim())
      if (name === '') return []
      const number = value === undefined ? next : Number(value)
      next = number + 1
      return [[name, number]]
    })
  }),
)

/** Of the plain numbers among its macros. */
const macro = (name: string): number => {
  const found = new RegExp(
    `#define\\s+${name}\\s+\\(?(0x[0-9a-f]+|\\d+)(?:\\s*<<\\s*(\\d+))?\\)?\\s`,
    'i',
  ).exec(header)
  if (!found) throw new Error(`the header has no number ${name}`)
  return Number(found[1]) << Number(found[2] ?? 0)
}

/** What follows the prefix, by number; without what only delimits. */
const namesWith = (prefix: string): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries(enumerations)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, number]) => [name.slice(prefix.length), number] as const)
      .filter(([name]) => name !== 'UNSPEC'),
  )

t.test('the header of this machine was understood', async (t) => {
  t.equal(enumerations['IPVS_CMD_NEW_SERVICE'], 1)
  t.equal(enumerations['IPVS_CMD_FLUSH'], 17)
  t.equal(enumerations['IPVS_DEST_ATTR_TUN_FLAGS'], 15)
  t.equal(enumerations['IP_VS_CONN_F_TUNNEL_TYPE_GRE'], 2)
  t.equal(macro('IP_VS_SVC_F_SCHED3'), 0x20)
})

/** The kernel's name of each attribute, and the field's. */
const fieldNames: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  service: {
    AF: 'family',
    PROTOCOL: 'protocol',
    ADDR: 'address',
    PORT: 'port',
    FWMARK: 'fwmark',
    SCHED_NAME: 'scheduler',
    FLAGS: 'flags',
    TIMEOUT: 'timeout',
    NETMASK: 'netmask',
    STATS: 'counters32',
    PE_NAME: 'engine',
    STATS64: 'counters',
  },
  destination: {
    ADDR: 'address',
    PORT: 'port',
    FWD_METHOD: 'forwarding',
    WEIGHT: 'weight',
    U_THRESH: 'upperThreshold',
    L_THRESH: 'lowerThreshold',
    ACTIVE_CONNS: 'activeConnections',
    INACT_CONNS: 'inactiveConnections',
    PERSIST_CONNS: 'persistentConnections',
    STATS: 'counters32',
    ADDR_FAMILY: 'family',
    STATS64: 'counters',
    TUN_TYPE: 'tunnelType',
    TUN_PORT: 'tunnelPort',
    TUN_FLAGS: 'tunnelFlags',
  },
  counters: {
    CONNS: 'connections',
    INPKTS: 'packetsIn',
    OUTPKTS: 'packetsOut',
    INBYTES: 'bytesIn',
    OUTBYTES: 'bytesOut',
    CPS: 'connectionsPerSecond',
    INPPS: 'packetsInPerSecond',
    OUTPPS: 'packetsOutPerSecond',
    INBPS: 'bytesInPerSecond',
    OUTBPS: 'bytesOutPerSecond',
  },
  daemon: {
    STATE: 'state',
    MCAST_IFN: 'interface',
    SYNC_ID: 'syncId',
    SYNC_MAXLEN: 'maxLength',
    MCAST_GROUP: 'group',
    MCAST_GROUP6: 'group6',
    MCAST_PORT: 'port',
    MCAST_TTL: 'ttl',
  },
  config: { TIMEOUT_TCP: 'tcp', TIMEOUT_TCP_FIN: 'tcpFin', TIMEOUT_UDP: 'udp' },
  info: { VERSION: 'version', CONN_TAB_SIZE: 'connectionTableSize' },
}

/** The header's prefix of each table's attributes. */
const nests: Readonly<Record<string, string>> = {
  service: 'IPVS_SVC_ATTR_',
  destination: 'IPVS_DEST_ATTR_',
  counters: 'IPVS_STATS_ATTR_',
  info: 'IPVS_INFO_ATTR_',
  daemon: 'IPVS_DAEMON_ATTR_',
  config: 'IPVS_CMD_ATTR_',
}

/** Attributes without a row, and why. */
const withoutRow: Readonly<Record<string, string>> = {
  IPVS_STATS_ATTR_PAD: 'fills a gap before 64-bit values',
  IPVS_CMD_ATTR_SERVICE: 'a nest with a table of its own',
  IPVS_CMD_ATTR_DEST: 'a nest with a table of its own',
  IPVS_CMD_ATTR_DAEMON: 'a nest with a table of its own',
}

/** Nests of the header whose table is still to be written. A table that exists is always checked. */
const notYetCovered: readonly string[] = []

interface Row {
  readonly name: string
  readonly id: number
  readonly kind: string
  readonly offset: number
  readonly size: number
}

interface Table {
  readonly rows: readonly Row[]
  readonly size: number
  readonly configSize: number
}

const { layout } = loadAddon()
const tables = layout as unknown as Readonly<Record<string, Table | undefined>>

t.test('every family of attributes in the header is known to this test', async (t) => {
  const prefixes = Object.keys(enumerations).flatMap((name) => /^IPVS_.*ATTR_/.exec(name) ?? [])
  t.same(new Set(prefixes), new Set(Object.values(nests)))
})

for (const [table, prefix] of Object.entries(nests)) {
  const skip =
    tables[table] === undefined && notYetCovered.includes(table) && 'there is no table yet'
  t.test(
    `each ${prefix}* of the header has its row, and no row is another`,
    { skip },
    async (t) => {
      const known = Object.entries(namesWith(prefix)).filter(
        ([name]) => !(prefix + name in withoutRow),
      )
      const rows = tables[table]?.rows ?? []
      t.same(
        rows.map(({ id }) => id).toSorted((a, b) => a - b),
        known.map(([, id]) => id).toSorted((a, b) => a - b),
      )
      const names = fieldNames[table]
      if (!names) return
      t.same(
        Object.fromEntries(known.map(([name, id]) => [names[name] ?? `nothing for ${name}`, id])),
        Object.fromEntries(rows.map(({ name, id }) => [name, id])),
      )
    },
  )
}

t.test('every attribute of a table is named in the documentation of the types', async (t) => {
  const folder = new URL('../types/', import.meta.url)
  const docs = readdirSync(folder)
    .map((name) => readFileSync(new URL(name, folder), 'utf8'))
    .join('\n')
  // Known to users by another name: as the 64-bit counters of a service, which are the same.
  const elsewhere = ['IPVS_SVC_ATTR_STATS', 'IPVS_DEST_ATTR_STATS', 'IPVS_DEST_ATTR_STATS64']
  const attributes = Object.entries(nests)
    .filter(([table]) => tables[table] !== undefined)
    .flatMap(([, prefix]) => Object.keys(namesWith(prefix)).map((name) => prefix + name))
    .filter((name) => !(name in withoutRow) && !elsewhere.includes(name))
  t.ok(attributes.length > 30)
  t.same(
    attributes.filter((name) => !new RegExp(`\\b${name}\\b`).test(docs)),
    [],
  )
})

/** Commands of the header that no call uses yet, and one that only answers. */
const commandsNotYetUsed: readonly string[] = []
const answersOnly = ['SET_INFO']

t.test('the numbers of the commands are those of the header', async (t) => {
  const known = Object.fromEntries(
    Object.entries(namesWith('IPVS_CMD_')).filter(([name]) => !name.startsWith('ATTR_')),
  )
  for (const [name, number] of Object.entries(commands)) t.equal(number, known[name], name)
  t.same(
    Object.keys(known).filter(
      (name) =>
        !(name in commands || commandsNotYetUsed.includes(name) || answersOnly.includes(name)),
    ),
    [],
  )
})

t.test('the flags of services are those of the header', async (t) => {
  const flagsOf = (more: object): number | undefined =>
    takeService({ protocol: 'udp', address: '10.0.0.1', port: 53, ...more }, 'service').fields.flags
  t.equal(flagsOf({}), 0)
  t.equal(flagsOf({ persistence: {} }), macro('IP_VS_SVC_F_PERSISTENT'))
  t.equal(flagsOf({ onePacket: true }), macro('IP_VS_SVC_F_ONEPACKET'))
  for (const scheduler of ['sh', 'mh']) {
    t.equal(
      flagsOf({ scheduler, schedulerFlags: [`${scheduler}-fallback`] }),
      macro('IP_VS_SVC_F_SCHED1'),
    )
    t.equal(
      flagsOf({ scheduler, schedulerFlags: [`${scheduler}-port`] }),
      macro('IP_VS_SVC_F_SCHED2'),
    )
  }
  for (const n of [1, 2, 3])
    t.equal(flagsOf({ schedulerFlags: [`flag-${n}`] }), macro(`IP_VS_SVC_F_SCHED${n}`))
})

t.test('the numbers of forwarding methods and tunnels are those of the header', async (t) => {
  const service = takeService({ protocol: 'tcp', address: '10.0.0.1', port: 80 }, 'service')
  const fieldsOf = (more: object): object =>
    takeDestination({ address: '10.0.0.2', ...more }, 'destination', service).fields
  const forwardings = { nat: 'MASQ', tun: 'TUNNEL', dr: 'DROUTE' }
  for (const [forwarding, name] of Object.entries(forwardings)) {
    t.match(fieldsOf({ forwarding }), { forwarding: macro(`IP_VS_CONN_F_${name}`) })
  }
  for (const type of ['ipip', 'gre', 'gue']) {
    const tunnel = { type, ...(type === 'gue' && { port: 6080 }) }
    const number = enumerations[`IP_VS_CONN_F_TUNNEL_TYPE_${type.toUpperCase()}`]
    t.match(fieldsOf({ forwarding: 'tun', tunnel }), { tunnelType: number })
  }
  const checksums = { none: 'NOCSUM', csum: 'CSUM', remcsum: 'REMCSUM' }
  for (const [checksum, name] of Object.entries(checksums)) {
    const tunnel = { type: 'gue', port: 6080, checksum }
    t.match(fieldsOf({ forwarding: 'tun', tunnel }), {
      tunnelFlags: macro(`IP_VS_TUNNEL_ENCAP_FLAG_${name}`),
    })
  }
})

t.test('texts have room for the longest name of the kernel and its terminator', async (t) => {
  const sizeOf = (name: string): number =>
    tables['service']?.rows.find((row) => row.name === name)?.size ?? 0
  // The kernel's scheduler names include the terminator, those of engines do not (PE_NAME policy).
  t.equal(sizeOf('scheduler'), macro('IP_VS_SCHEDNAME_MAXLEN'))
  t.ok(sizeOf('engine') > macro('IP_VS_PENAME_MAXLEN'))
})

/** The two nests of counters fill the same place, the wider one winning. */
const shareTheirPlace = ['counters32', 'counters']

/** Places of a record that are no rows. */
const headerFields = (table: string): Row[] => {
  const row = (name: string, offset: number, size: number): Row => ({
    name,
    offset,
    size,
    id: 0,
    kind: 'number',
  })
  const present = row('present', 0, 4)
  if (table !== 'address') return [present]
  const { family, prefixLength, scope, device } = layout.address
  const words = { family, prefixLength, scope }
  return [
    present,
    ...Object.entries(words).map(([name, offset]) => row(name, offset, 4)),
    row('device', device, 16),
  ]
}

for (const [name, table] of Object.entries(tables)) {
  if (!table?.rows) continue
  t.test(`the fields of the record '${name}' do not overlap and are aligned`, async (t) => {
    const places = [...headerFields(name), ...table.rows].toSorted((a, b) => a.offset - b.offset)
    places.reduce((before, place) => {
      const shared = shareTheirPlace.includes(before.name) && shareTheirPlace.includes(place.name)
      if (shared)
        t.same(
          [place.offset, place.size],
          [before.offset, before.size],
          `${place.name} as ${before.name}`,
        )
      else t.ok(place.offset >= before.offset + before.size, `${place.name} after ${before.name}`)
      return place
    })
    for (const { name: field, offset, size } of places) {
      const isWide = shareTheirPlace.includes(field) || name === 'counters'
      t.equal(offset % (isWide && field !== 'present' ? 8 : 4), 0, `${field} is aligned`)
      t.ok(size > 0 && size % 4 === 0, `${field} is whole words`)
    }
    const end = Math.max(...places.map(({ offset, size }) => offset + size))
    t.ok(end <= table.size && table.size % 4 === 0, 'the record holds them all')
    t.ok(table.configSize <= table.size && table.configSize % 4 === 0)
    t.equal(new Set(table.rows.map((row) => row.name)).size, table.rows.length, 'each name once')
    t.ok(table.rows.length <= 32, 'each row has its bit')
  })
}

t.test('what is observed lies after what a request carries', async (t) => {
  const observed = [
    'counters',
    'counters32',
    'activeConnections',
    'inactiveConnections',
    'persistentConnections',
  ]
  for (const name of ['service', 'destination']) {
    const { rows = [], configSize = 0 } = tables[name] ?? {}
    for (const { name: field, offset, size } of rows) {
      t.equal(offset + size > configSize, observed.includes(field), `${name} ${field}`)
    }
  }
})

t.test('counters lie where 64-bit views can read them', async (t) => {
  t.equal(layout.service.size % 8, 0)
  t.equal(layout.destination.size % 8, 0)
  for (const { name, size } of layout.counters.rows) t.equal(size, 8, name)
})

t.test('an operation is its header and the two configurations, one after the other', async (t) => {
  const { operation, service, destination } = layout
  t.ok(operation.service >= 4)
  t.ok(operation.destination >= operation.service + service.configSize)
  t.equal(operation.size, operation.destination + destination.configSize)
  t.equal(operation.service % 4, 0)
  t.equal(operation.destination % 4, 0)
  t.equal(operation.size % 4, 0)
})
