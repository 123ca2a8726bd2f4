// Carrying out a profile's steps, and the way back.

import { abortError, IpvsError } from './errors.js'
import type { HostConnection } from '../types/addon.js'
import type { HostChange, Preparation, UndoReport } from '../types/profile.js'

/** Does work with the open handle; also after the preparation was handed out. */
export type WithNative = <T>(
  what: string,
  work: (native: HostConnection) => Promise<T>,
) => Promise<T>

/** Something that is done as a whole, and can be taken back. */
export interface Action {
  readonly changes: readonly HostChange[]
  readonly apply: (native: HostConnection) => Promise<void>
  /** Tells what it put back, and what it left because somebody else had changed it meanwhile. */
  readonly undo: (native: HostConnection) => Promise<UndoReport>
}

/** Answers what is still to be done: nothing when everything is as it should be. */
export type Step = (native: HostConnection) => Promise<readonly Action[]>

const gone = ['ERR_HOST_NO_ADDRESS', 'ERR_HOST_NO_DEVICE', 'ERR_HOST_NO_SYSCTL']

/** A device or an address that is gone took the change with it. */
export const isGone = (error: unknown): boolean => IpvsError.is(error) && gone.includes(error.code)

/** Actions that were carried out, and what became of them when they were taken back. */
class Trail {
  #actions: Action[] = []
  readonly #restored: HostChange[] = []
  readonly #left: HostChange[] = []

  get changes(): readonly HostChange[] {
    return this.#actions.flatMap(({ changes }) => changes)
  }

  async make(native: HostConnection, action: Action): Promise<void> {
    try {
      await action.apply(native)
    } catch (error) {
      // It may have been made, so it is taken back with the others.
      if (IpvsError.is(error) && error.code === 'ERR_IPVS_OUTCOME_UNKNOWN') {
        this.#actions.push(action)
      }
      throw error
    }
    this.#actions.push(action)
  }

  /** Goes on after a failure and then rejects; the next time only what failed is tried again. */
  async undo(native: HostConnection): Promise<UndoReport> {
    const failed: Action[] = []
    const failures: unknown[] = []
    for (const action of this.#actions.toReversed()) {
      try {
        const { restored, left } = await action.undo(native)
        this.#restored.push(...restored)
        this.#left.push(...left)
      } catch (error) {
        if (isGone(error)) {
          this.#left.push(...action.changes)
        } else {
          failed.unshift(action)
          failures.push(error)
        }
      }
    }
    this.#actions = failed
    if (failures.length > 0) {
      throw new AggregateError(failures, 'Not everything could be put back as it was')
    }
    return { restored: [...this.#restored], left: [...this.#left] }
  }
}

const abandon = async (native: HostConnection, trail: Trail, error: unknown): Promise<never> => {
  await trail.undo(native).catch((undoError: unknown) => {
    throw new AggregateError(
      [error, undoError],
      'The preparation failed, and not everything could be put back as it was',
    )
  })
  throw error
}

/** Carries the steps out in their order: all of them or none. */
export const prepare = async (
  native: HostConnection,
  steps: readonly Step[],
  withNative: WithNative,
  signal: AbortSignal | undefined,
): Promise<Preparation> => {
  const trail = new Trail()
  try {
    for (const step of steps) {
      for (const action of await step(native)) {
        if (signal?.aborted === true) throw abortError(signal, false)
        await trail.make(native, action)
      }
    }
  } catch (error) {
    return abandon(native, trail, error)
  }
  const undo = (): Promise<UndoReport> => withNative('undo', (later) => trail.undo(later))
  return {
    changed: trail.changes,
    undo,
    [Symbol.asyncDispose]: async () => {
      await undo()
    },
  }
}
