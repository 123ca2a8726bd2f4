// Records that the addon read, as objects. What nearly every entry is, one with ordinary settings, is
// read straight from the words; all else goes by way of its fields. A test holds the two against each
// other.

import { familyNumbers, familyOf } from './address.js'
import { describeDestination, forwardingNumbers, forwardingOf, tunnelOf } from './destination.js'
import { ipv4Text } from './ipv4.js'
import { ipv6Text } from './ipv6.js'
import { highWord, lowWord, Memory } from './memory.js'
import { bigintTotal, recordFormat } from './records.js'
import type { CounterFields } from './records.js'
import { describeService, protocolOf } from './service.js'
import type { Tunnel } from '../types/destination.js'
import type { Destination, Service } from '../types/observed.js'

// The two instances of these functions differ only in how a total is read, so their results are
// described as the union of both and narrowed by the caller's overloads.
export type Total = number | bigint

/** `IP_VS_SVC_F_HASHED`: every service that is in the kernel's table. */
const hashed = 0x02

/** Of the places in bytes, those in words. */
const inWords = <Name extends string>(places: Readonly<Record<Name, number>>) =>
  Object.fromEntries(
    Object.entries<number>(places).map(([name, place]) => [name, place >> 2]),
  ) as Record<Name, number>

/** Places and sizes are in words: bytes would have to be divided again and again. */
const makePlaces = () => {
  const { service, destination, serviceCounters, destinationCounters } = recordFormat()
  return {
    service: inWords({
      size: service.size,
      family: service.offset('family'),
      protocol: service.offset('protocol'),
      address: service.offset('address'),
      port: service.offset('port'),
      scheduler: service.offset('scheduler'),
      schedulerSize: service.sizeOf('scheduler'),
      flags: service.offset('flags'),
      fwmark: service.offset('fwmark'),
    }),
    serviceBits: service.bits('family', 'protocol', 'address', 'port', 'scheduler', 'flags'),
    fwmarkBits: service.bits('family', 'fwmark', 'scheduler', 'flags'),
    fwmarkBit: service.bits('fwmark'),
    serviceCounters: inWords(serviceCounters.places),
    destination: inWords({
      size: destination.size,
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
      tunnelType: destination.offset('tunnelType'),
      tunnelPort: destination.offset('tunnelPort'),
      tunnelFlags: destination.offset('tunnelFlags'),
    }),
    tunnelBits: destination.bits('tunnelType', 'tunnelPort', 'tunnelFlags'),
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
    destinationCounters: inWords(destinationCounters.places),
  }
}

let places: ReturnType<typeof makePlaces> | undefined

const isFamily = (number: number): boolean =>
  number === familyNumbers.ipv4 || number === familyNumbers.ipv6

const wordAt = (words: Uint32Array, at: number): number => (words[at] ?? 0) | 0

const addressAt = (words: Uint32Array, at: number, family: number): string =>
  family === familyNumbers.ipv4
    ? ipv4Text(wordAt(words, at))
    : ipv6Text(
        wordAt(words, at),
        wordAt(words, at + 1),
        wordAt(words, at + 2),
        wordAt(words, at + 3),
      )

const totalAt = (words: Uint32Array, at: number): number => {
  const low = words[at + lowWord] ?? 0
  const high = words[at + highWord] ?? 0
  // Mostly there is none, and then the number stays a small integer.
  return high === 0 ? low : low + high * 2 ** 32
}

/** Counters as numbers, at a word. */
const statsAt = (
  words: Uint32Array,
  at: number,
  place: CounterFields<number>,
): CounterFields<number> => ({
  connections: totalAt(words, at + place.connections),
  packetsIn: totalAt(words, at + place.packetsIn),
  packetsOut: totalAt(words, at + place.packetsOut),
  bytesIn: totalAt(words, at + place.bytesIn),
  bytesOut: totalAt(words, at + place.bytesOut),
  connectionsPerSecond: totalAt(words, at + place.connectionsPerSecond),
  packetsInPerSecond: totalAt(words, at + place.packetsInPerSecond),
  packetsOutPerSecond: totalAt(words, at + place.packetsOutPerSecond),
  bytesInPerSecond: totalAt(words, at + place.bytesInPerSecond),
  bytesOutPerSecond: totalAt(words, at + place.bytesOutPerSecond),
})

/** The records of one reply. */
export class Reader {
  readonly #memory: Memory
  readonly #words: Uint32Array
  readonly #bigint: boolean
  readonly #places: ReturnType<typeof makePlaces>
  readonly #format = recordFormat()
  // Most services have the scheduler of the one before.
  #schedulerAt = -1
  #scheduler = ''

