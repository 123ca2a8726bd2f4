// Changes on their way to the kernel: those of one tick, and those called while others are under
// way, travel together; each gets its own outcome; their order is kept.

import { abortError, closedError } from './errors.js'
import { encodeOne, Group } from './group.js'
import { withSignal } from './handle.js'
import type { Handle } from './handle.js'
import type { Missing } from './meanings.js'
import { missingAfter, schedulerInDoubt, schedulerProbe } from './probe.js'
import { failureOfRejection } from './rejection.js'
import { stepInTurns, turnNowAndThen } from './turns.js'
import type { Steps } from './turns.js'
import type { Connection, OutcomesReply } from '../types/addon.js'

/** The records of several groups, one after the other. */
const join = (groups: readonly Group[]): Uint8Array => {
  const [only] = groups
  if (only && groups.length === 1) return only.bytes
  const parts = groups.map(({ bytes }) => bytes)
  const all = new Uint8Array(parts.reduce((size, { length }) => size + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

const distribute = (groups: readonly Group[], { outcomes, texts }: OutcomesReply): void => {
  const pairs = new Int32Array(outcomes)
  let first = 0
  for (const group of groups) {
    group.answer(pairs, texts, first)
    first += group.count
  }
}

const askForScheduler = async (
  native: Connection,
  scheduler: string,
): Promise<Missing | undefined> => {
  // Should it end badly, the question stays open, and the changes' own outcomes are known.
  const question = native.apply(encodeOne(schedulerProbe(scheduler)))
  const reply = await question.catch(() => undefined)
  const [stage = 0, errno = 0] = new Int32Array(reply?.outcomes ?? new ArrayBuffer(0))
  return missingAfter({ stage, errno })
}

/** A change of which the kernel leaves open what is missing. */
interface Doubt {
  readonly group: Group
  readonly index: number
  readonly scheduler: string
}

function* findDoubts(groups: readonly Group[]): Steps<Doubt[]> {
  const doubts: Doubt[] = []
  for (const group of groups) {
    for (const index of group.failures()) {
      yield
      if (!group.commandAt(index).endsWith('_SERVICE')) continue
      const failure = group.failureAt(index)
      const scheduler = schedulerInDoubt(failure, () => group.requestAt(index))
      if (scheduler !== undefined) doubts.push({ group, index, scheduler })
    }
  }
  return doubts
}

/** Where the kernel leaves open what is missing, it is asked again before anybody hears of it. */
const askWhatIsMissing = async (native: Connection, groups: readonly Group[]): Promise<void> => {
  const answers = new Map<string, Missing | undefined>()
  for (const { group, index, scheduler } of await stepInTurns(findDoubts(groups))) {
    if (!answers.has(scheduler)) answers.set(scheduler, await askForScheduler(native, scheduler))
    group.noteMissing(index, answers.get(scheduler))
  }
}

/** Sends the changes of groups, and tells these what became of them. */
const carryOut = async (
  native: Connection,
  groups: readonly Group[],
  bytes: Uint8Array,
): Promise<void> => {
  const sent = native.apply(bytes)
  let reply: OutcomesReply | undefined
  try {
    reply = await sent
  } catch (error) {
    // Each caller is told so of its own changes.
    groups.forEach((group) => group.answerAll(failureOfRejection(error)))
    return
  }
  if (!reply) return
  distribute(groups, reply)
  if (groups.some(({ hasFailed }) => hasFailed)) await askWhatIsMissing(native, groups)
}

/** The one way of a handle's changes to the kernel. */
export class ChangeQueue {
  readonly #handle: Handle<Connection>
  #waiting: Group[] = []
  /** The last group, as long as the next call may join it. */
  #open: Group | undefined
  #sending = false

  constructor(handle: Handle<Connection>) {
    this.#handle = handle
  }

  /** The group for the next call's changes. One with a signal has a group of its own. */
  groupFor(signal: AbortSignal | undefined): Group {
    if (signal) return new Group()
    this.#open ??= new Group()
    return this.#open
  }

  /**
   * Lets the changes go that the group has from the number `from` on. Throws, and takes them back,
   * when they may not.
   */
  send(what: string, group: Group, from: number, signal: AbortSignal | undefined): void {
    const isAborted = signal?.aborted === true
    if (this.#handle.isClosed || isAborted) {
      group.truncate(from)
      throw isAborted && !this.#handle.isClosed ? abortError(signal, false) : closedError(what)
    }
    if (group !== this.#open) this.#open = undefined
    else if (this.#isLast(group)) return
    // A getter of the caller's may have made a call that closed the group meanwhile.
    if (!this.#waiting.includes(group)) this.#push(group)
  }

  /** Resolves when the changes of a group have ended. */
  async ended(group: Group, signal: AbortSignal): Promise<void> {
    return withSignal(group.ended(), signal, () => {
      const sent = !this.#waiting.includes(group)
      this.#waiting = this.#waiting.filter((each) => each !== group)
      return sent
    })
  }

  /** Resolves when every change called so far has ended, well or badly. */
  async settled(): Promise<void> {
    if (!this.#sending) return
    const group = new Group(0)
    this.#open = undefined
    this.#push(group)
    await group.ended().catch(() => undefined)
  }

  /** V8 reads each array more slowly where one was ever read at -1. */
  #isLast(group: Group): boolean {
    const { length } = this.#waiting
    return length > 0 && this.#waiting[length - 1] === group
  }

  #push(group: Group): void {
    this.#waiting.push(group)
    if (this.#sending) return
    this.#sending = true
    void this.#handle.track(this.#sendAll())
  }

  async #sendAll(): Promise<void> {
    // The other calls of this tick are made before this function goes on.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const turn = turnNowAndThen()
      if (turn) await turn
      const native = this.#handle.opened ?? (await this.#openHandle())
      // Its place in the order is taken, its changes are still being checked.
      const preparing = this.#waiting[0]?.preparing
      if (preparing) await preparing
      if (native) await this.#send(native, this.#take())
    }
    this.#sending = false
  }

  async #openHandle(): Promise<Connection | undefined> {
    return this.#handle.open().catch((error: unknown) => {
      this.#take().forEach((group) => group.fail(error))
      return undefined
    })
  }

  /** The groups that are ready. */
  #take(): Group[] {
    const end = this.#waiting.findIndex(({ preparing }) => preparing !== undefined)
    const groups = this.#waiting.splice(0, end === -1 ? this.#waiting.length : end)
    if (this.#waiting.length === 0) this.#open = undefined
    return groups
  }

  async #send(native: Connection, groups: readonly Group[]): Promise<void> {
    try {
      const bytes = join(groups)
      if (bytes.length > 0) {
        await carryOut(native, groups, bytes)
      }
      groups.forEach((group) => group.end())
    } catch (error) {
      groups.forEach((group) => group.fail(error))
    }
  }
}
