// Timeouts that are put back as they were.

import { isUnknown, retold } from './errors.js'
import { takeTimeouts } from './sync.js'
import { signalOf, takeOptions } from './validate.js'
import type { CallOptions, Ipvs } from '../types/ipvs.js'
import type { TimeoutOverride, Timeouts } from '../types/sync.js'

const names = ['tcp', 'tcpFin', 'udp'] as const

export const overrideTimeouts = async (
  ipvs: Ipvs,
  timeouts: Partial<Timeouts>,
  options: CallOptions | undefined,
): Promise<TimeoutOverride> => {
  // What is wrong is refused before anything is read.
  const asked: Partial<Timeouts> = takeTimeouts(timeouts, 'timeouts')
  const signal = signalOf(takeOptions(options))
  const before = await ipvs.timeouts({ signal })
  let held = names.filter((name) => asked[name] !== undefined)
  const undo: TimeoutOverride['undo'] = async (undoOptions) => {
    const now = await ipvs.timeouts(undoOptions)
    const left = held.filter((name) => now[name] !== asked[name])
    const ours = held.filter((name) => now[name] === asked[name])
    const previous = Object.fromEntries(ours.map((name) => [name, before[name]]))
    if (ours.length > 0) await ipvs.setTimeouts(previous, undoOptions)
    held = []
    return { left }
  }
  try {
    await ipvs.setTimeouts(asked, { signal })
  } catch (error) {
    if (!isUnknown(error) && signal?.aborted !== true) throw error
    const told = await undo().then(
      () => 'what it may have changed is put back',
      (failure: unknown) =>
        `what it may have changed could not be put back: ${String(failure)} (they were ${JSON.stringify(before)})`,
    )
    throw retold(error, (why) => `Cannot override the timeouts: ${why}; ${told}`)
  }
  return {
    before,
    undo,
    [Symbol.asyncDispose]: async () => {
      await undo()
    },
  }
}
