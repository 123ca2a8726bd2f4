// Flat records: the addon's tables say where each field is (native/netlink/table.h); this file
// writes and reads them. It knows places, not meanings.

import type { Layout, TableLayout } from '../types/addon.js'

const littleEndian = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1
const [lowWord, highWord] = littleEndian ? [0, 1] : [1, 0]

interface Place {
  readonly bit: number
  readonly offset: number
  readonly size: number
}

type Places<Name extends string> = Readonly<Record<Name, Place>>

const placesOf = <Name extends string>(table: TableLayout, names: readonly Name[]): Places<Name> =>
  Object.fromEntries(
    names.map((name) => {
      const bit = table.rows.findIndex((row) => row.name === name)
      const row = table.rows[bit]
      if (!row) throw new Error(`the addon has no field ${name}`)
      return [name, { bit, offset: row.offset, size: row.size }]
    }),
  ) as Places<Name>

/** Bytes of records, and the words of the same memory. */
export class Memory {
  readonly bytes: Uint8Array
  readonly words: Uint32Array

  constructor(buffer: ArrayBuffer) {
    this.bytes = new Uint8Array(buffer)
    this.words = new Uint32Array(buffer)
  }

  word(at: number): number {
    return this.words[at >> 2] ?? 0
  }

  setWord(at: number, value: number): void {
    this.words[at >> 2] = value
  }

  has(record: number, place: Place): boolean {
    return ((this.word(record) >>> place.bit) & 1) === 1
  }

  mark(record: number, place: Place): number {
    this.setWord(record, this.word(record) | (1 << place.bit))
    return record + place.offset
  }

  text(at: number, size: number): string {
    const end = this.bytes.indexOf(0, at)
    const stop = end === -1 || end > at + size ? at + size : end
    return String.fromCharCode(...this.bytes.subarray(at, stop))
  }

  setText(at: number, text: string): void {
    for (let i = 0; i < text.length; ++i) this.bytes[at + i] = text.charCodeAt(i)
  }

  number64(at: number): number {
    return this.word(at + 4 * lowWord) + this.word(at + 4 * highWord) * 2 ** 32
  }

  bigint64(at: number): bigint {
    return BigInt(this.word(at + 4 * lowWord)) | (BigInt(this.word(at + 4 * highWord)) << 32n)
  }
}

/** The configuration of a service as the kernel counts it. Absent fields are not sent. */
export interface ServiceFields {
  readonly family: number
  readonly protocol?: number
  /** 16 bytes. */
  readonly address?: Uint8Array
  readonly port?: number
  readonly fwmark?: number
  readonly scheduler?: string
  readonly engine?: string
  readonly flags?: number
  readonly timeout?: number
  /** 4 bytes as they are on the wire. */
  readonly netmask?: Uint8Array
}

/** The configuration of a destination as the kernel counts it. Absent fields are not sent. */
export interface DestinationFields {
  /** Absent from old kernels' replies: the service's. */
  readonly family?: number
  /** 16 bytes. */
  readonly address: Uint8Array
  readonly port: number
  readonly forwarding?: number
  readonly weight?: number
  readonly upperThreshold?: number
  readonly lowerThreshold?: number
  readonly tunnelType?: number
  readonly tunnelPort?: number
  readonly tunnelFlags?: number
}

const serviceNumbers = ['family', 'protocol', 'port', 'fwmark', 'timeout'] as const
const serviceBytes = ['address', 'netmask'] as const
const serviceTexts = ['scheduler', 'engine'] as const
const destinationNumbers = [
  'family',
  'port',
  'forwarding',
  'weight',
  'upperThreshold',
  'lowerThreshold',
  'tunnelType',
  'tunnelPort',
  'tunnelFlags',
] as const
const observedNumbers = [
  'activeConnections',
  'inactiveConnections',
  'persistentConnections',
] as const
const totals = ['connections', 'packetsIn', 'packetsOut', 'bytesIn', 'bytesOut'] as const
const rates = [
  'connectionsPerSecond',
  'packetsInPerSecond',
  'packetsOutPerSecond',
  'bytesInPerSecond',
  'bytesOutPerSecond',
] as const

export type Observed = Readonly<Record<(typeof observedNumbers)[number], number>>
export type CounterFields<Total> = Readonly<Record<(typeof totals)[number], Total>> &
  Readonly<Record<(typeof rates)[number], number>>

const allFlags = 0xffffffff

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

/** Writes and reads the records of the IPVS family. */
export class RecordFormat {
  readonly operationSize: number
  readonly serviceSize: number
  readonly destinationSize: number
  readonly #layout: Layout
  readonly #service: Places<
    | (typeof serviceNumbers)[number]
    | (typeof serviceBytes)[number]
    | (typeof serviceTexts)[number]
    | 'flags'
    | 'counters'
  >
  readonly #destination: Places<
    (typeof destinationNumbers)[number] | (typeof observedNumbers)[number] | 'address' | 'counters'
  >
  readonly #counters: Places<(typeof totals)[number] | (typeof rates)[number]>
  readonly #info: Places<'version' | 'connectionTableSize'>

