// The changes that nearly all traffic is made of, written straight into their records: a destination
// added, edited or deleted, a service without persistence and flags added or edited. Little comes into
// being on the way. Whatever is unusual or wrong is left to operations.ts, which takes everything and
// says what is wrong; a test holds what the kernel gets from the two against each other.

import { familyNumbers, familyOf } from './address.js'
import { commands } from './commands.js'
import { Places } from './direct-places.js'
import { AddressSeries, readAddress } from './address-words.js'
import type { AddressWords } from './address-words.js'
import { allFlags } from './records.js'
import { schedulerWords } from './scheduler-words.js'
import { defaultScheduler } from './service.js'
import type { Properties } from './validate.js'

// The compiler (V8) knows what a constant of this file is, and does not know what an imported one is: that
// costs 5 instructions each time.
const { NEW_DEST, SET_DEST, DEL_DEST, NEW_SERVICE, SET_SERVICE } = commands
const { ipv4, ipv6 } = familyNumbers

export type DirectVerb =
  'addDestination' | 'editDestination' | 'deleteDestination' | 'addService' | 'editService'

/** The command of a verb that can be written directly, 0 of others. */
const commandOf = (verb: unknown): number => {
  if (verb === 'editDestination') return SET_DEST
  if (verb === 'addDestination') return NEW_DEST
  if (verb === 'deleteDestination') return DEL_DEST
  if (verb === 'addService') return NEW_SERVICE
  return verb === 'editService' ? SET_SERVICE : 0
}

const isOfService = (command: number): boolean => command === NEW_SERVICE || command === SET_SERVICE

export const isDirectVerb = (verb: unknown): verb is DirectVerb => commandOf(verb) !== 0

// All of this is one file, because the compiler (V8) does not see through imports here: the names and
// the service in files of their own cost 600 instructions a change more.

// Comparing interned texts one by one is several times faster than looking them up in a list.
const isServiceName = (name: string): boolean =>
  name === 'protocol' ||
  name === 'address' ||
  name === 'port' ||
  name === 'fwmark' ||
  name === 'family' ||
  name === 'scheduler' ||
  name === 'schedulerFlags' ||
  name === 'onePacket' ||
  name === 'persistence' ||
  name === 'stats' ||
  name === 'destinations'

const isDestinationName = (name: string): boolean =>
  name === 'address' ||
  name === 'port' ||
  name === 'forwarding' ||
  name === 'weight' ||
  name === 'upperThreshold' ||
  name === 'lowerThreshold' ||
  name === 'family' ||
  name === 'activeConnections' ||
  name === 'inactiveConnections' ||
  name === 'persistentConnections' ||
  name === 'stats'

const isServiceOperationName = (name: string): boolean =>
  name === 'op' ||
  name === 'service' ||
  // Of a change of a plan.
  name === 'before' ||
  name === 'after' ||
  name === 'reason'

const isOperationName = (name: string): boolean =>
  name === 'destination' || isServiceOperationName(name)

/**
 * Whether there are no others, as takeObject has it, which refuses arrays and functions, too: these have a
 * length. What else is no object has no address.
 */
const hasOnly = (value: Properties, isKnown: (name: string) => boolean): boolean => {
  if (value['length'] !== undefined) return false
  for (const name in value) if (!isKnown(name)) return false
  return true
}

const isPort = (value: unknown): value is number =>
  typeof value === 'number' && (value & 0xffff) === value

const protocolNumber = (value: unknown): number =>
  value === 'tcp' ? 6 : value === 'udp' ? 17 : value === 'sctp' ? 132 : 0

const familyNumber = (value: unknown): number =>
  value === undefined || value === 'ipv4' ? ipv4 : value === 'ipv6' ? ipv6 : 0

/** A service as its record has it. */
interface PlainService {
  readonly family: number
  /** Whether it is a fwmark service. That has no protocol, address and port, and others have no fwmark. */
  readonly isMarked: boolean
  readonly protocol: number
  readonly address: AddressWords
  readonly port: number
  readonly fwmark: number
}

const noAddress: AddressWords = { family: 0, first: 0, second: 0, third: 0, fourth: 0 }

const takeFwmark = (value: Properties): PlainService | undefined => {
  const { protocol, address, port, family, fwmark } = value
  const isPlain =
    typeof fwmark === 'number' &&
    fwmark >>> 0 === fwmark &&
    fwmark !== 0 &&
    protocol === undefined &&
    address === undefined &&
    port === undefined &&
    hasOnly(value, isServiceName)
  const number = familyNumber(family)
  return isPlain && number !== 0
    ? { family: number, isMarked: true, protocol: 0, address: noAddress, port: 0, fwmark }
    : undefined
}

