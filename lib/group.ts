// Changes that travel together: their records, and what became of them.

import { commandOf, commands } from './commands.js'
import type { Command } from './commands.js'
import { writeChange, writeOperations } from './direct.js'
import type { DirectVerb, Room } from './direct.js'
import { errorFor } from './errors.js'
import type { IpvsError, KnownFailure } from './errors.js'
import { Memory } from './memory.js'
import type { Missing } from './meanings.js'
import { operationKinds, recordFormat } from './records.js'
import type { ConfigFields, DaemonFields, DestinationFields, ServiceFields } from './records.js'
import { requestOf } from './requests.js'
import type { Steps } from './turns.js'
import type { OutcomesReply } from '../types/addon.js'
import type { OperationOutcome } from '../types/ipvs.js'

/** One change, checked: what its record is made of. */
export interface Change {
  readonly command: Command
  readonly service?: ServiceFields
  readonly destination?: DestinationFields
  readonly daemon?: DaemonFields
  readonly config?: ConfigFields
  /** Present: what the records do not name stays as it is (native/ipvs/patch.h). */
  readonly patch?: { readonly defaultTimeout: number; readonly keepsScheduler: boolean }
}

/** More changes than one call makes. */
const firstCount = 3

/** Bytes for so many changes, and where the next one would go. */
const roomFor = (count: number): number => (count + 1) * recordFormat().operation.size

// Kept from one group to the next, one of the first size and a large one: memory that the kernel has
// to clear first costs as much as what is written into it, and that of a lone call more than the rest
// of it. More than this is seldom needed twice.
const leastLarge = 1 << 16
const mostLarge = 1 << 22

let small: Memory | undefined
let large: Memory | undefined

const takeMemory = (size: number): Memory => {
  const isSmall = size < leastLarge
  const memory = isSmall ? small : large
  if (!memory || memory.bytes.length < size) return new Memory(new ArrayBuffer(size))
  if (isSmall) small = undefined
  else large = undefined
  return memory
}

const giveBack = (memory: Memory): void => {
  const { length } = memory.bytes
  if (length >= leastLarge && length <= mostLarge) large = memory
  else if (length === roomFor(firstCount)) small = memory
}

const kindOffset = 4

/** See native/ipvs/codec.h: the header of a change, by word. */
const writeHeader = (memory: Memory, at: number, { command, patch }: Change): void => {
  memory.setWord(at, commands[command])
  if (!patch) return
  memory.setWord(at + kindOffset, operationKinds.patch)
  memory.setWord(at + 8, patch.defaultTimeout)
  memory.setWord(at + 12, Number(patch.keepsScheduler))
}

const write = (memory: Memory, at: number, change: Change): void => {
  const format = recordFormat()
  const { size, service, destination } = format.operation
  memory.bytes.fill(0, at, at + size)
  writeHeader(memory, at, change)
  if (change.service) format.service.write(memory, at + service, change.service)
  if (change.destination) format.destination.write(memory, at + destination, change.destination)
  // These two take the service's place.
  if (change.daemon) format.daemon.write(memory, at + service, change.daemon)
  if (change.config) format.config.write(memory, at + service, change.config)
}

/** The record of a change that travels alone. */
export const encodeOne = (change: Change): Uint8Array => {
  const memory = new Memory(new ArrayBuffer(recordFormat().operation.size))
  write(memory, 0, change)
  return memory.bytes
}

const ignore = (): void => undefined

/** What the addon answered about the changes of a group, which may be some of many. */
interface Answer {
  /** Stage and errno of each change. */
  readonly pairs: Int32Array
  readonly texts: OutcomesReply['texts']
  /** The number of the group's first change. */
  readonly first: number
  /** See {@link KnownFailure}. */
  readonly cause?: Error | undefined
}

const hasFailure = ({ pairs, first }: Answer, count: number): boolean => {
  for (let index = 2 * first; index < 2 * (first + count); index += 2) {
    if (pairs[index] !== 0) return true
  }
  return false
}

/** Why {@link Group.outcome} has something to tell. */
const someFailed = new Error('some changes have failed')

/**
 * Changes that were called together. Whoever adds one awaits {@link Group.ended} and then asks for the
 * failure at its number, so that an error has its caller in its stack.
 */
export class Group implements Room {
  /** Rejects when there is something to tell: of single changes, or of all of them. */
  readonly #made: Promise<void>
  #preparing: Promise<void> | undefined
  #missing: Map<number, Missing> | undefined
  /** Of a record. */
  readonly #size = recordFormat().operation.size
  #memory: Memory
  #count = 0
  /** Where the next record goes, in words; there is room for it. */
  place = 0
  words: Uint32Array
  #answer: Answer | undefined
  #settle!: { readonly resolve: () => void; readonly reject: (error: unknown) => void }

  constructor(room = firstCount) {
    this.#memory = takeMemory(roomFor(room))
    this.words = this.#memory.words
    this.#made = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    // Whoever had a change in it may have given up on it.
    this.#made.catch(ignore)
  }

  /** Rejects when nothing is known of the changes, as when the handle cannot be opened. */
  async ended(): Promise<void> {
    try {
      await this.#made
    } catch (error) {
      if (error !== someFailed) throw error
    }
  }

  /** Resolves, never rejects, once all changes are written; undefined when they are. */
  get preparing(): Promise<void> | undefined {
    return this.#preparing
  }

