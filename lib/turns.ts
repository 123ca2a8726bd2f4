// Long work in pieces, so that other work of the process has its turn in between.

import { setImmediate as nextTurn } from 'node:timers/promises'

/** How long a piece may take, in milliseconds; the garbage collector comes on top. */
const mostTime = 2

/** So many steps are made before the clock is looked at. */
const unheeded = 32

const makePiece = (from: number, count: number, step: (index: number) => void): number => {
  const end = performance.now() + mostTime
  let index = from
  while (index < count) {
    const stop = Math.min(index + unheeded, count)
    for (; index < stop; ++index) step(index)
    if (performance.now() > end) break
  }
  return index
}

const makeRest = async (
  from: number,
  count: number,
  step: (index: number) => void,
): Promise<void> => {
  for (let index = from; index < count;) {
    await nextTurn()
    index = makePiece(index, count, step)
  }
}

/**
 * Makes the steps 0 to `count` - 1, the first piece of them at once. Undefined when that was all of
 * them; else a promise for the rest, each piece in a turn of the event loop of its own.
 */
export const inTurns = (
  count: number,
  step: (index: number) => void,
): Promise<void> | undefined => {
  const made = makePiece(0, count, step)
  return made === count ? undefined : makeRest(made, count, step)
}