const services = new AddressSeries()
const destinations = new AddressSeries()

/** Undefined for what is for others to judge. */
const takeService = (value: unknown): PlainService | undefined => {
  if (value === undefined || value === null) return undefined
  const { protocol, address, port, family, fwmark } = value as Properties
  if (fwmark !== undefined) return takeFwmark(value as Properties)
  const number = protocolNumber(protocol)
  if (typeof address !== 'string' || number === 0 || !isPort(port)) return undefined
  const words = services.get(address)
  if (words === undefined) return undefined
  const isPlain =
    (family === undefined || family === familyOf(words.family)) &&
    hasOnly(value as Properties, isServiceName)
  return isPlain
    ? { family: words.family, isMarked: false, protocol: number, address: words, port, fwmark: 0 }
    : undefined
}

/** What `takeInteger` takes from 0 to 2^31-1. */
const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && (value | 0) === value && value >= 0

const forwardingNumber = (value: unknown): number =>
  value === undefined || value === 'dr' ? 3 : value === 'nat' ? 0 : value === 'tun' ? 2 : -1

/** Where records go. Asked for when all that a record is made of has been read. */
export interface Room {
  /** Of the next record, in words. There is room for one. */
  readonly place: number
  readonly words: Uint32Array
  /** There is a record at the place now. */
  advance(): void
}

const writeRest = (words: Uint32Array, at: number, address: AddressWords): void => {
  words[at + 1] = address.second
  words[at + 2] = address.third
  words[at + 3] = address.fourth
}

// Writing into any memory, each word that is read is written. Not read are fields whose bit is not set, the
// rest of an IPv4 address's room, and the part of the header that is about patches.

/**
 * To the compiler (V8), what is put once into a constant object is a constant, as what is there when this file
 * is imported is: places that it has to load, as those of a class are, make writing take twice as long.
 */
const layout = {} as { places: Places }

const findPlaces = (): void => {
  const found: { places?: Places } = layout
  found.places ??= new Places()
}

/** The header (native/ipvs/codec.h), and the service as a key. What its bits do not name is not read. */
const writeStart = (
  words: Uint32Array,
  at: number,
  command: number,
  service: PlainService,
): void => {
  const { places } = layout
  const { address, isMarked } = service
  words[at] = command
  words[at + 1] = 0
  words[at + places.servicePresent] = isMarked ? places.fwmarkKey : places.addressKey
  words[at + places.serviceFamily] = service.family
  words[at + places.protocol] = service.protocol
  words[at + places.serviceAddress] = address.first
  words[at + places.servicePort] = service.port
  words[at + places.fwmark] = service.fwmark
  if (address.family === ipv6) writeRest(words, at + places.serviceAddress, address)
}

const writeKey = (words: Uint32Array, at: number, address: AddressWords, port: number): void => {
  const { places } = layout
  words[at + places.family] = address.family
  words[at + places.address] = address.first
  words[at + places.port] = port
  if (address.family === ipv6) writeRest(words, at + places.address, address)
}

/** What has tun forwarding and names no tunnel has the plain one. */
const writeTunnel = (words: Uint32Array, at: number): void => {
  const { places } = layout
  words[at + places.destinationPresent] = places.tunBits
  words[at + places.tunnelType] = 0
  words[at + places.tunnelPort] = 0
  words[at + places.tunnelFlags] = 0
}

const writeDeletion = (room: Room, service: PlainService, value: Properties): boolean => {
  const { address, port = service.port, family } = value
  const isPlain =
    typeof address === 'string' &&
    isPort(port) &&
    (family === undefined || family === familyOf(service.family)) &&
    hasOnly(value, isDestinationName)
  const key = isPlain ? readAddress(address) : undefined
  if (key?.family !== service.family) return false
  const { places } = layout
  const { place: at, words } = room
  writeStart(words, at, DEL_DEST, service)
  writeKey(words, at, key, port as number)
  words[at + places.destinationPresent] = places.keyBits
  room.advance()
  return true
}

