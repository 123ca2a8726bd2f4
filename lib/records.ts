// Flat records: the addon's tables say which fields there are and where; this file writes and reads
// them. It knows places, not meanings.

import { Memory } from './memory.js'
import { loadAddon } from './native.js'
import type { Layout, RowLayout, TableLayout } from '../types/addon.js'

/** The configuration of a service as the kernel counts it. Absent fields are not sent. */
export interface ServiceFields {
  readonly family: number
  readonly protocol?: number | undefined
  /** 16 bytes. */
  readonly address?: Uint8Array | undefined
  readonly port?: number | undefined
  readonly fwmark?: number | undefined
  readonly scheduler?: string | undefined
  readonly engine?: string | undefined
  readonly flags?: number | undefined
  /** Which flags are meant; all of them when absent. */
  readonly flagsMask?: number | undefined
  readonly timeout?: number | undefined
  /** 4 bytes as they are on the wire. */
  readonly netmask?: Uint8Array | undefined
}

/** The configuration of a destination as the kernel counts it. Absent fields are not sent. */
export interface DestinationFields {
  /** Absent from old kernels' replies: the service's. */
  readonly family?: number | undefined
  /** 16 bytes. */
  readonly address: Uint8Array
  readonly port: number
  readonly forwarding?: number | undefined
  readonly weight?: number | undefined
  readonly upperThreshold?: number | undefined
  readonly lowerThreshold?: number | undefined
  readonly tunnelType?: number | undefined
  readonly tunnelPort?: number | undefined
  readonly tunnelFlags?: number | undefined
}

/** What the kernel adds to a destination's configuration. */
export interface ObservedFields {
  readonly activeConnections: number
  readonly inactiveConnections: number
  readonly persistentConnections: number
}

export interface DaemonFields {
  readonly state: number
  readonly interface?: string
  readonly syncId?: number
  readonly maxLength?: number
  readonly port?: number
  readonly ttl?: number
  /** 4 bytes. */
  readonly group?: Uint8Array
  /** 16 bytes. */
  readonly group6?: Uint8Array
}

export interface ConfigFields {
  readonly tcp?: number
  readonly tcpFin?: number
  readonly udp?: number
}

export interface InfoFields {
  readonly version: number
  readonly connectionTableSize: number
}

export interface AddressFields {
  /** 16 bytes. */
  readonly address?: Uint8Array
  readonly local?: Uint8Array
  readonly label?: string
  readonly flags?: number
}

export interface LinkFields {
  readonly device?: string
  readonly mtu?: number
  /** 32 bytes, the unused ones 0. */
  readonly address?: Uint8Array
}

const totals = ['connections', 'packetsIn', 'packetsOut', 'bytesIn', 'bytesOut'] as const
const rates = [
  'connectionsPerSecond',
  'packetsInPerSecond',
  'packetsOutPerSecond',
  'bytesInPerSecond',
  'bytesOutPerSecond',
] as const

export type CounterFields<Total> = Readonly<
  Record<(typeof totals)[number], Total> & Record<(typeof rates)[number], number>
>

type Value = number | string | Uint8Array

interface Field extends RowLayout {
  readonly bit: number
}

/** OperationKind of native/ipvs/codec.h; 0 for a plain change. */
export const operationKinds = { patch: 1, editIfExists: 2 } as const

/** All flags are meant. */
export const allFlags = 0xffffffff

const writeField = (memory: Memory, at: number, value: Value): void => {
  if (typeof value === 'number') memory.setWord(at, value)
  else if (typeof value === 'string') memory.setText(at, value)
  else memory.bytes.set(value, at)
}

const readField = (memory: Memory, at: number, { kind, size }: Field): Value => {
  if (kind === 'text') return memory.text(at, size)
  if (kind === 'bytes') return memory.bytes.subarray(at, at + size)
  return memory.word(at)
}

/** The records of one table. `Fields` has the names of its rows. */
export class RecordTable<Fields extends object> {
  readonly size: number
  readonly configSize: number
  readonly #fields: readonly Field[]

  constructor({ rows, size, configSize }: TableLayout) {
    this.size = size
    this.configSize = configSize
    this.#fields = rows
      .map((row, bit) => ({ ...row, bit }))
      .filter(({ kind }) => kind !== 'counters')
  }

  /** Where a field is, in bytes. */
  offset(name: keyof Fields & string): number {
    return this.#field(name).offset
  }

  /** How long a field is, in bytes. */
  sizeOf(name: keyof Fields & string): number {
    return this.#field(name).size
  }

