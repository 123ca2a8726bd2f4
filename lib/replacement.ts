// What a removal waits for: what serves goes only when what is to serve in its place is there.

import { nameDestination } from './desired.js'
import { IpvsError } from './errors.js'
import { nameService } from './service.js'
import type { Steps } from './turns.js'
import type {
  DeleteDestinationChange,
  DeleteServiceChange,
  FailedChange,
  PlannedChange,
} from '../types/desired.js'

export type Removal = DeleteServiceChange | DeleteDestinationChange

export const isRemoval = (change: PlannedChange): change is Removal =>
  change.op === 'deleteService' || change.op === 'deleteDestination'

/** Whether there is a destination to schedule to after it; one of weight 0 replaces nothing. */
const placesDestination = (change: PlannedChange): boolean =>
  (change.op === 'addDestination' ||
    change.op === 'editDestination' ||
    change.op === 'patchDestination') &&
  change.after.weight !== 0

const isAddition = (change: PlannedChange): boolean =>
  change.op === 'addService' || (change.op === 'addDestination' && placesDestination(change))

/**
 * Finds the first of these that a removal waits for. A destination waits for those of its own service
 * that are added or edited. Which service takes the place of which is nowhere written, so a service
 * waits for every addition.
 */
export function* awaitedAmong<T>(
  all: readonly T[],
  changeOf: (each: T) => PlannedChange,
): Steps<(removal: Removal) => T | undefined> {
  const addition = all.find((each) => isAddition(changeOf(each)))
  const placed = new Map<string, T>()
  for (const each of all) {
    yield
    const change = changeOf(each)
    if (!placesDestination(change)) continue
    const name = nameService(change.service)
    if (!placed.has(name)) placed.set(name, each)
  }
  return ({ op, service }) => (op === 'deleteService' ? addition : placed.get(nameService(service)))
}

/** A removal that is not made, because of what it waited for. */
export const heldBack = (change: Removal, { error: cause }: FailedChange): FailedChange => {
  const { op } = change
  const name = nameService(change.service)
  const what =
    op === 'deleteService'
      ? `service ${name}`
      : `destination ${nameDestination(change.destination)} of service ${name}`
  const details = {
    code: 'ERR_IPVS_HELD_BACK',
    errno: 0,
    command: op === 'deleteService' ? 'DEL_SERVICE' : 'DEL_DEST',
    service: change.service,
    ...(op === 'deleteDestination' && { destination: change.destination }),
  } as const
  const message = `Kept ${what}, since what was to serve in its place failed: ${cause.message}`
  return { change, error: new IpvsError(message, details, { cause }) }
}