const writeDestination = (
  room: Room,
  command: number,
  service: PlainService,
  given: unknown,
): boolean => {
  if (given === undefined || given === null) return false
  const value = given as Properties
  if (command === DEL_DEST) return writeDeletion(room, service, value)
  const { address, port = service.port, family, forwarding, tunnel } = value
  const { weight = 1, upperThreshold = 0, lowerThreshold = 0 } = value
  const method = forwardingNumber(forwarding)
  if (
    typeof address !== 'string' ||
    !isPort(port) ||
    !isAmount(weight) ||
    !isAmount(upperThreshold) ||
    !isAmount(lowerThreshold) ||
    method < 0 ||
    tunnel !== undefined ||
    lowerThreshold > upperThreshold ||
    (port !== service.port && !service.isMarked && (method !== 0 || port === 0)) ||
    (family !== undefined && family !== familyOf(service.family)) ||
    !hasOnly(value, isDestinationName)
  )
    return false
  // What is added is mostly new; what is edited will be edited again.
  const key = command === SET_DEST ? destinations.get(address) : readAddress(address)
  if (key?.family !== service.family) return false
  const { places } = layout
  const { place: at, words } = room
  writeStart(words, at, command, service)
  writeKey(words, at, key, port)
  words[at + places.destinationPresent] = places.allBits
  words[at + places.forwarding] = method
  words[at + places.weight] = weight
  words[at + places.upperThreshold] = upperThreshold
  words[at + places.lowerThreshold] = lowerThreshold
  if (method === 2) writeTunnel(words, at)
  room.advance()
  return true
}

const writeService = (
  room: Room,
  command: number,
  service: PlainService,
  value: Properties,
): boolean => {
  const { scheduler = defaultScheduler, schedulerFlags, onePacket, persistence } = value
  const name = typeof scheduler === 'string' ? schedulerWords(scheduler) : undefined
  const isPlain =
    name !== undefined &&
    schedulerFlags === undefined &&
    (onePacket === undefined || onePacket === false) &&
    persistence === undefined &&
    (service.port !== 0 || service.isMarked)
  if (!isPlain) return false
  const { places } = layout
  const { place: at, words } = room
  writeStart(words, at, command, service)
  words[at + places.servicePresent] = service.isMarked
    ? places.wholeFwmarkBits
    : places.wholeAddressBits
  words.set(name, at + places.scheduler)
  words[at + places.flags] = 0
  words[at + places.flags + 1] = allFlags
  words[at + places.timeout] = 0
  // Each client by itself.
  words[at + places.netmask] = service.family === ipv6 ? 128 : 0xffffffff
  words[at + places.destinationPresent] = 0
  room.advance()
  return true
}

const writeServiceOperation = (room: Room, command: number, operation: Properties): boolean => {
  const { service } = operation
  const taken = takeService(service)
  return (
    taken !== undefined &&
    hasOnly(operation, isServiceOperationName) &&
    writeService(room, command, taken, service as Properties)
  )
}

// The service taken last. Within a batch many changes in a row are of one service.
let lastValue: unknown
let lastService: PlainService | undefined

const writeOperation = (room: Room, operation: unknown): boolean => {
  if (operation === undefined || operation === null) return false
  const { op, service, destination } = operation as Properties
  const command = commandOf(op)
  if (isOfService(command)) return writeServiceOperation(room, command, operation as Properties)
  if (command === 0 || !hasOnly(operation as Properties, isOperationName)) return false
  if (service !== lastValue || service === undefined) {
    lastService = takeService(service)
    lastValue = service
  }
  return lastService !== undefined && writeDestination(room, command, lastService, destination)
}

/**
 * Writes operations of a batch, from the number `from` on. Answers the number of the first one that is for
 * others to judge, `end` when there is none.
 */
export const writeOperations = (
  room: Room,
  operations: readonly unknown[],
  from: number,
  end: number,
): number => {
  findPlaces()
  // The caller may have changed its service since, and may do so in a getter that makes a batch.
  lastValue = undefined
  let index = from
  try {
    while (index < end && writeOperation(room, operations[index])) ++index
  } finally {
    lastValue = undefined
  }
  return index
}

/** Writes a change; false, and nothing is written, when it is for others to judge. */
export const writeChange = (
  room: Room,
  verb: DirectVerb,
  service: unknown,
  destination: unknown,
): boolean => {
  findPlaces()
  const command = commandOf(verb)
  const taken = takeService(service)
  if (taken === undefined) return false
  return isOfService(command)
    ? writeService(room, command, taken, service as Properties)
    : writeDestination(room, command, taken, destination)
}