  /** What the first word of a record with these fields, and no others, is. */
  bits(...names: readonly (keyof Fields & string)[]): number {
    return names.reduce((bits, name) => bits | (1 << this.#field(name).bit), 0)
  }

  #field(name: string): Field {
    const field = this.#fields.find((each) => each.name === name)
    if (!field) throw new Error(`the addon has no field ${name}`)
    return field
  }

  /** Writes the fields that are given; the memory there must be zero. */
  write(memory: Memory, at: number, values: Fields): void {
    let present = 0
    for (const { name, bit, offset, kind } of this.#fields) {
      const value = (values as Readonly<Record<string, Value | undefined>>)[name]
      if (value === undefined) continue
      present |= 1 << bit
      writeField(memory, at + offset, value)
      if (kind !== 'flags') continue
      const { flagsMask = allFlags } = values as { readonly flagsMask?: number }
      memory.setWord(at + offset + 4, flagsMask)
    }
    memory.setWord(at, present)
  }

  /** The fields that are there. Bytes are views of the memory. */
  read(memory: Memory, at: number): Fields {
    const present = memory.word(at)
    const values: Record<string, Value> = {}
    for (const field of this.#fields) {
      if (((present >>> field.bit) & 1) === 0) continue
      values[field.name] = readField(memory, at + field.offset, field)
    }
    return values as Fields
  }

  /** All records of a reply. */
  readAll(records: ArrayBuffer): Fields[] {
    const memory = new Memory(records)
    return Array.from({ length: records.byteLength / this.size }, (_, index) =>
      this.read(memory, index * this.size),
    )
  }

  /** A record of its own, as long as a request carries it. */
  make(values: Fields): Uint8Array {
    const memory = new Memory(new ArrayBuffer(this.configSize))
    this.write(memory, 0, values)
    return memory.bytes
  }
}

export type ReadTotal<Total> = (memory: Memory, at: number) => Total

/** How totals are read: exact to 2^53, or always. */
export const numberTotal: ReadTotal<number> = (memory, at) => memory.number64(at)
export const bigintTotal: ReadTotal<bigint> = (memory, at) => memory.bigint64(at)

const offsetOf = (table: TableLayout, name: string): number => {
  const row = table.rows.find((each) => each.name === name)
  if (!row) throw new Error(`the addon has no field ${name}`)
  return row.offset
}

/** The counters inside the records of a service or a destination. */
export class CounterReader {
  /** Where each counter is in a record of the owner, in bytes. */
  readonly places: CounterFields<number>

  constructor(owner: TableLayout, counters: TableLayout) {
    const start = offsetOf(owner, 'counters')
    this.places = Object.fromEntries(
      [...totals, ...rates].map((name) => [name, start + offsetOf(counters, name)]),
    ) as CounterFields<number>
  }

  read<Total>(memory: Memory, at: number, total: ReadTotal<Total>): CounterFields<Total> {
    const offsets = this.places
    return {
      connections: total(memory, at + offsets.connections),
      packetsIn: total(memory, at + offsets.packetsIn),
      packetsOut: total(memory, at + offsets.packetsOut),
      bytesIn: total(memory, at + offsets.bytesIn),
      bytesOut: total(memory, at + offsets.bytesOut),
      connectionsPerSecond: memory.number64(at + offsets.connectionsPerSecond),
      packetsInPerSecond: memory.number64(at + offsets.packetsInPerSecond),
      packetsOutPerSecond: memory.number64(at + offsets.packetsOutPerSecond),
      bytesInPerSecond: memory.number64(at + offsets.bytesInPerSecond),
      bytesOutPerSecond: memory.number64(at + offsets.bytesOutPerSecond),
    }
  }
}

const makeFormat = (layout: Layout) => ({
  operation: layout.operation,
  service: new RecordTable<ServiceFields>(layout.service),
  destination: new RecordTable<DestinationFields & Partial<ObservedFields>>(layout.destination),
  daemon: new RecordTable<DaemonFields>(layout.daemon),
  config: new RecordTable<ConfigFields>(layout.config),
  info: new RecordTable<InfoFields>(layout.info),
  address: new RecordTable<AddressFields>(layout.address),
  /** Fields of address records that are no attributes. */
  addressHeader: layout.address,
  link: new RecordTable<LinkFields>(layout.link),
  /** Fields of link records that are no attributes. */
  linkHeader: layout.link,
  serviceCounters: new CounterReader(layout.service, layout.counters),
  destinationCounters: new CounterReader(layout.destination, layout.counters),
})

let standIn: Layout | undefined
let known: Layout | undefined
let format: ReturnType<typeof makeFormat> | undefined

/** What the fake of `ipvs-netlink/testing` speaks with the rest of lib where there is no addon. */
export const provideLayout = (layout: Layout): void => {
  standIn = layout
}

/** Where the fields are; throws where there is no addon. */
export const recordLayout = (): Layout => {
  try {
    known ??= loadAddon().layout
  } catch (error) {
    if (!standIn) throw error
    known = standIn
  }
  return known
}

/** The records that this addon speaks; throws where there is no addon. */
export const recordFormat = (): ReturnType<typeof makeFormat> => {
  format ??= makeFormat(recordLayout())
  return format
}
