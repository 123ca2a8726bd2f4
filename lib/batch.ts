// Changes on their way to the kernel: those of one tick, and those called while others are under
// way, travel together; each gets its own outcome; their order is kept.

import { commands } from './commands.js'
import type { Command } from './commands.js'
import { abortError } from './errors.js'
import type { KnownFailure, Request } from './errors.js'
import { withSignal } from './handle.js'
import type { Handle } from './handle.js'
import { Memory } from './memory.js'
import type { Missing } from './meanings.js'
import { isAmbiguous, missingAfter, schedulerProbe } from './probe.js'
import { recordFormat } from './records.js'
import type { ConfigFields, DaemonFields, DestinationFields, ServiceFields } from './records.js'
import type { Connection, OutcomesReply } from '../types/addon.js'

/** What a change is made of on the wire. */
interface Encodable {
  readonly command: Command
  readonly service?: ServiceFields
  readonly destination?: DestinationFields
  readonly daemon?: DaemonFields
  readonly config?: ConfigFields
  /** Present: what the records do not name stays as it is (native/ipvs/patch.h). */
  readonly patch?: { readonly defaultTimeout: number; readonly keepsScheduler: boolean }
}

/** One change, checked and ready to be sent. */
export interface Change extends Encodable {
  readonly request: Request
}

/** Undefined for success. An error is made of it by whoever awaited it, so that it has a caller. */
export type Outcome = KnownFailure | undefined

/** Changes that were called together, and who waits for them. */
interface Group {
  readonly changes: readonly Change[]
  readonly resolve: (outcomes: Outcome[]) => void
  readonly reject: (error: unknown) => void
}

const makeGroup = (changes: readonly Change[]): { group: Group; outcomes: Promise<Outcome[]> } => {
  let group: Group | undefined
  const outcomes = new Promise<Outcome[]>((resolve, reject) => {
    group = { changes, resolve, reject }
  })
  return { group: group as unknown as Group, outcomes }
}

/** See native/ipvs/codec.h: the header of a change, by word. */
const headerOf = ({ command, patch }: Encodable): readonly number[] =>
  patch
    ? [commands[command], 1, patch.defaultTimeout, Number(patch.keepsScheduler)]
    : [commands[command], 0, 0, 0]

const encode = (changes: readonly Encodable[]): Uint8Array => {
  const format = recordFormat()
  const { size, service, destination } = format.operation
  const memory = new Memory(new ArrayBuffer(changes.length * size))
  changes.forEach((change, index) => {
    const at = index * size
    headerOf(change).forEach((word, place) => memory.setWord(at + 4 * place, word))
    if (change.service) format.service.write(memory, at + service, change.service)
    if (change.destination) format.destination.write(memory, at + destination, change.destination)
    // These two take the service's place.
    if (change.daemon) format.daemon.write(memory, at + service, change.daemon)
    if (change.config) format.config.write(memory, at + service, change.config)
  })
  return memory.bytes
}

const outcomesOf = (count: number, reply: OutcomesReply): Outcome[] => {
  const pairs = new Int32Array(reply.outcomes)
  return Array.from({ length: count }, (_, index) => {
    const stage = pairs[2 * index] ?? 0
    if (stage === 0) return undefined
    return { stage, errno: pairs[2 * index + 1] ?? 0, text: reply.texts[index] ?? '' }
  })
}

const apply = async (native: Connection, changes: readonly Encodable[]): Promise<Outcome[]> =>
  outcomesOf(changes.length, await native.apply(encode(changes)))

/** Where the kernel leaves open what is missing, it is asked again before anybody hears of it. */
const applyAll = async (native: Connection, changes: readonly Change[]): Promise<Outcome[]> => {
  const outcomes = await apply(native, changes)
  const answers = new Map<string, Missing | undefined>()
  for (const [index, { request }] of changes.entries()) {
    const failure = outcomes[index]
    if (!failure || !isAmbiguous(failure, request)) continue
    const { scheduler = '' } = request
    if (!answers.has(scheduler)) {
      const [answer] = await apply(native, [schedulerProbe(request)])
      answers.set(scheduler, missingAfter(answer))
    }
    const missing = answers.get(scheduler)
    if (missing) outcomes[index] = { ...failure, missing }
  }
  return outcomes
}

/** The one way of a handle's changes to the kernel. */
export class ChangeQueue {
  readonly #handle: Handle<Connection>
  #waiting: Group[] = []
  #sending = false

  constructor(handle: Handle<Connection>) {
    this.#handle = handle
  }

  /** Resolves to one outcome for each change, in order. */
  async add(
    what: string,
    changes: readonly Change[],
    signal: AbortSignal | undefined,
  ): Promise<Outcome[]> {
    this.#handle.checkOpen(what)
    if (signal?.aborted === true) throw abortError(signal, false)
    const { group, outcomes } = makeGroup(changes)
    this.#push(group)
    return withSignal(outcomes, signal, () => {
      const sent = !this.#waiting.includes(group)
      this.#waiting = this.#waiting.filter((each) => each !== group)
      return sent
    })
  }

  /** Resolves when every change called so far has ended, well or badly. */
  async settled(): Promise<void> {
    if (!this.#sending) return
    const { group, outcomes } = makeGroup([])
    this.#push(group)
    await outcomes.catch(() => undefined)
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
      const native = await this.#handle.open().catch((error: unknown) => {
        this.#take().forEach(({ reject }) => reject(error))
      })
      if (native) await this.#send(native, this.#take())
    }
    this.#sending = false
  }

  #take(): Group[] {
    const groups = this.#waiting
    this.#waiting = []
    return groups
  }

  async #send(native: Connection, groups: readonly Group[]): Promise<void> {
    const changes = groups.flatMap((group) => group.changes)
    try {
      const outcomes = changes.length === 0 ? [] : await applyAll(native, changes)
      let next = 0
      for (const group of groups) {
        group.resolve(outcomes.slice(next, next + group.changes.length))
        next += group.changes.length
      }
    } catch (error) {
      groups.forEach(({ reject }) => reject(error))
    }
  }
}
