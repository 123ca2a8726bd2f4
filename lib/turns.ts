// Long work in pieces, so that other work of the process has its turn in between.

import { setImmediate as nextTurn } from 'node:timers/promises'

import { abortError } from './errors.js'

/** How long a piece may take, in milliseconds; the garbage collector comes on top. */
const mostTime = 2

/** So many steps are made before the clock is looked at. */
const unheeded = 64

/** Makes the steps from one number to before another. A loop of its caller's, to be compiled there. */
type Make = (from: number, end: number) => void

const makePiece = (from: number, count: number, make: Make): number => {
  const stop = performance.now() + mostTime
  let index = from
  do {
    const end = Math.min(index + unheeded, count)
    make(index, end)
    index = end
  } while (index < count && performance.now() < stop)
  return index
}

const makeRest = async (from: number, count: number, make: Make): Promise<void> => {
  for (let index = from; index < count;) {
    await nextTurn()
    index = makePiece(index, count, make)
  }
}

/**
 * Makes the steps 0 to `count` - 1, the first piece of them at once. Undefined when that was all of
 * them; else a promise for the rest, each piece in a turn of the event loop of its own.
 */
export const inTurns = (count: number, make: Make): Promise<void> | undefined => {
  const made = makePiece(0, count, make)
  return made === count ? undefined : makeRest(made, count, make)
}

/** Work that says by each `yield` that it can be interrupted there: after each entry of a list. */
export type Steps<T> = Generator<undefined, T, undefined>

/** Undefined unless the work has come to its end. */
const takeSteps = <T>(work: Steps<T>): { readonly value: T } | undefined => {
  const stop = performance.now() + mostTime
  do {
    for (let step = 0; step < unheeded; ++step) {
      const next = work.next()
      if (next.done === true) return next
    }
  } while (performance.now() < stop)
  return undefined
}

const takeRest = async <T>(work: Steps<T>, signal: AbortSignal | undefined): Promise<T> => {
  for (;;) {
    await nextTurn()
    if (signal?.aborted === true) throw abortError(signal, false)
    const end = takeSteps(work)
    if (end) return end.value
  }
}

/**
 * As {@link inTurns}, for work whose steps are not counted: what it returns, or a promise for that. An
 * abort ends it before a piece.
 */
export const stepInTurns = <T>(work: Steps<T>, signal?: AbortSignal): T | Promise<T> => {
  const end = takeSteps(work)
  return end ? end.value : takeRest(work, signal)
}

/** So many requests are sent in a row before the event loop is let turn. */
const mostInARow = 16
let sent = 0

/**
 * To be awaited, when it is a promise, before a request is sent. Where the kernel lets a thread run as soon
 * as it is woken, the answer is there before Node has left the callback of the one before, and Node
 * goes on with it in the same turn of the event loop, a thousand times: a chain of awaited calls kept timers
 * waiting for a second (Linux 6.1 on one emulated processor).
 */
export const turnNowAndThen = (): Promise<void> | undefined => {
  sent = (sent + 1) % mostInARow
  return sent === 0 ? nextTurn() : undefined
}