  /** The rest of the changes are on their way; when one is refused, there are none. */
  prepare(work: Promise<void> | undefined): void {
    const settled = (): void => (this.#preparing = undefined)
    this.#preparing = work?.then(settled, () => {
      this.truncate(0)
      settled()
    })
  }

  get count(): number {
    return this.#count
  }

  /** The records; valid until the group has ended. */
  get bytes(): Uint8Array {
    return this.#memory.start(this.#count * this.#size)
  }

  /** Adds a change and answers its number. */
  add(change: Change): number {
    write(this.#memory, 4 * this.place, change)
    this.advance()
    return this.#count - 1
  }

  /** Adds a plain change; -1 when it is for {@link add}, with all checks. */
  addDirect(verb: DirectVerb, service: unknown, destination: unknown): number {
    return writeChange(this, verb, service, destination) ? this.#count - 1 : -1
  }

  /**
   * As {@link addDirect}, for elements of a batch. Answers the number of the first one that is for
   * {@link add}, `end` when there is none.
   */
  addOperations(operations: readonly unknown[], from: number, end: number): number {
    return writeOperations(this, operations, from, end)
  }

  /** What a change is to add is edited where it is there already. */
  editIfExists(index: number): void {
    this.#memory.setWord(index * this.#size + kindOffset, operationKinds.editIfExists)
  }

  /** Takes back the changes from this number on. */
  truncate(count: number): void {
    this.#count = count
    this.place = (count * this.#size) >> 2
  }

  advance(): void {
    const words = this.#size >> 2
    // First, as there may be no memory.
    if (this.place + 2 * words > this.words.length) this.#grow()
    this.place += words
    ++this.#count
  }

  #grow(): void {
    const before = this.#memory
    this.#memory = takeMemory(2 * before.bytes.length)
    this.#memory.bytes.set(before.bytes)
    this.words = this.#memory.words
    giveBack(before)
  }

  /**
   * The outcome of the change that was added last, as a promise of its own. To be asked for once, of
   * each change or of none: the reactions to one promise come in the order in which they were asked
   * for, so that one function serves all of them. Where all were made, there is nothing to be called.
   */
  outcome(): Promise<void> {
    return this.#made.then(undefined, this.#throwNext)
  }

  #told = 0
  /** An error is made where it is thrown, in a reaction: so its stack leads to the caller. */
  readonly #throwNext = (error: unknown): void => {
    if (error !== someFailed) throw error
    this.throwFailure(this.#told++)
  }

  /** The failure of a change, as the addon told it. */
  failureAt(index: number): KnownFailure | undefined {
    if (!this.#answer) return undefined
    const { pairs, texts, first, cause } = this.#answer
    const place = first + index
    const stage = pairs[2 * place] ?? 0
    if (stage === 0) return undefined
    const missing = this.#missing?.get(index)
    const failure = { stage, errno: pairs[2 * place + 1] ?? 0, text: texts[place] ?? '' }
    if (cause) return { ...failure, cause }
    return missing ? { ...failure, missing } : failure
  }

  requestAt(index: number): ReturnType<typeof requestOf> {
    return requestOf(this.#memory, index * this.#size)
  }

  commandAt(index: number): string {
    return commandOf(this.#memory.word(index * this.#size))
  }

  /** The error of a change, undefined when the kernel made it. */
  errorAt(index: number): IpvsError | undefined {
    const failure = this.failureAt(index)
    return failure && errorFor(failure, this.requestAt(index))
  }

  /** To be called in a reaction to {@link ended}. */
  throwFailure(index: number): void {
    const error = this.errorAt(index)
    if (error) throw error
  }

  /** Whether any of the changes has failed. */
  get hasFailed(): boolean {
    return this.#answer !== undefined
  }

  /** The numbers of the changes that failed. */
  *failures(): Generator<number> {
    if (!this.#answer) return
    const { pairs, first } = this.#answer
    for (let index = 0; index < this.#count; ++index) {
      if (pairs[2 * (first + index)] !== 0) yield index
    }
  }

  /** What a batch answers. */
  *outcomes(): Steps<OperationOutcome[]> {
    const outcomes = new Array<OperationOutcome>(this.#count)
    for (let index = 0; index < this.#count; ++index) outcomes[index] = { ok: true }
    for (const index of this.failures()) {
      yield
      const error = this.errorAt(index)
      if (error) outcomes[index] = { ok: false, error }
    }
    return outcomes
  }

  /** Takes what the addon answered; the group's changes begin with this number there. */
  answer(pairs: Int32Array, texts: OutcomesReply['texts'], first: number): void {
    const answer = { pairs, texts, first }
    if (hasFailure(answer, this.#count)) this.#answer = answer
  }

  /** There is no answer: all changes have failed in the same way. */
  answerAll({ stage, errno, cause }: KnownFailure): void {
    const pairs = new Int32Array(2 * this.#count)
    for (let index = 0; index < this.#count; ++index) pairs.set([stage, errno], 2 * index)
    this.#answer = { pairs, texts: {}, first: 0, cause }
  }

  /** Notes which of two things a change lacks. */
  noteMissing(index: number, missing: Missing | undefined): void {
    if (!missing) return
    this.#missing ??= new Map()
    this.#missing.set(index, missing)
  }

  end(): void {
    if (this.#answer) {
      // Their records are still needed, for the errors.
      this.#settle.reject(someFailed)
      return
    }
    giveBack(this.#memory)
    this.#settle.resolve()
  }

  fail(error: unknown): void {
    this.#settle.reject(error)
  }
}
