// The changes that nearly all traffic is made of, written straight into their records: a destination
// added, edited or deleted, a service without persistence and flags added or edited. Little comes into
// being on the way. Whatever is unusual or wrong is left to operations.ts, which takes everything and
// says what is wrong; a test holds what the kernel gets from the two against each other.

import { familyNumbers, familyOf } from './address.js'
import { commands } from './commands.js'
import { Places } from './direct-places.js'
import { ipv4Word, rememberedIpv4Word } from './ipv4.js'
import { ipv6Words, rememberedIpv6Words } from './ipv6.js'
import type { Ipv6Words } from './ipv6.js'
import { Known } from './known.js'
import { allFlags, recordFormat } from './records.js'
import { defaultScheduler, mostSchedulerName } from './service.js'
import { isName } from './validate.js'
import type { Properties } from './validate.js'

// The compiler (V8) knows what a constant of this file is, and does not know what an imported one is: that
// costs 5 instructions each time.
const { NEW_DEST, SET_DEST, DEL_DEST, NEW_SERVICE, SET_SERVICE } = commands
const { ipv4, ipv6 } = familyNumbers

export type DirectVerb =
  'addDestination' | 'editDestination' | 'deleteDestination' | 'addService' | 'editService'

/** The command of a verb that can be written directly, 0 of others. */
const commandOf = (verb: unknown): number => {
  switch (verb) {
    case 'addDestination':
      return NEW_DEST
    case 'editDestination':
      return SET_DEST
    case 'deleteDestination':
      return DEL_DEST
    case 'addService':
      return NEW_SERVICE
    case 'editService':
      return SET_SERVICE
    default:
      return 0
  }
}

const isOfService = (command: number): boolean => command === NEW_SERVICE || command === SET_SERVICE

export const isDirectVerb = (verb: unknown): verb is DirectVerb => commandOf(verb) !== 0

// All of this is one file, because the compiler (V8) does not see through imports here: the names and
// the service in files of their own cost 600 instructions a change more.

// Comparing interned texts one by one is several times faster than looking them up in a list.
const isServiceName = (name: string): boolean => {
  switch (name) {
    case 'protocol':
    case 'address':
    case 'port':
    case 'fwmark':
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

const isServiceOperationName = (name: string): boolean =>
  name === 'op' ||
  name === 'service' ||
  // Of a change of a plan.
  name === 'before' ||
  name === 'after' ||
  name === 'reason'

const isOperationName = (name: string): boolean =>
  name === 'destination' || isServiceOperationName(name)

/** Whether there are no others, as takeObject has it, which also refuses arrays: these have a length. */
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
  /** 0 of a fwmark service. */
  readonly protocol: number
  readonly word: number
  /** Of an IPv6 service. */
  readonly words: Ipv6Words | undefined
  readonly port: number
  /** 0 of an address service. */
  readonly fwmark: number
}

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
    ? { family: number, protocol: 0, word: 0, words: undefined, port: 0, fwmark }
    : undefined
}

/** Undefined for what is for others to judge. */
const takeService = (value: unknown): PlainService | undefined => {
  if (typeof value !== 'object' || value === null) return undefined
  const { protocol, address, port, family, fwmark } = value as Properties
  if (fwmark !== undefined) return takeFwmark(value as Properties)
  const number = protocolNumber(protocol)
  if (typeof address !== 'string' || number === 0 || !isPort(port)) return undefined
  const word = rememberedIpv4Word(address)
  const words = word === 0 ? rememberedIpv6Words(address) : undefined
  const own = words ? ipv6 : ipv4
  const isPlain =
    (word !== 0 || words !== undefined) &&
    (family === undefined || family === familyOf(own)) &&
    hasOnly(value as Properties, isServiceName)
  return isPlain ? { family: own, protocol: number, word, words, port, fwmark: 0 } : undefined
}

const schedulers = new Known<string, Uint32Array>()

/** The words of the name of a scheduler; undefined for what is for others to judge. */
const schedulerWords = (name: string): Uint32Array | undefined => {
  const known = schedulers.values.get(name)
  if (known || !isName(name, mostSchedulerName)) return known
  const made = new Uint32Array(recordFormat().service.sizeOf('scheduler') / 4)
  new TextEncoder().encodeInto(name, new Uint8Array(made.buffer))
  schedulers.keep(name, made)
  return made
}

// What is added is mostly new; what is edited will be edited again.
const destinationWord = (address: string, command: number): number =>
  command === SET_DEST ? rememberedIpv4Word(address) : ipv4Word(address)

const destinationWords = (address: string, command: number): Ipv6Words | undefined =>
  command === SET_DEST ? rememberedIpv6Words(address) : ipv6Words(address)

/** What `takeInteger` takes from 0 to 2^31-1. */
const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && (value | 0) === value && value >= 0

const forwardingNumber = (value: unknown): number =>
  value === undefined || value === 'dr' ? 3 : value === 'nat' ? 0 : value === 'tun' ? 2 : -1

/** A deletion sends no settings, and reads none: these fit any port. */
const ofDeleted: Properties = { forwarding: 'nat' }

/** Where records go. A place is asked for when all that the record is made of has been read. */
export interface Room {
  /** In words. */
  readonly place: number
  readonly words: Uint32Array
}

