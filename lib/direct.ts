// The changes that nearly all traffic is made of, written straight into their records: a destination
// of an IPv4 service, added, edited or deleted. No object and no text comes into being on the way.
// Whatever is unusual or wrong is left to operations.ts, which takes everything and says what is
// wrong; a test holds the bytes of the two against each other.

import { familyNumbers } from './address.js'
import { commands } from './commands.js'
import { ipv4Word, rememberedIpv4Word } from './ipv4.js'
import { recordFormat } from './records.js'
import type { Properties } from './validate.js'

export type DirectVerb = 'addDestination' | 'editDestination' | 'deleteDestination'

/** The command of a verb that can be written directly, 0 of others. */
const commandOf = (verb: unknown): number => {
  switch (verb) {
    case 'addDestination':
      return commands.NEW_DEST
    case 'editDestination':
      return commands.SET_DEST
    case 'deleteDestination':
      return commands.DEL_DEST
    default:
      return 0
  }
}

export const isDirectVerb = (verb: unknown): verb is DirectVerb => commandOf(verb) !== 0

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

/** As takeObject has it, which also refuses arrays. */
const hasOnly = (value: object, isKnown: (name: string) => boolean): boolean => {
  if (Array.isArray(value)) return false
  for (const name in value) if (!isKnown(name)) return false
  return true
}

const isPort = (value: unknown): value is number =>
  typeof value === 'number' && (value & 0xffff) === value

/** What is added is mostly new; what is edited will be edited again. */
const destinationWord = (address: string, command: number): number =>
  command === commands.SET_DEST ? rememberedIpv4Word(address) : ipv4Word(address)

/** What `takeInteger` takes from 0 to 2^31-1. */
const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && (value | 0) === value && value >= 0

const protocolNumber = (value: unknown): number =>
  value === 'tcp' ? 6 : value === 'udp' ? 17 : value === 'sctp' ? 132 : 0

const forwardingNumber = (value: unknown): number =>
  value === undefined || value === 'dr' ? 3 : value === 'nat' ? 0 : value === 'tun' ? 2 : -1

// Which word of its part of a record a field is. DirectWriter has these numbers once more, as they
// are: there, looking up where a word goes would cost four times as much as writing it.
const serviceWords = { family: 1, protocol: 2, address: 3, port: 7 }
const destinationWords = {
  family: 1,
  address: 2,
  port: 6,
  forwarding: 7,
  weight: 8,
  upperThreshold: 9,
  lowerThreshold: 10,
  tunnelType: 11,
  tunnelPort: 12,
  tunnelFlags: 13,
}

/** Throws unless the addon has the fields there, too. */
const hold = <Name extends string>(
  table: { offset(name: NoInfer<Name>): number },
  words: Readonly<Record<Name, number>>,
): void => {
  for (const [name, word] of Object.entries<number>(words)) {
    if (table.offset(name as Name) === 4 * word) continue
    throw new Error(`the addon has the field ${name} in another place`)
  }
}

/** Where the parts of a record begin, in words, and which rows they have. */
const placesOf = () => {
  const { operation, service, destination } = recordFormat()
  hold(service, serviceWords)
  hold(destination, destinationWords)
  const key = destination.bits('family', 'address', 'port')
  const all = key | destination.bits('forwarding', 'weight', 'upperThreshold', 'lowerThreshold')
  return {
    service: operation.service >> 2,
    destination: operation.destination >> 2,
    serviceBits: service.bits('family', 'protocol', 'address', 'port'),
    keyBits: key,
    allBits: all,
    // What has tun forwarding and names no tunnel has the plain one.
    tunBits: all | destination.bits('tunnelType', 'tunnelPort', 'tunnelFlags'),
  }
}

/**
 * Writes into any memory: each word that is read is written. Not read are fields whose bit is not
 * set, the rest of an IPv4 address's room, and the part of the header that is about patches.
 */
export class DirectWriter {
  readonly #places = placesOf()
  // Of the service taken last. Within a batch many changes in a row are of one service.
  #service: unknown
  #protocol = 0
  #addressText = ''
  #address = 0
  #port = 0

  /** Whenever the caller may have changed its service since the last operation of a batch. */
  forget(): void {
    this.#service = undefined
  }

  /** As {@link write}, for the next operation of a batch. */
  writeNext(words: Uint32Array, at: number, operation: unknown): boolean {
    if (typeof operation !== 'object' || operation === null) return false
    const { op, service, destination } = operation as Properties
    const command = commandOf(op)
    if (command === 0) return false
    if (!hasOnly(operation, isOperationName)) return false
    if (service !== this.#service || service === undefined) {
      if (!this.#takeService(service)) return false
      this.#service = service
    }
    return this.#write(words, at, command, destination)
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
    return this.#takeService(service) && this.#write(words, at, commandOf(verb), destination)
  }

  #takeService(value: unknown): boolean {
    this.#service = undefined
    if (typeof value !== 'object' || value === null) return false
    const { protocol, address, port, family, fwmark } = value as Properties
    const number = protocolNumber(protocol)
    const word =
      address === this.#addressText
        ? this.#address
        : typeof address === 'string'
          ? rememberedIpv4Word(address)
          : 0
    const isPlain =
      number !== 0 &&
      word !== 0 &&
      isPort(port) &&
      fwmark === undefined &&
      (family === undefined || family === 'ipv4') &&
      hasOnly(value, isServiceName)
    if (!isPlain) return false
    this.#protocol = number
    this.#addressText = address as string
    this.#address = word
    this.#port = port
    return true
  }

  #write(words: Uint32Array, at: number, command: number, value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false
    // Before the caller's getters, which may make a call of their own.
    const protocol = this.#protocol
    const serviceAddress = this.#address
    const servicePort = this.#port
    const { address, port = servicePort, family, forwarding } = value as Properties
    const { weight = 1, upperThreshold = 0, lowerThreshold = 0 } = value as Properties
    const word = typeof address === 'string' ? destinationWord(address, command) : 0
    const isPlain =
      word !== 0 &&
      isPort(port) &&
      (family === undefined || family === 'ipv4') &&
      hasOnly(value, isDestinationName)
    if (!isPlain) return false
    const { service, destination, serviceBits, keyBits, allBits, tunBits } = this.#places
    // The header, see native/ipvs/codec.h.
    words[at] = command
    words[at + 1] = 0
    const first = at + service
    words[first] = serviceBits
    words[first + 1] = familyNumbers.ipv4
    words[first + 2] = protocol
    words[first + 3] = serviceAddress
    words[first + 7] = servicePort
    const second = at + destination
    words[second] = keyBits
    words[second + 1] = familyNumbers.ipv4
    words[second + 2] = word
    words[second + 6] = port
    if (command === commands.DEL_DEST) return true
    const method = forwardingNumber(forwarding)
    const isWhole =
      method >= 0 &&
      (port === servicePort || (method === 0 && port !== 0)) &&
      isAmount(weight) &&
      isAmount(upperThreshold) &&
      isAmount(lowerThreshold) &&
      lowerThreshold <= upperThreshold
    if (!isWhole) return false
    words[second] = method === 2 ? tunBits : allBits
    words[second + 7] = method
    words[second + 8] = weight
    words[second + 9] = upperThreshold
    words[second + 10] = lowerThreshold
    // Read with tun alone.
    words[second + 11] = 0
    words[second + 12] = 0
    words[second + 13] = 0
    return true
  }
}