  constructor(layout: Layout) {
    this.#layout = layout
    this.operationSize = layout.operation.size
    this.serviceSize = layout.service.size
    this.destinationSize = layout.destination.size
    this.#service = placesOf(layout.service, [
      ...serviceNumbers,
      ...serviceBytes,
      ...serviceTexts,
      'flags',
      'counters',
    ])
    this.#destination = placesOf(layout.destination, [
      ...destinationNumbers,
      ...observedNumbers,
      'address',
      'counters',
    ])
    this.#counters = placesOf(layout.counters, [...totals, ...rates])
    this.#info = placesOf(layout.info, ['version', 'connectionTableSize'])
  }

  /** Writes one change at `at`; the memory there must be zero. */
  writeOperation(
    memory: Memory,
    at: number,
    command: number,
    service?: ServiceFields,
    destination?: DestinationFields,
  ): void {
    memory.setWord(at, command)
    if (service) this.#writeService(memory, at + this.#layout.operation.service, service)
    if (destination) {
      this.#writeDestination(memory, at + this.#layout.operation.destination, destination)
    }
  }

  /** A record that identifies a service. */
  serviceKey(service: ServiceFields): Uint8Array {
    const memory = new Memory(new ArrayBuffer(this.#layout.service.configSize))
    this.#writeService(memory, 0, service)
    return memory.bytes
  }

  #writeService(memory: Memory, at: number, service: ServiceFields): void {
    const places = this.#service
    for (const name of serviceNumbers) {
      const value = service[name]
      if (value !== undefined) memory.setWord(memory.mark(at, places[name]), value)
    }
    for (const name of serviceBytes) {
      const value = service[name]
      if (value) memory.bytes.set(value, memory.mark(at, places[name]))
    }
    for (const name of serviceTexts) {
      const value = service[name]
      if (value !== undefined) memory.setText(memory.mark(at, places[name]), value)
    }
    if (service.flags === undefined) return
    const flags = memory.mark(at, places.flags)
    memory.setWord(flags, service.flags)
    // The mask: with all bits the kernel replaces the flags, with fewer it keeps some old ones.
    memory.setWord(flags + 4, allFlags)
  }

  #writeDestination(memory: Memory, at: number, destination: DestinationFields): void {
    const places = this.#destination
    for (const name of destinationNumbers) {
      const value = destination[name]
      if (value !== undefined) memory.setWord(memory.mark(at, places[name]), value)
    }
    memory.bytes.set(destination.address, memory.mark(at, places.address))
  }

  readService(memory: Memory, at: number): ServiceFields {
    const places = this.#service
    const fields: Partial<Mutable<ServiceFields>> = {}
    for (const name of serviceNumbers) {
      if (memory.has(at, places[name])) fields[name] = memory.word(at + places[name].offset)
    }
    for (const name of serviceBytes) {
      const { offset, size } = places[name]
      if (!memory.has(at, places[name])) continue
      fields[name] = memory.bytes.subarray(at + offset, at + offset + size)
    }
    for (const name of serviceTexts) {
      const { offset, size } = places[name]
      if (memory.has(at, places[name])) fields[name] = memory.text(at + offset, size)
    }
    return { family: 0, ...fields, flags: memory.word(at + places.flags.offset) }
  }

  readDestination(memory: Memory, at: number): DestinationFields & Observed {
    const places = this.#destination
    const { offset, size } = places.address
    const fields: Partial<Mutable<DestinationFields>> = {}
    for (const name of destinationNumbers) {
      if (memory.has(at, places[name])) fields[name] = memory.word(at + places[name].offset)
    }
    return {
      port: 0,
      ...fields,
      address: memory.bytes.subarray(at + offset, at + offset + size),
      activeConnections: memory.word(at + places.activeConnections.offset),
      inactiveConnections: memory.word(at + places.inactiveConnections.offset),
      persistentConnections: memory.word(at + places.persistentConnections.offset),
    }
  }

  readServiceCounters<Total>(
    memory: Memory,
    at: number,
    total: ReadTotal<Total>,
  ): CounterFields<Total> {
    return this.#readCounters(memory, at + this.#service.counters.offset, total)
  }

  readDestinationCounters<Total>(
    memory: Memory,
    at: number,
    total: ReadTotal<Total>,
  ): CounterFields<Total> {
    return this.#readCounters(memory, at + this.#destination.counters.offset, total)
  }

  #readCounters<Total>(memory: Memory, at: number, total: ReadTotal<Total>): CounterFields<Total> {
    const places = this.#counters
    return {
      connections: total(memory, at + places.connections.offset),
      packetsIn: total(memory, at + places.packetsIn.offset),
      packetsOut: total(memory, at + places.packetsOut.offset),
      bytesIn: total(memory, at + places.bytesIn.offset),
      bytesOut: total(memory, at + places.bytesOut.offset),
      connectionsPerSecond: memory.number64(at + places.connectionsPerSecond.offset),
      packetsInPerSecond: memory.number64(at + places.packetsInPerSecond.offset),
      packetsOutPerSecond: memory.number64(at + places.packetsOutPerSecond.offset),
      bytesInPerSecond: memory.number64(at + places.bytesInPerSecond.offset),
      bytesOutPerSecond: memory.number64(at + places.bytesOutPerSecond.offset),
    }
  }

  readInfo(memory: Memory): { version: number; connectionTableSize: number } {
    return {
      version: memory.word(this.#info.version.offset),
      connectionTableSize: memory.word(this.#info.connectionTableSize.offset),
    }
  }
}

type ReadTotal<Total> = (memory: Memory, at: number) => Total

/** How totals are read: exact to 2^53, or always. */
export const numberTotal: ReadTotal<number> = (memory, at) => memory.number64(at)
export const bigintTotal: ReadTotal<bigint> = (memory, at) => memory.bigint64(at)