const writeIpv6 = (words: Uint32Array, at: number, [a, b, c, d]: Ipv6Words): void => {
  words[at] = a
  words[at + 1] = b
  words[at + 2] = c
  words[at + 3] = d
}

/**
 * Writes into any memory: each word that is read is written. Not read are fields whose bit is not
 * set, the rest of an IPv4 address's room, and the part of the header that is about patches.
 */
export class DirectWriter {
  readonly #places = new Places()
  // The service taken last. Within a batch many changes in a row are of one service.
  #value: unknown
  #service: PlainService | undefined

  /** Before and after what the caller may have changed its service, and whenever it is done with it. */
  forget(): void {
    this.#value = undefined
  }

  /** As {@link write}, for the next operation of a batch. */
  writeNext(room: Room, operation: unknown): boolean {
    if (typeof operation !== 'object' || operation === null) return false
    const { op, service, destination } = operation as Properties
    const command = commandOf(op)
    if (isOfService(command)) {
      const taken = takeService(service)
      return (
        taken !== undefined &&
        hasOnly(operation as Properties, isServiceOperationName) &&
        this.#writeService(room, command, taken, service as Properties)
      )
    }
    if (command === 0 || !hasOnly(operation as Properties, isOperationName)) return false
    if (service !== this.#value || service === undefined) {
      this.#service = takeService(service)
      this.#value = service
    }
    return this.#service !== undefined && this.#write(room, command, this.#service, destination)
  }

  /** Writes a change; false, and nothing is written, when it is for others to judge. */
  write(room: Room, verb: DirectVerb, service: unknown, destination: unknown): boolean {
    const command = commandOf(verb)
    const taken = takeService(service)
    if (!taken) return false
    return isOfService(command)
      ? this.#writeService(room, command, taken, service as Properties)
      : this.#write(room, command, taken, destination)
  }

  #write(room: Room, command: number, service: PlainService, value: unknown): boolean {
    if (typeof value !== 'object' || value === null) return false
    const isIpv6 = service.family === ipv6
    const { address, port = service.port, family } = value as Properties
    if (typeof address !== 'string') return false
    const word = isIpv6 ? 0 : destinationWord(address, command)
    const four = isIpv6 ? destinationWords(address, command) : undefined
    const isPlain =
      (word !== 0 || four !== undefined) &&
      isPort(port) &&
      (family === undefined || family === familyOf(service.family)) &&
      hasOnly(value as Properties, isDestinationName)
    if (!isPlain) return false
    const settings = command === DEL_DEST ? ofDeleted : (value as Properties)
    const { forwarding, tunnel, weight = 1, upperThreshold = 0, lowerThreshold = 0 } = settings
    const method = forwardingNumber(forwarding)
    const isWhole =
      method >= 0 &&
      tunnel === undefined &&
      (port === service.port || service.fwmark !== 0 || (method === 0 && port !== 0)) &&
      isAmount(weight) &&
      isAmount(upperThreshold) &&
      isAmount(lowerThreshold) &&
      lowerThreshold <= upperThreshold
    if (!isWhole) return false
    const places = this.#places
    const { place: at, words } = room
    this.#writeStart(words, at, command, service)
    words[at + places.family] = service.family
    if (four) writeIpv6(words, at + places.address, four)
    else words[at + places.address] = word
    words[at + places.port] = port
    words[at + places.destinationPresent] =
      command === DEL_DEST ? places.keyBits : method === 2 ? places.tunBits : places.allBits
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

  #writeService(room: Room, command: number, service: PlainService, value: Properties): boolean {
    const { scheduler = defaultScheduler, schedulerFlags, onePacket, persistence } = value
    const name = typeof scheduler === 'string' ? schedulerWords(scheduler) : undefined
    const isPlain =
      name !== undefined &&
      schedulerFlags === undefined &&
      (onePacket === undefined || onePacket === false) &&
      persistence === undefined &&
      (service.port !== 0 || service.fwmark !== 0)
    if (!isPlain) return false
    const places = this.#places
    const { place: at, words } = room
    this.#writeStart(words, at, command, service)
    words[at + places.servicePresent] =
      service.fwmark === 0 ? places.wholeAddressBits : places.wholeFwmarkBits
    words.set(name, at + places.scheduler)
    words[at + places.flags] = 0
    words[at + places.flags + 1] = allFlags
    words[at + places.timeout] = 0
    // Each client by itself.
    words[at + places.netmask] = service.family === ipv6 ? 128 : 0xffffffff
    words[at + places.destinationPresent] = 0
    return true
  }

  /** The header (native/ipvs/codec.h), and the service as a key. */
  #writeStart(words: Uint32Array, at: number, command: number, service: PlainService): void {
    const places = this.#places
    words[at] = command
    words[at + 1] = 0
    words[at + places.serviceFamily] = service.family
    if (service.fwmark !== 0) {
      words[at + places.servicePresent] = places.fwmarkKey
      words[at + places.fwmark] = service.fwmark
      return
    }
    words[at + places.servicePresent] = places.addressKey
    words[at + places.protocol] = service.protocol
    if (service.words) writeIpv6(words, at + places.serviceAddress, service.words)
    else words[at + places.serviceAddress] = service.word
    words[at + places.servicePort] = service.port
  }
}
