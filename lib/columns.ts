// What the addon read, as flat columns: a few arrays however long the table is.

import { familyOf, formatAddress } from './address.js'
import { highWord, lowWord, Memory } from './memory.js'
import { recordFormat } from './records.js'
import type { CounterReader } from './records.js'
import { inTurns } from './turns.js'
import { takeInteger } from './validate.js'
import type { SnapshotReply } from '../types/addon.js'
import type {
  AddressColumns,
  DestinationColumns,
  ServiceColumns,
  StatsColumns,
  TableColumns,
} from '../types/columns.js'

type Totals = Float64Array | BigUint64Array
type Column = Uint8Array | Uint16Array | Uint32Array

/** The records of one size that columns are made of. */
interface Source {
  readonly memory: Memory
  readonly size: number
}

// A loop for each column, not a function for each element, which costs ten times as much. These are no
// closures: each would have to become warm by itself.

type Loop<Kind> = (source: Source, column: Kind, offset: number, from: number, end: number) => void

const fillWords: Loop<Column> = ({ memory, size }, column, offset, from, end) => {
  const { words } = memory
  for (let index = from, at = (from * size + offset) >> 2; index < end; ++index) {
    column[index] = words[at] ?? 0
    at += size >> 2
  }
}

const fillAddresses: Loop<Uint8Array> = ({ memory, size }, column, offset, from, end) => {
  const { words } = memory
  const target = new Uint32Array(column.buffer)
  for (let index = from, at = (from * size + offset) >> 2; index < end; ++index) {
    target[4 * index] = words[at] ?? 0
    target[4 * index + 1] = words[at + 1] ?? 0
    target[4 * index + 2] = words[at + 2] ?? 0
    target[4 * index + 3] = words[at + 3] ?? 0
    at += size >> 2
  }
}

const fillNumbers: Loop<Float64Array> = ({ memory, size }, column, offset, from, end) => {
  const { words } = memory
  for (let index = from, at = (from * size + offset) >> 2; index < end; ++index) {
    column[index] = (words[at + lowWord] ?? 0) + (words[at + highWord] ?? 0) * 2 ** 32
    at += size >> 2
  }
}

const fillBigints: Loop<BigUint64Array> = ({ memory, size }, column, offset, from, end) => {
  for (let index = from; index < end; ++index) {
    column[index] = memory.bigint64(index * size + offset)
  }
}

/** Fills the elements of a column from `from` to before `end`, each from its record. */
type Fill = (from: number, end: number) => void

const filling =
  <Kind>(loop: Loop<Kind>, source: Source, column: Kind, offset: number): Fill =>
  (from, end) => {
    loop(source, column, offset, from, end)
  }

/** So many records are gone through for one column after the other. */
const rowsAtOnce = 256

const totalInto = (source: Source, column: Totals, offset: number): Fill =>
  column instanceof Float64Array
    ? filling(fillNumbers, source, column, offset)
    : filling(fillBigints, source, column, offset)

const makeStats = (
  source: Source,
  count: number,
  bigint: boolean,
  { places }: CounterReader,
): { columns: StatsColumns<Totals>; fills: Fill[] } => {
  const totals = (): Totals => (bigint ? new BigUint64Array(count) : new Float64Array(count))
  const columns = {
    connections: totals(),
    packetsIn: totals(),
    packetsOut: totals(),
    bytesIn: totals(),
    bytesOut: totals(),
    connectionsPerSecond: new Float64Array(count),
    packetsInPerSecond: new Float64Array(count),
    packetsOutPerSecond: new Float64Array(count),
    bytesInPerSecond: new Float64Array(count),
    bytesOutPerSecond: new Float64Array(count),
  }
  const names = Object.keys(columns) as (keyof typeof columns)[]
  const fills = names.map((name) => totalInto(source, columns[name], places[name]))
  return { columns, fills }
}

const fillAll = async (count: number, fills: readonly Fill[]): Promise<void> => {
  await inTurns(Math.ceil(count / rowsAtOnce), (piece) => {
    const from = piece * rowsAtOnce
    const end = Math.min(from + rowsAtOnce, count)
    for (const fill of fills) fill(from, end)
  })
}

const servicesFrom = async (
  records: ArrayBuffer,
  counts: Uint32Array,
  bigint: boolean,
): Promise<ServiceColumns<Totals>> => {
  const { service, serviceCounters } = recordFormat()
  const source = { memory: new Memory(records), size: service.size }
  const count = counts.length
  const { columns: stats, fills } = makeStats(source, count, bigint, serviceCounters)
  const columns = {
    count,
    family: new Uint8Array(count),
    address: new Uint8Array(16 * count),
    protocol: new Uint16Array(count),
    port: new Uint16Array(count),
    fwmark: new Uint32Array(count),
    firstDestination: new Uint32Array(count + 1),
    stats,
  }
  for (const name of ['family', 'protocol', 'port', 'fwmark'] as const) {
    fills.push(filling(fillWords, source, columns[name], service.offset(name)))
  }
  fills.push(filling(fillAddresses, source, columns.address, service.offset('address')))
  const { firstDestination } = columns
  fills.push((from, end) => {
    for (let index = from; index < end; ++index) {
      firstDestination[index + 1] = (firstDestination[index] ?? 0) + (counts[index] ?? 0)
    }
  })
  await fillAll(count, fills)
  return columns
}

const destinationNames = [
  'family',
  'port',
  'forwarding',
  'weight',
  'activeConnections',
  'inactiveConnections',
  'persistentConnections',
] as const

const destinationsFrom = async (
  records: ArrayBuffer,
  { firstDestination }: ServiceColumns<Totals>,
  bigint: boolean,
): Promise<DestinationColumns<Totals>> => {
  const { destination, destinationCounters } = recordFormat()
  const source = { memory: new Memory(records), size: destination.size }
  const count = records.byteLength / destination.size
  const { columns: stats, fills } = makeStats(source, count, bigint, destinationCounters)
  const columns = {
    count,
    service: new Uint32Array(count),
    family: new Uint8Array(count),
    address: new Uint8Array(16 * count),
    port: new Uint16Array(count),
    forwarding: new Uint8Array(count),
    weight: new Uint32Array(count),
    activeConnections: new Uint32Array(count),
    inactiveConnections: new Uint32Array(count),
    persistentConnections: new Uint32Array(count),
    stats,
  }
  for (const name of destinationNames) {
    fills.push(filling(fillWords, source, columns[name], destination.offset(name)))
  }
  fills.push(filling(fillAddresses, source, columns.address, destination.offset('address')))
  let owner = 0
  fills.push((from, end) => {
    for (let index = from; index < end; ++index) {
      while (index >= (firstDestination[owner + 1] ?? Infinity)) ++owner
      columns.service[index] = owner
    }
  })
  await fillAll(count, fills)
  return columns
}

export const columnsFrom = async (
  reply: SnapshotReply,
  bigint: boolean,
): Promise<TableColumns<Totals>> => {
  const services = await servicesFrom(reply.services, new Uint32Array(reply.counts), bigint)
  return { services, destinations: await destinationsFrom(reply.destinations, services, bigint) }
}

/** The text of the address of an entry of columns, in canonical form (RFC 5952). */
export const addressAt = ({ family, address }: AddressColumns, index: number): string => {
  takeInteger(index, 'index', 0, family.length - 1)
  return formatAddress(familyOf(family[index] ?? 0), address, 16 * index)
}
