// The life of a handle: opened at its first call, closed when its calls have ended.

import { setMaxListeners } from 'node:events'

import { abortError, closedError, errorFor } from './errors.js'
import { Stage } from './meanings.js'
import { loadAddon } from './native.js'
import { failureOfRejection } from './rejection.js'
import { traced } from './tracing.js'
import { turnNowAndThen } from './turns.js'
import { orDefault, takeInteger, takeObject, wrongType, wrongValue } from './validate.js'
import type { Connection, Failure } from '../types/addon.js'

interface NativeHandle {
  open(): Promise<Failure | undefined>
  close(): void
}

const defaultTimeout = 5000

const takeNetns = (value: unknown): string | number | undefined => {
  const path = 'options.netns'
  const allowed = 'a path or an open file descriptor'
  if (value === undefined) return undefined
  if (typeof value === 'number') return takeInteger(value, path, 0, 2 ** 31 - 1)
  if (typeof value !== 'string') throw wrongType(path, allowed, value)
  if (value === '' || value.includes('\0')) throw wrongValue(path, allowed, value)
  return value
}

/** The options of a handle, checked and filled in. */
export const takeOpenOptions = (
  value: unknown,
): { readonly netns: string | number | undefined; readonly timeout: number } => {
  const options = value === undefined ? {} : takeObject(value, 'options', ['netns', 'timeout'])
  return {
    netns: takeNetns(options['netns']),
    timeout: takeInteger(
      orDefault(options['timeout'], defaultTimeout),
      'options.timeout',
      1,
      2 ** 31 - 1,
    ),
  }
}

/**
 * Lets go of `work` when the signal says so; what was started goes on by itself. `giveUpWork` says
 * whether it had been sent.
 */
export const withSignal = async <T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  giveUpWork: () => boolean,
): Promise<T> => {
  if (!signal) return work
  let giveUp: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => reject(abortError(signal, giveUpWork()))
    if (signal.aborted) giveUp()
    else signal.addEventListener('abort', giveUp, { once: true })
  })
  try {
    return await Promise.race([aborted, work])
  } finally {
    if (giveUp) signal.removeEventListener('abort', giveUp)
    // The loser of the race may still reject, and nobody else listens to it.
    work.catch(() => undefined)
  }
}

/** The addon's first call of a process is where no thread can be started. */
const withoutThread = (error: unknown): Failure => {
  const failure = failureOfRejection(error)
  if (failure.stage !== Stage.thread) throw error
  return failure
}

/** A handle of the addon, and the calls that are under way on it. */
export class Handle<Native extends NativeHandle> {
  readonly #kind: 'ipvs' | 'host'
  readonly #make: () => Native
  readonly #netns: string | number | undefined
  readonly #running = new Set<Promise<unknown>>()
  readonly #end = new AbortController()
  #opening: Promise<Native> | undefined
  #opened: Native | undefined
  #closing: Promise<void> | undefined

  constructor(kind: 'ipvs' | 'host', netns: string | number | undefined, make: () => Native) {
    this.#kind = kind
    this.#netns = netns
    this.#make = make
    // One for each drain and watch.
    setMaxListeners(0, this.#end.signal)
  }

  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  /** Aborted as soon as the handle is being closed. */
  get closing(): AbortSignal {
    return this.#end.signal
  }

  /** Rejects once the handle is being closed. */
  checkOpen(what: string): void {
    if (this.#closing) throw closedError(what)
  }

  /** The addon's handle. A failure to open is not kept: the next call tries again. */
  async open(): Promise<Native> {
    this.#opening ??= this.#openNow().catch((error: unknown) => {
      this.#opening = undefined
      throw error
    })
    return this.#opening
  }

  /** The same, once {@link open} has resolved. */
  get opened(): Native | undefined {
    return this.#opened
  }

  async #openNow(): Promise<Native> {
    const native = this.#make()
    const failure = await native.open().catch(withoutThread)
    if (!failure) {
      this.#opened = native
      return native
    }
    throw errorFor(failure, {
      command: this.#kind,
      what: () =>
        this.#netns === undefined
          ? "open the process's network namespace"
          : `open the network namespace ${this.#netns}`,
      changes: false,
    })
  }

  /** Does work with the open handle, and lets close() wait for it. */
  async run<T>(what: string, work: (native: Native) => Promise<T>): Promise<T> {
    this.checkOpen(what)
    const turn = turnNowAndThen()
    const opened = turn ? turn.then(async () => this.open()) : this.open()
    return this.track(opened.then(work))
  }

  async track<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work)
    try {
      return await work
    } finally {
      this.#running.delete(work)
    }
  }

  async close(): Promise<void> {
    this.#closing ??= this.#closeNow()
    this.#end.abort()
    return this.#closing
  }

  async #closeNow(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
    const native = await this.#opening?.catch(() => undefined)
    native?.close()
  }
}

/** The kernel's table of a namespace. */
export const connect = (netns: string | number | undefined, silence: number): Connection =>
  traced(new (loadAddon().Connection)(netns, silence))
