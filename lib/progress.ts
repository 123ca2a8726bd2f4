// How far the making of a desired state has come, which is told also when it ends early.

import { nameDestination } from './desired.js'
import { IpvsError, isUnknown, retold } from './errors.js'
import { nameService } from './service.js'
import type { Steps } from './turns.js'
import type { AppliedInPart, FailedChange, PlannedChange } from '../types/desired.js'
import type { IpvsErrorCode } from '../types/error.js'
import type { OperationOutcome } from '../types/ipvs.js'

/** After these the table is not what it was when it was read, or nobody knows what it is. */
const reread: ReadonlySet<IpvsErrorCode> = new Set<IpvsErrorCode>([
  'ERR_IPVS_SERVICE_EXISTS',
  'ERR_IPVS_NO_SERVICE',
  'ERR_IPVS_DESTINATION_EXISTS',
  'ERR_IPVS_NO_DESTINATION',
  'ERR_IPVS_OUTCOME_UNKNOWN',
])

/** What a change is about: the same in every round. */
const subjectOf = (change: PlannedChange): string => {
  const service = nameService(change.service)
  return change.destination ? `${service} ${nameDestination(change.destination)}` : service
}

interface Sent {
  readonly change: PlannedChange
  isMade: boolean
}

export interface Progress {
  /** In order. */
  readonly sent: Sent[]
  /** By what they are about: not tried again, nor what depends on them. */
  readonly refused: Map<string, FailedChange>
  /** Of this round: where somebody else was quicker, and of which nobody knows. */
  lost: (FailedChange & { readonly sent: Sent })[]
  /** Of this round: removals that were not sent, since what they waited for failed. */
  held: FailedChange[]
}

export const startProgress = (): Progress => ({ sent: [], refused: new Map(), lost: [], held: [] })

const isOpen = ({ refused }: Progress, change: PlannedChange): boolean =>
  refused.size === 0 ||
  (!refused.has(subjectOf(change)) &&
    refused.get(nameService(change.service))?.change.op !== 'addService')

/** Those that were not refused, and do not depend on what was. */
export function* openAmong(
  progress: Progress,
  changes: readonly PlannedChange[],
): Steps<readonly PlannedChange[]> {
  if (progress.refused.size === 0) return changes
  const open: PlannedChange[] = []
  for (const change of changes) {
    yield
    if (isOpen(progress, change)) open.push(change)
  }
  return open
}

export const madeOf = ({ sent }: Progress): PlannedChange[] =>
  sent.filter(({ isMade }) => isMade).map(({ change }) => change)

/** Of those that are lost. */
export const openOf = (progress: Progress): FailedChange[] =>
  progress.lost
    .filter(({ change }) => isOpen(progress, change))
    .map(({ change, error }) => ({ change, error }))

export const failedOf = (progress: Progress): FailedChange[] => [
  ...progress.refused.values(),
  ...openOf(progress),
  ...progress.held,
]

/** Notes what became of changes that were sent. */
export function* noteOutcomes(
  progress: Progress,
  changes: readonly PlannedChange[],
  outcomes: readonly OperationOutcome[],
): Steps<void> {
  for (const [index, change] of changes.entries()) {
    yield
    const outcome = outcomes[index]
    const sent = { change, isMade: outcome?.ok !== false }
    progress.sent.push(sent)
    if (outcome?.ok !== false) continue
    const { error } = outcome
    if (reread.has(error.code)) progress.lost.push({ change, error, sent })
    else progress.refused.set(subjectOf(change), { change, error })
  }
}

const attemptOf = (change: PlannedChange): string => `${change.op} ${subjectOf(change)}`

/**
 * Starts another round, with all changes that the table, read again, needs: one of which nobody knew,
 * and which it does not need any more, was made.
 */
export function* settle(progress: Progress, needed: readonly PlannedChange[]): Steps<void> {
  const unknown = progress.lost.filter(({ error }) => isUnknown(error))
  const again = new Set<string>()
  for (const change of unknown.length > 0 ? needed : []) {
    yield
    again.add(attemptOf(change))
  }
  for (const { change, sent } of unknown) {
    yield
    sent.isMade = !again.has(attemptOf(change))
  }
  progress.lost = []
  progress.held = []
}

const counted = (count: number, one: string, more: string): string =>
  count === 1 ? `1 change ${one}` : `${count} changes ${more}`

const inWords = (made: number, unknown: number, others: number): string =>
  [
    made > 0 &&
      `${counted(made, 'was made, and is', 'were made, and are')} in this error's changes.`,
    unknown > 0 &&
      `${counted(unknown, 'may have been made, and is', 'may have been made, and are')} in its failed.`,
    others > 0 &&
      `${counted(others, 'was not made, and is', 'were not made, and are')} in its failed.`,
  ]
    .filter((part) => part !== false)
    .join(' ')

/** What it rejects with when an error ends it early: that says how far it came. */
export const endedEarly = (error: unknown, progress: Progress): unknown => {
  const parts: AppliedInPart = { changes: madeOf(progress), failed: failedOf(progress) }
  const { changes, failed } = parts
  const unknown = failed.filter((each) => isUnknown(each.error)).length
  const told = inWords(changes.length, unknown, failed.length - unknown)
  if (told === '') return error
  const early = retold(error, (why) => `${told} Of the rest: ${why}`)
  // Of the caller's own function: it stays as it is, and is the cause.
  const isOwn = early === error
  const message = isOwn ? `${told} Of the rest: ${String(error)}` : (early as Error).message
  if (unknown > 0 && (isOwn || IpvsError.is(early))) {
    const { errno, command } = IpvsError.is(early) ? early : { errno: 0, command: '' }
    const details = { code: 'ERR_IPVS_OUTCOME_UNKNOWN', errno, command } as const
    return Object.assign(new IpvsError(message, details, { cause: error }), parts)
  }
  return Object.assign(isOwn ? new Error(message, { cause: error }) : (early as Error), parts)
}
