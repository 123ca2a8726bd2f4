// The changes that nearly all traffic is made of, written straight into their records: a destination
// of an IPv4 service, added, edited or deleted. No object and no text comes into being on the way.
// Whatever is unusual or wrong is left to operations.ts, which takes everything and says what is
// wrong; a test holds the bytes of the two against each other.

import { familyNumbers } from './address.js'
import { commands } from './commands.js'
import { ipv4Word } from './memory.js'
import { recordFormat } from './records.js'
import type { DestinationFields, ServiceFields } from './records.js'
import type { Properties } from './validate.js'

/** Verbs that can be written directly. */
const verbs = {
  addDestination: commands.NEW_DEST,
  editDestination: commands.SET_DEST,
  deleteDestination: commands.DEL_DEST,
} as const

export type DirectVerb = keyof typeof verbs

export const isDirectVerb = (verb: unknown): verb is DirectVerb =>
  verb === 'addDestination' || verb === 'editDestination' || verb === 'deleteDestination'

// Comparing interned texts one by one is several times faster than looking them up in a list.
const isServiceName = (name: string): boolean => {
  switch (name) {
    case 'protocol':
    case 'address':
    case 'port':
    case 'family':
    case 'scheduler':
    case 'schedulerFlags':
    case 'onePacket':
    case 'persistence':
    case 'stats':
    case 'destinations':
      return true
    default:
      return false
  }
}

const isDestinationName = (name: string): boolean => {
  switch (name) {
    case 'address':
    case 'port':
    case 'forwarding':
    case 'weight':
    case 'upperThreshold':
    case 'lowerThreshold':
    case 'family':
    case 'activeConnections':
    case 'inactiveConnections':
    case 'persistentConnections':
    case 'stats':
      return true
    default:
      return false
  }
}
const isOperationName = (name: string): boolean =>
  name === 'op' ||
  name === 'service' ||
  name === 'destination' ||
  // Of a change of a plan.
  name === 'before' ||
  name === 'after' ||
  name === 'reason'

const hasOnly = (value: object, isKnown: (name: string) => boolean): boolean => {
  if (Array.isArray(value)) return false
  for (const name in value) if (!isKnown(name)) return false
  return true
}

const isPort = (value: unknown): value is number =>
  typeof value === 'number' && (value & 0xffff) === value

/** What `takeInteger` takes from 0 to 2^31-1. */
const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && (value | 0) === value && value >= 0

const protocolNumber = (value: unknown): number =>
  value === 'tcp' ? 6 : value === 'udp' ? 17 : value === 'sctp' ? 132 : 0

const forwardingNumber = (value: unknown): number =>
  value === undefined || value === 'dr' ? 3 : value === 'nat' ? 0 : value === 'tun' ? 2 : -1

const makePlaces = () => {
  const { operation, service, destination } = recordFormat()
  const servicePlace = (name: keyof ServiceFields): number =>
    (operation.service + service.offset(name)) >> 2
  const place = (name: keyof DestinationFields): number =>
    (operation.destination + destination.offset(name)) >> 2
  const key = destination.bits('family', 'address', 'port')
  return {
    servicePresent: operation.service >> 2,
    serviceBits: service.bits('family', 'protocol', 'address', 'port'),
    serviceFamily: servicePlace('family'),
    protocol: servicePlace('protocol'),
    serviceAddress: servicePlace('address'),
    servicePort: servicePlace('port'),
    serviceEnd: servicePlace('fwmark'),
    destinationPresent: operation.destination >> 2,
    keyBits: key,
    allBits: key | destination.bits('forwarding', 'weight', 'upperThreshold', 'lowerThreshold'),
    tunnelBits: destination.bits('tunnelType', 'tunnelPort', 'tunnelFlags'),
    family: place('family'),
    address: place('address'),
    port: place('port'),
    forwarding: place('forwarding'),
    weight: place('weight'),
    upperThreshold: place('upperThreshold'),
    lowerThreshold: place('lowerThreshold'),
    tunnelType: place('tunnelType'),
    tunnelPort: place('tunnelPort'),
    tunnelFlags: place('tunnelFlags'),
  }
}

/** An IPv4 address, in a place with room for the other family's, where something older may stand. */
const writeAddress = (words: Uint32Array, at: number, word: number): void => {
  words[at] = word
  words[at + 1] = 0
  words[at + 2] = 0
  words[at + 3] = 0
}

/** Writes into any memory: each word that means anything is written. */
export class DirectWriter {
  readonly #places = makePlaces()
  // Within a batch many changes in a row are of one service.
  #lastService: unknown
  #lastWords: Uint32Array | undefined
  #lastAt = 0

  /** Before and after the changes of a batch. */
  forget(): void {
    this.#lastService = undefined
    this.#lastWords = undefined
  }

