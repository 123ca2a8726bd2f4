// The changes that nearly all traffic is made of, written straight into their records: a destination
// of an IPv4 service, added, edited or deleted. No object and no text comes into being on the way.
// Whatever is unusual or wrong is left to operations.ts, which takes everything and says what is
// wrong; a test holds what the kernel gets from the two against each other.

import { familyNumbers } from './address.js'
import { commands } from './commands.js'
import { ipv4Word, rememberedIpv4Word } from './ipv4.js'
import { recordFormat } from './records.js'
import type { DestinationFields, ServiceFields } from './records.js'
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

/** A deletion sends no settings, and reads none: these fit any port. */
const ofDeleted: Properties = { forwarding: 'nat' }

/** Where things go in a record, in words, and which rows it then has. */
const makePlaces = () => {
  const { operation, service, destination } = recordFormat()
  const servicePlace = (name: keyof ServiceFields): number =>
    (operation.service + service.offset(name)) >> 2
  const place = (name: keyof DestinationFields): number =>
    (operation.destination + destination.offset(name)) >> 2
  const key = destination.bits('family', 'address', 'port')
  const all = key | destination.bits('forwarding', 'weight', 'upperThreshold', 'lowerThreshold')
  return {
    servicePresent: operation.service >> 2,
    serviceBits: service.bits('family', 'protocol', 'address', 'port'),
    serviceFamily: servicePlace('family'),
    protocol: servicePlace('protocol'),
    serviceAddress: servicePlace('address'),
    servicePort: servicePlace('port'),
    destinationPresent: operation.destination >> 2,
    keyBits: key,
    allBits: all,
    // What has tun forwarding and names no tunnel has the plain one.
    tunBits: all | destination.bits('tunnelType', 'tunnelPort', 'tunnelFlags'),
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

/** Where records go. A place is asked for when all that the record is made of has been read. */
export interface Room {
  /** In words. */
  readonly place: number
  readonly words: Uint32Array
}

/**
 * Writes into any memory: each word that is read is written. Not read are fields whose bit is not
 * set, the rest of an IPv4 address's room, and the part of the header that is about patches.
 */
export class DirectWriter {
  readonly #places = makePlaces()
  // Of the service taken last. Within a batch many changes in a row are of one service.
  #service: unknown
  #protocol = 0
  #address = 0
  #port = 0

  /** Before and after what the caller may have changed its service, and whenever it is done with it. */
  forget(): void {
    this.#service = undefined
  }

  /** As {@link write}, for the next operation of a batch. */
  writeNext(room: Room, operation: unknown): boolean {
    if (typeof operation !== 'object' || operation === null) return false
    const { op, service, destination } = operation as Properties
    const command = commandOf(op)
    if (command === 0 || !hasOnly(operation, isOperationName)) return false
    if (service !== this.#service || service === undefined) {
      if (!this.#takeService(service)) return false
      this.#service = service
    }
    return this.#write(room, command, destination)
  }

  /** Writes a change; false, and nothing is written, when it is for others to judge. */
  write(room: Room, verb: DirectVerb, service: unknown, destination: unknown): boolean {
    return this.#takeService(service) && this.#write(room, commandOf(verb), destination)
  }

  #takeService(value: unknown): boolean {
    this.#service = undefined
    if (typeof value !== 'object' || value === null) return false
    const { protocol, address, port, family, fwmark } = value as Properties
    const number = protocolNumber(protocol)
    const word = typeof address === 'string' ? rememberedIpv4Word(address) : 0
    const isPlain =
      number !== 0 &&
      word !== 0 &&
      isPort(port) &&
      fwmark === undefined &&
      (family === undefined || family === 'ipv4') &&
      hasOnly(value, isServiceName)
    if (!isPlain) return false
    this.#protocol = number
    this.#address = word
    this.#port = port
    return true
  }

  #write(room: Room, command: number, value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false
    // Before the caller's getters, which may make a call of their own.
    const protocol = this.#protocol
    const serviceAddress = this.#address
    const servicePort = this.#port
    const { address, port = servicePort, family } = value as Properties
    const word = typeof address === 'string' ? destinationWord(address, command) : 0
    const isPlain =
      word !== 0 &&
      isPort(port) &&
      (family === undefined || family === 'ipv4') &&
      hasOnly(value, isDestinationName)
    if (!isPlain) return false
    const settings = command === commands.DEL_DEST ? ofDeleted : (value as Properties)
    const { forwarding, tunnel, weight = 1, upperThreshold = 0, lowerThreshold = 0 } = settings
    const method = forwardingNumber(forwarding)
    const isWhole =
      method >= 0 &&
      tunnel === undefined &&
      (port === servicePort || (method === 0 && port !== 0)) &&
      isAmount(weight) &&
      isAmount(upperThreshold) &&
      isAmount(lowerThreshold) &&
      lowerThreshold <= upperThreshold
    if (!isWhole) return false
    const places = this.#places
    const { place: at, words } = room
    // The header, see native/ipvs/codec.h.
    words[at] = command
    words[at + 1] = 0
    words[at + places.servicePresent] = places.serviceBits
    words[at + places.serviceFamily] = familyNumbers.ipv4
    words[at + places.protocol] = protocol
    words[at + places.serviceAddress] = serviceAddress
    words[at + places.servicePort] = servicePort
    words[at + places.family] = familyNumbers.ipv4
    words[at + places.address] = word
    words[at + places.port] = port
    words[at + places.destinationPresent] =
      command === commands.DEL_DEST
        ? places.keyBits
        : method === 2
          ? places.tunBits
          : places.allBits
    words[at + places.forwarding] = method
    words[at + places.weight] = weight
    words[at + places.upperThreshold] = upperThreshold
    words[at + places.lowerThreshold] = lowerThreshold
    // Read with tun alone.
    words[at + places.tunnelType] = 0
    words[at + places.tunnelPort] = 0
    words[at + places.tunnelFlags] = 0
    return true
  }
}
