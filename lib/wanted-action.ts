// What a preparation does with one thing, such as a setting or a device, and its way back.

import { isUnknown } from './errors.js'
import { isGone } from './trail.js'
import type { Action } from './trail.js'
import { forget, hold, leave, orphan, release } from './wants.js'
import type { Hold, PutBack } from './wants.js'
import type { HostConnection } from '../types/addon.js'
import type { HostChange, UndoReport } from '../types/profile.js'

/** A thing as it is, and as a preparation wants it. */
export interface Wanting {
  /** See lib/wants.ts. */
  readonly name: string
  readonly before: string
  /** The same as `before`: there is nothing to do but to keep it so. */
  readonly after: string
  /** Whether persist() writes it. */
  readonly isWanted: boolean
  /** Nobody named its device, which may be gone by the time. */
  readonly mayVanish?: boolean
  readonly changeOf: (before: string, after: string) => HostChange
}

/** How it is read, and how it is made what it should be. */
export interface Means {
  readonly read: (native: HostConnection) => Promise<string>
  readonly put: (native: HostConnection) => Promise<void>
  readonly putBack: PutBack
}

interface Begun {
  readonly target: string
  readonly finish: (native: HostConnection) => Promise<UndoReport>
}

interface WantedAction extends Action {
  readonly leave: (native: HostConnection) => void
}

/** Makes a thing what it should be unless it is, and keeps it so until it is undone. */
export const wantedAction = (
  { name, before, after, isWanted, mayVanish = false, changeOf }: Wanting,
  { read, put, putBack }: Means,
): WantedAction => {
  const changes = before === after ? [] : [changeOf(before, after)]
  let held: Hold | undefined
  /** An undo that failed: it may have made it what it was, and not done what goes with that. */
  let begun: Begun | undefined
  const apply = async (native: HostConnection, preparation: string): Promise<void> => {
    const take = (): void => {
      held = hold(native, name, preparation, { before, value: after, isWanted, restore: putBack })
    }
    try {
      if (before !== after) await put(native)
    } catch (error) {
      if (isUnknown(error)) take()
      if (!mayVanish || !isGone(error)) throw error
      changes.length = 0
      return
    }
    take()
  }
  const letGo = async (native: HostConnection, what: Hold): Promise<UndoReport> => {
    const current = await read(native)
    const { target, isKept, restore = putBack, done } = release(native, name, what, current)
    if (!isKept) begun = { target, finish: (now) => restore(now, changeOf(target, current)) }
    // Somebody else wants it otherwise since it was begun.
    else if (begun?.target !== target) begun = undefined
    const report = begun ? await begun.finish(native) : { restored: [], left: changes }
    done()
    return report
  }
  const undo = async (native: HostConnection): Promise<UndoReport> => {
    if (!held) return { restored: [], left: [] }
    try {
      return await letGo(native, held)
    } catch (error) {
      if (isGone(error)) forget(native, name, held)
      throw error
    }
  }
  return {
    changes,
    apply,
    undo,
    leave: (native) => {
      if (held) leave(native, name, held)
    },
    orphan: () => {
      if (held) orphan(held)
    },
  }
}