  /** As {@link write}, for the next operation of a batch. */
  writeNext(words: Uint32Array, at: number, operation: unknown): boolean {
    if (typeof operation !== 'object' || operation === null) return false
    const { op, service, destination } = operation as Properties
    return (
      isDirectVerb(op) &&
      hasOnly(operation, isOperationName) &&
      this.#writeLike(words, at, op, service, destination)
    )
  }

  #writeLike(
    words: Uint32Array,
    at: number,
    verb: DirectVerb,
    service: unknown,
    destination: unknown,
  ): boolean {
    if (service === undefined || service !== this.#lastService || words !== this.#lastWords) {
      this.#lastService = undefined
      if (!this.write(words, at, verb, service, destination)) return false
      this.#lastService = service
      this.#lastWords = words
      this.#lastAt = at
      return true
    }
    const { servicePresent, serviceEnd, servicePort } = this.#places
    for (let place = servicePresent; place < serviceEnd; ++place) {
      words[at + place] = words[this.#lastAt + place] ?? 0
    }
    return this.#finish(words, at, verb, destination, words[at + servicePort] ?? 0)
  }

  /**
   * Writes a change at a word; false when it is for others to judge, and the record then holds
   * nothing that means anything.
   */
  write(
    words: Uint32Array,
    at: number,
    verb: DirectVerb,
    service: unknown,
    destination: unknown,
  ): boolean {
    const servicePort = this.#writeService(words, at, service)
    return servicePort >= 0 && this.#finish(words, at, verb, destination, servicePort)
  }

  #finish(
    words: Uint32Array,
    at: number,
    verb: DirectVerb,
    destination: unknown,
    servicePort: number,
  ): boolean {
    // The header, see native/ipvs/codec.h.
    words[at] = verbs[verb]
    words[at + 1] = 0
    words[at + 2] = 0
    words[at + 3] = 0
    return verb === 'deleteDestination'
      ? this.#writeKey(words, at, destination, servicePort)
      : this.#writeDestination(words, at, destination, servicePort)
  }

  /** The port, or -1. */
  #writeService(words: Uint32Array, at: number, value: unknown): number {
    if (typeof value !== 'object' || value === null) return -1
    const { protocol, address, port, family, fwmark } = value as Properties
    const number = protocolNumber(protocol)
    const word = typeof address === 'string' ? ipv4Word(address) : 0
    const isPlain =
      number !== 0 &&
      word !== 0 &&
      isPort(port) &&
      fwmark === undefined &&
      (family === undefined || family === 'ipv4') &&
      hasOnly(value, isServiceName)
    if (!isPlain) return -1
    const places = this.#places
    words[at + places.servicePresent] = places.serviceBits
    words[at + places.serviceFamily] = familyNumbers.ipv4
    words[at + places.protocol] = number
    writeAddress(words, at + places.serviceAddress, word)
    words[at + places.servicePort] = port
    return port
  }

  #writeKey(words: Uint32Array, at: number, value: unknown, servicePort: number): boolean {
    if (typeof value !== 'object' || value === null) return false
    const { address, port = servicePort, family } = value as Properties
    const word = typeof address === 'string' ? ipv4Word(address) : 0
    const isPlain = word !== 0 && isPort(port) && (family === undefined || family === 'ipv4')
    if (!isPlain || !hasOnly(value, isDestinationName)) return false
    const places = this.#places
    words[at + places.destinationPresent] = places.keyBits
    words[at + places.family] = familyNumbers.ipv4
    writeAddress(words, at + places.address, word)
    words[at + places.port] = port
    return true
  }

  #writeDestination(words: Uint32Array, at: number, value: unknown, servicePort: number): boolean {
    if (!this.#writeKey(words, at, value, servicePort)) return false
    const places = this.#places
    const { forwarding, weight = 1, upperThreshold = 0, lowerThreshold = 0 } = value as Properties
    const method = forwardingNumber(forwarding)
    const port = words[at + places.port]
    const isPlain =
      method >= 0 &&
      (port === servicePort || (method === 0 && port !== 0)) &&
      isAmount(weight) &&
      isAmount(upperThreshold) &&
      isAmount(lowerThreshold) &&
      lowerThreshold <= upperThreshold
    if (!isPlain) return false
    words[at + places.destinationPresent] =
      method === 2 ? places.allBits | places.tunnelBits : places.allBits
    words[at + places.forwarding] = method
    words[at + places.weight] = weight
    words[at + places.upperThreshold] = upperThreshold
    words[at + places.lowerThreshold] = lowerThreshold
    // Read with tun alone, which has the plain tunnel unless it names one.
    words[at + places.tunnelType] = 0
    words[at + places.tunnelPort] = 0
    words[at + places.tunnelFlags] = 0
    return true
  }
}