  constructor(records: ArrayBuffer, bigint: boolean) {
    this.#memory = new Memory(records)
    this.#words = this.#memory.words
    this.#bigint = bigint
    places ??= makePlaces()
    this.#places = places
  }

  /** `AF_INET` or `AF_INET6`. */
  serviceFamily(index: number): number {
    const { size, family } = this.#places.service
    return this.#words[index * size + family] ?? 0
  }

  /** How many services the reply has, when it is one of services. */
  get services(): number {
    return this.#words.length / this.#places.service.size
  }

  get destinations(): number {
    return this.#words.length / this.#places.destination.size
  }

  service(index: number): Service<Total> {
    const words = this.#words
    const { service: place, serviceBits, fwmarkBits, fwmarkBit, serviceCounters } = this.#places
    const at = index * place.size
    const present = words[at] ?? 0
    const family = words[at + place.family] ?? 0
    const isMarked = (present & fwmarkBit) !== 0
    const bits = isMarked ? fwmarkBits : serviceBits
    const isPlain =
      (present & bits) === bits &&
      isFamily(family) &&
      ((words[at + place.flags] ?? 0) & ~hashed) === 0
    const stats = this.#bigint
      ? this.#format.serviceCounters.read(this.#memory, 4 * at, bigintTotal)
      : statsAt(words, at, serviceCounters)
    if (!isPlain) {
      return { ...describeService(this.#format.service.read(this.#memory, 4 * at)), stats }
    }
    const scheduler = this.#schedulerOf(4 * (at + place.scheduler))
    if (isMarked) {
      return {
        fwmark: words[at + place.fwmark] ?? 0,
        family: familyOf(family),
        scheduler,
        schedulerFlags: [],
        onePacket: false,
        stats,
      }
    }
    return {
      protocol: protocolOf(words[at + place.protocol]),
      address: addressAt(words, at + place.address, family),
      port: words[at + place.port] ?? 0,
      scheduler,
      schedulerFlags: [],
      onePacket: false,
      stats,
    }
  }

  /** Makes `count` destinations, from the record `index` on, and puts them into a list. */
  fill(
    list: Destination<Total>[],
    at: number,
    index: number,
    count: number,
    serviceFamily: number,
  ): void {
    for (let done = 0; done < count; ++done) {
      list[at + done] = this.destination(index + done, serviceFamily)
    }
  }

  destination(index: number, serviceFamily: number): Destination<Total> {
    const words = this.#words
    const { destination: place, destinationBits, tunnelBits, destinationCounters } = this.#places
    const at = index * place.size
    const family = words[at + place.family] ?? 0
    const method = words[at + place.forwarding] ?? 0
    const isTunnel = method === forwardingNumbers.tun
    const bits = isTunnel ? destinationBits | tunnelBits : destinationBits
    const isPlain = ((words[at] ?? 0) & bits) === bits && isFamily(family)
    const stats = this.#bigint
      ? this.#format.destinationCounters.read(this.#memory, 4 * at, bigintTotal)
      : statsAt(words, at, destinationCounters)
    if (!isPlain) {
      const fields = this.#format.destination.read(this.#memory, 4 * at)
      return { ...describeDestination(fields, serviceFamily), stats }
    }
    const read: Destination<Total> & { tunnel?: Tunnel } = {
      address: addressAt(words, at + place.address, family),
      port: words[at + place.port] ?? 0,
      family: familyOf(family),
      forwarding: forwardingOf(method),
      weight: words[at + place.weight] ?? 0,
      upperThreshold: words[at + place.upperThreshold] ?? 0,
      lowerThreshold: words[at + place.lowerThreshold] ?? 0,
      activeConnections: words[at + place.activeConnections] ?? 0,
      inactiveConnections: words[at + place.inactiveConnections] ?? 0,
      persistentConnections: words[at + place.persistentConnections] ?? 0,
      stats,
    }
    if (isTunnel) {
      read.tunnel = tunnelOf(
        words[at + place.tunnelType],
        words[at + place.tunnelPort],
        words[at + place.tunnelFlags],
      )
    }
    return read
  }

  #schedulerOf(at: number): string {
    const size = 4 * this.#places.service.schedulerSize
    if (this.#schedulerAt === -1 || !this.#memory.isEqual(at, this.#schedulerAt, size)) {
      this.#scheduler = this.#memory.text(at, size)
    }
    this.#schedulerAt = at
    return this.#scheduler
  }
}
