// Flat records for the fake where there is no addon: the same fields as the addon's tables
// (native/ipvs/attributes.cc, which test/testing.test.ts compares), at places of their own.

import type { Layout, RowLayout, TableLayout } from '../types/addon.js'

type Kind = RowLayout['kind']
type Rows = Readonly<Record<string, readonly [kind: Kind, size: number]>>

const number = ['number', 4] as const
const text = (size: number) => ['text', size] as const
const bytes = (size: number) => ['bytes', size] as const
const counters = ['counters', 88] as const
const counter = ['counters', 8] as const

// A record begins with a word that says which fields are there. Counters are read by 64 bits.
const presence = 4
const align = (at: number, kind: Kind): number => (kind === 'counters' ? (at + 7) & ~7 : at)

/** Lays the rows out one after the other; `observed` are those that no request carries. */
const lay = (rows: Rows, observed: Rows = {}): TableLayout => {
  let at = presence
  let configSize = at
  const placed = Object.entries({ ...rows, ...observed }).map(([name, [kind, size]], id) => {
    const offset = align(at, kind)
    // A word of flags has its mask beside it.
    at = offset + size + (kind === 'flags' ? 4 : 0)
    if (name in rows) configSize = at
    return { name, id, kind, offset, size }
  })
  return { rows: placed, size: align(at, 'counters'), configSize }
}

const service = lay(
  {
    family: number,
    protocol: number,
    address: bytes(16),
    port: number,
    fwmark: number,
    scheduler: text(16),
    engine: text(20),
    flags: ['flags', 4],
    timeout: number,
    netmask: bytes(4),
  },
  { counters },
)

const destination = lay(
  {
    family: number,
    address: bytes(16),
    port: number,
    forwarding: number,
    weight: number,
    upperThreshold: number,
    lowerThreshold: number,
    tunnelType: number,
    tunnelPort: number,
    tunnelFlags: number,
  },
  {
    activeConnections: number,
    inactiveConnections: number,
    persistentConnections: number,
    counters,
  },
)

const daemon = lay({
  state: number,
  interface: text(16),
  syncId: number,
  maxLength: number,
  port: number,
  ttl: number,
  group: bytes(4),
  group6: bytes(16),
})

const header = 16

export const fakeLayout: Layout = {
  operation: {
    size: header + service.configSize + destination.configSize,
    service: header,
    destination: header + service.configSize,
  },
  counters: lay({
    connections: counter,
    packetsIn: counter,
    packetsOut: counter,
    bytesIn: counter,
    bytesOut: counter,
    connectionsPerSecond: counter,
    packetsInPerSecond: counter,
    packetsOutPerSecond: counter,
    bytesInPerSecond: counter,
    bytesOutPerSecond: counter,
  }),
  service,
  destination,
  daemon,
  config: lay({ tcp: number, tcpFin: number, udp: number }),
  info: lay({ version: number, connectionTableSize: number }),
  // The fake has no addresses and links of its own.
  address: { ...lay({}), family: 0, prefixLength: 0, scope: 0, device: 0 },
  link: { ...lay({}), addressSize: 0, flags: 0, type: 0, kind: 0 },
}
