// What the addon read, as flat columns: a few arrays however long the table is.

import { familyOf, formatAddress } from './address.js'
import { Memory } from './memory.js'
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

/** How one column is filled: from a record into its element. */
type Fill = (at: number, index: number) => void

const wordInto =
  (memory: Memory, column: Column, offset: number): Fill =>
  (at, index) => {
    column[index] = memory.word(at + offset)
  }

const addressInto =
  (memory: Memory, column: Uint8Array, offset: number): Fill =>
  (at, index) => {
    for (let byte = 0; byte < 16; ++byte) {
      column[16 * index + byte] = memory.bytes[at + offset + byte] ?? 0
    }
  }

const totalInto = (memory: Memory, column: Totals, offset: number): Fill =>
  column instanceof Float64Array
    ? (at, index) => {
        column[index] = memory.number64(at + offset)
      }
    : (at, index) => {
        column[index] = memory.bigint64(at + offset)
      }

const makeStats = (
  memory: Memory,
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
  const fills = names.map((name) => totalInto(memory, columns[name], places[name]))
  return { columns, fills }
}

const fillAll = async (count: number, size: number, fills: readonly Fill[]): Promise<void> => {
  await inTurns(count, (index) => {
    for (const fill of fills) fill(index * size, index)
  })
}

const servicesFrom = async (
  records: ArrayBuffer,
  counts: Uint32Array,
  bigint: boolean,
): Promise<ServiceColumns<Totals>> => {
  const { service, serviceCounters } = recordFormat()
  const memory = new Memory(records)
  const count = counts.length
  const { columns: stats, fills } = makeStats(memory, count, bigint, serviceCounters)
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
    fills.push(wordInto(memory, columns[name], service.offset(name)))
  }
  fills.push(addressInto(memory, columns.address, service.offset('address')))
  const { firstDestination } = columns
  fills.push((_, index) => {
    firstDestination[index + 1] = (firstDestination[index] ?? 0) + (counts[index] ?? 0)
  })
  await fillAll(count, service.size, fills)
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
  const memory = new Memory(records)
  const count = records.byteLength / destination.size
  const { columns: stats, fills } = makeStats(memory, count, bigint, destinationCounters)
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
    fills.push(wordInto(memory, columns[name], destination.offset(name)))
  }
  fills.push(addressInto(memory, columns.address, destination.offset('address')))
  let owner = 0
  fills.push((_, index) => {
    while (index >= (firstDestination[owner + 1] ?? Infinity)) ++owner
    columns.service[index] = owner
  })
  await fillAll(count, destination.size, fills)
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
