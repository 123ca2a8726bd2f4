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
  /** The preparation is known by what it was asked for: the same again is the same. */
  readonly apply: (native: HostConnection, preparation: string) => Promise<void>
  /**
   * Tells what it put back, and what it left because of somebody else. Also of an action that failed:
   * of what that had done, or may have.
   */
  readonly undo: (native: HostConnection) => Promise<Undone>
  /** What hides a VIP is not undone before the VIP is gone. */
  readonly role?: 'vip' | 'hides-vip'
  /** Of what hides a VIP that stays: lets it be, for good. */
  readonly leave?: (native: HostConnection) => void
  /** Lets it be until another preparation wants the same, and is undone. */
  readonly orphan?: () => void
}

/** What became of an action that was undone. */
export interface Undone extends UndoReport {
  /** Somebody else has the VIP now, or a preparation that failed could not delete its own. */
  readonly vip?: 'stays' | 'orphaned' | undefined
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

  async make(native: HostConnection, action: Action, preparation: string): Promise<void> {
    // Before it is made: also what it did before it failed is taken back with the others.
    this.#actions.push(action)
    await action.apply(native, preparation)
  }

  /** Goes on after a failure and then rejects; the next time only what failed is tried again. */
  async undo(native: HostConnection): Promise<UndoReport> {
    const failed: Action[] = []
    const failures: unknown[] = []
    let vip: 'gone' | 'stays' | 'orphaned' | 'failed' = 'gone'
    for (const action of this.#actions.toReversed()) {
      const hides = action.role === 'hides-vip'
      if (hides && vip === 'failed') {
        failed.unshift(action)
        continue
      }
      try {
        if (hides && vip !== 'gone') this.#leave(native, action, vip === 'stays')
        else vip = (await this.#takeBack(native, action)) ?? vip
      } catch (error) {
        if (action.role === 'vip') vip = 'failed'
        failed.unshift(action)
        failures.push(error)
      }
    }
    this.#actions = failed
    if (failures.length > 0) {
      throw new AggregateError(failures, 'Not everything could be put back as it was')
    }
    return { restored: [...this.#restored], left: [...this.#left] }
  }

  /** What could not be taken back is left to whoever wants the same next. */
  orphan(): void {
    for (const action of this.#actions) action.orphan?.()
  }

  /** Answers why a VIP is still there. */
  async #takeBack(native: HostConnection, action: Action): Promise<Undone['vip']> {
    try {
      const { restored, left, vip } = await action.undo(native)
      this.#restored.push(...restored)
      this.#left.push(...left)
      return vip
    } catch (error) {
      if (!isGone(error)) throw error
      this.#left.push(...action.changes)
      return undefined
    }
  }

  #leave(native: HostConnection, action: Action, isForGood: boolean): void {
    if (isForGood) action.leave?.(native)
    else action.orphan?.()
    this.#left.push(...action.changes)
  }
}

const abandon = async (native: HostConnection, trail: Trail, error: unknown): Promise<never> => {
  await trail.undo(native).catch((undoError: unknown) => {
    trail.orphan()
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
  preparation: string,
  withNative: WithNative,
  signal: AbortSignal | undefined,
): Promise<Preparation> => {
  const trail = new Trail()
  try {
    for (const step of steps) {
      for (const action of await step(native)) {
        if (signal?.aborted === true) throw abortError(signal, false)
        await trail.make(native, action, preparation)
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
