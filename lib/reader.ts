// Records that the addon read, as objects. What nearly every entry is, one of IPv4 with ordinary
// settings, is read straight from the words; all else goes by way of its fields. A test holds the
// two against each other.

import { familyNumbers } from './address.js'
import { describeDestination, forwardingNumbers, forwardingOf } from './destination.js'
import { ipv4Text, Memory } from './memory.js'
import { bigintTotal, numberTotal, recordFormat } from './records.js'
import type { CounterFields, CounterReader, ReadTotal } from './records.js'
import { describeService, protocolOf } from './service.js'
import type { Destination, Service } from '../types/observed.js'

// The two instances of these functions differ only in how a total is read, so their results are
// described as the union of both and narrowed by the caller's overloads.
export type Total = number | bigint

/** `IP_VS_SVC_F_HASHED`: every service that is in the kernel's table. */
const hashed = 0x02

const makePlaces = () => {
  const { service, destination } = recordFormat()
  return {
    serviceSize: service.size,
    serviceFamily: service.offset('family'),
    serviceBits: service.bits('family', 'protocol', 'address', 'port', 'scheduler', 'flags'),
    fwmarkBit: service.bits('fwmark'),
    protocol: service.offset('protocol'),
    serviceAddress: service.offset('address'),
    servicePort: service.offset('port'),
    scheduler: service.offset('scheduler'),
    schedulerSize: service.sizeOf('scheduler'),
    flags: service.offset('flags'),
    destinationSize: destination.size,
    destinationBits: destination.bits(
      'family',
      'address',
      'port',
      'forwarding',
      'weight',
      'upperThreshold',
      'lowerThreshold',
      'activeConnections',
      'inactiveConnections',
      'persistentConnections',
    ),
    family: destination.offset('family'),
    address: destination.offset('address'),
    port: destination.offset('port'),
    forwarding: destination.offset('forwarding'),
    weight: destination.offset('weight'),
    upperThreshold: destination.offset('upperThreshold'),
    lowerThreshold: destination.offset('lowerThreshold'),
    activeConnections: destination.offset('activeConnections'),
    inactiveConnections: destination.offset('inactiveConnections'),
    persistentConnections: destination.offset('persistentConnections'),
  }
}

let places: ReturnType<typeof makePlaces> | undefined

/** The records of one reply. */
export class Reader {
  readonly #memory: Memory
  readonly #readTotal: ReadTotal<Total>
  readonly #places: ReturnType<typeof makePlaces>
  readonly #format = recordFormat()
  // Most services have the scheduler of the one before.
  #schedulerAt = -1
  #scheduler = ''

  constructor(records: ArrayBuffer, bigint: boolean) {
    this.#memory = new Memory(records)
    this.#readTotal = bigint ? bigintTotal : numberTotal
    places ??= makePlaces()
    this.#places = places
  }

  /** `AF_INET` or `AF_INET6`. */
  serviceFamily(index: number): number {
    return this.#memory.word(index * this.#places.serviceSize + this.#places.serviceFamily)
  }

  /** How many services the reply has, when it is one of services. */
  get services(): number {
    return this.#memory.bytes.length / this.#places.serviceSize
  }

  get destinations(): number {
    return this.#memory.bytes.length / this.#places.destinationSize
  }

  service(index: number): Service<Total> {
    const memory = this.#memory
    const place = this.#places
    const at = index * place.serviceSize
    const isPlain =
      (memory.word(at) & (place.serviceBits | place.fwmarkBit)) === place.serviceBits &&
      memory.word(at + place.serviceFamily) === familyNumbers.ipv4 &&
      (memory.word(at + place.flags) & ~hashed) === 0
    if (!isPlain) {
      const described = describeService(this.#format.service.read(memory, at))
      return { ...described, stats: this.#stats(this.#format.serviceCounters, at) }
    }
    return {
      protocol: protocolOf(memory.word(at + place.protocol)),
      address: ipv4Text(memory.word(at + place.serviceAddress)),
      port: memory.word(at + place.servicePort),
      scheduler: this.#schedulerOf(at + place.scheduler),
      schedulerFlags: [],
      onePacket: false,
      stats: this.#stats(this.#format.serviceCounters, at),
    }
  }

  destination(index: number, serviceFamily: number): Destination<Total> {
    const memory = this.#memory
    const place = this.#places
    const at = index * place.destinationSize
    const bits = place.destinationBits
    const method = memory.word(at + place.forwarding)
    const isPlain =
      (memory.word(at) & bits) === bits &&
      memory.word(at + place.family) === familyNumbers.ipv4 &&
      method !== forwardingNumbers.tun
    if (!isPlain) {
      const fields = this.#format.destination.read(memory, at)
      const stats = this.#stats(this.#format.destinationCounters, at)
      return { ...describeDestination(fields, serviceFamily), stats }
    }
    return {
      address: ipv4Text(memory.word(at + place.address)),
      port: memory.word(at + place.port),
      family: 'ipv4',
      forwarding: forwardingOf(method),
      weight: memory.word(at + place.weight),
      upperThreshold: memory.word(at + place.upperThreshold),
      lowerThreshold: memory.word(at + place.lowerThreshold),
      activeConnections: memory.word(at + place.activeConnections),
      inactiveConnections: memory.word(at + place.inactiveConnections),
      persistentConnections: memory.word(at + place.persistentConnections),
      stats: this.#stats(this.#format.destinationCounters, at),
    }
  }

  #stats(reader: CounterReader, at: number): CounterFields<Total> {
    return reader.read(this.#memory, at, this.#readTotal)
  }

  #schedulerOf(at: number): string {
    const { schedulerSize } = this.#places
    if (this.#schedulerAt === -1 || !this.#memory.isEqual(at, this.#schedulerAt, schedulerSize)) {
      this.#scheduler = this.#memory.text(at, schedulerSize)
    }
    this.#schedulerAt = at
    return this.#scheduler
  }
}
