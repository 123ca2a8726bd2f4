// Desired state: read, compare, change, and again where somebody else was quicker.

import { copyDesired } from './desired-copy.js'
import { nameDestination, takeDesired } from './desired.js'
import type { Declared } from './desired.js'
import { IpvsError, isUnknown, retold } from './errors.js'
import { planChanges } from './plan.js'
import type { Scope } from './plan.js'
import { awaitedAmong, heldBack, isRemoval } from './replacement.js'
import { nameService } from './service.js'
import { stepInTurns } from './turns.js'
import { orDefault, signalOf, takeBoolean, takeOptions, wrongType } from './validate.js'
import type {
  Applied,
  DesiredStateOptions,
  FailedChange,
  Plan,
  PlannedChange,
} from '../types/desired.js'
import type { IpvsErrorCode } from '../types/error.js'
import type { Ipvs } from '../types/ipvs.js'

/** How often the table is read before a lost race is reported. */
const mostRounds = 5

/** After these the table is not what it was when it was read, or nobody knows what it is. */
const reread: ReadonlySet<IpvsErrorCode> = new Set<IpvsErrorCode>([
  'ERR_IPVS_SERVICE_EXISTS',
  'ERR_IPVS_NO_SERVICE',
  'ERR_IPVS_DESTINATION_EXISTS',
  'ERR_IPVS_NO_DESTINATION',
  'ERR_IPVS_OUTCOME_UNKNOWN',
])

type Predicate<Given extends unknown[]> = (...given: Given) => boolean

/** What the caller's function answers, checked: a promise must not pass for a yes. */
const takePredicate = <Given extends unknown[]>(value: unknown, path: string): Predicate<Given> => {
  if (typeof value !== 'function') throw wrongType(path, 'a function', value)
  return (...given) => takeBoolean((value as (...given: Given) => unknown)(...given), `${path}()`)
}

interface Request {
  readonly declared: ReadonlyMap<string, Declared>
  readonly scope: Scope
  readonly signal: AbortSignal | undefined
}

const take = async (desired: unknown, given: unknown): Promise<Request> => {
  const options = takeOptions(given, ['prune', 'owns', 'keepWeights'])
  const prune = takeBoolean(orDefault(options['prune'], false), 'options.prune')
  const { owns, keepWeights } = options
  const isOurs = owns === undefined ? () => true : takePredicate(owns, 'options.owns')
  const keeps =
    typeof keepWeights === 'function'
      ? takePredicate(keepWeights, 'options.keepWeights')
      : takeBoolean(orDefault(keepWeights, false), 'options.keepWeights')
  return {
    declared: await stepInTurns(takeDesired(copyDesired(desired))),
    scope: {
      removes: (service) => prune && isOurs(service),
      keepsWeight: typeof keeps === 'function' ? keeps : () => keeps,
    },
    signal: signalOf(options),
  }
}

const changesFor = async (
  ipvs: Ipvs,
  { declared, scope, signal }: Request,
): Promise<PlannedChange[]> =>
  stepInTurns(planChanges(declared, await ipvs.snapshot({ signal }), scope))

/** The operations that make a desired state of the table. */
export const plan = async (
  ipvs: Ipvs,
  desired: unknown,
  options: DesiredStateOptions | undefined,
): Promise<Plan> => ({ changes: await changesFor(ipvs, await take(desired, options)) })

/** What a change is about: the same in every round. */
const subjectOf = (change: PlannedChange): string => {
  const service = nameService(change.service)
  return change.destination ? `${service} ${nameDestination(change.destination)}` : service
}

interface Sent {
  readonly change: PlannedChange
  isMade: boolean
}

/** How far it has come, also when it ends early. */
interface Progress {
  /** In order. */
  readonly sent: Sent[]
  /** By what they are about: not tried again, nor what depends on them. */
  readonly refused: Map<string, FailedChange>
  /** Of this round: where somebody else was quicker, and of which nobody knows. */
  lost: (FailedChange & { readonly sent: Sent })[]
  /** Of this round: removals that were not sent, since what they waited for failed. */
  held: FailedChange[]
}

const isOpen = ({ refused }: Progress, change: PlannedChange): boolean =>
  refused.size === 0 ||
  (!refused.has(subjectOf(change)) &&
    refused.get(nameService(change.service))?.change.op !== 'addService')

const madeOf = ({ sent }: Progress): PlannedChange[] =>
  sent.filter(({ isMade }) => isMade).map(({ change }) => change)

const openOf = (progress: Progress): FailedChange[] =>
  progress.lost
    .filter(({ change }) => isOpen(progress, change))
    .map(({ change, error }) => ({ change, error }))

const failedOf = (progress: Progress): FailedChange[] => [
  ...progress.refused.values(),
  ...openOf(progress),
  ...progress.held,
]

const send = async (
  ipvs: Ipvs,
  changes: readonly PlannedChange[],
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> => {
  if (changes.length === 0) return
  const outcomes = await ipvs.batch(changes, { signal })
  changes.forEach((change, index) => {
    const outcome = outcomes[index]
    const sent = { change, isMade: outcome?.ok !== false }
    progress.sent.push(sent)
    if (outcome?.ok !== false) return
    const { error } = outcome
    if (reread.has(error.code)) progress.lost.push({ change, error, sent })
    else progress.refused.set(subjectOf(change), { change, error })
  })
}

/** Sends a plan: whole, unless removals wait for how the rest ends. */
const carryOut = async (
  ipvs: Ipvs,
  planned: readonly PlannedChange[],
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> => {
  const removals = planned.filter(isRemoval)
  const others = planned.filter((change) => !isRemoval(change))
  const refused = Array.from(progress.refused.values(), ({ change }) => change)
  const awaited = await stepInTurns(awaitedAmong([...others, ...refused], (each) => each))
  if (!removals.some(awaited)) return send(ipvs, planned, progress, signal)
  await send(ipvs, others, progress, signal)
  const failures = [...progress.refused.values(), ...progress.lost]
  const failureOf = await stepInTurns(awaitedAmong(failures, ({ change }) => change))
  const free = removals.filter((change) => {
    const failure = failureOf(change)
    if (failure) progress.held.push(heldBack(change, failure))
    return !failure
  })
  await send(ipvs, free, progress, signal)
}

const attemptOf = (change: PlannedChange): string => `${change.op} ${subjectOf(change)}`

/** Of which nobody knew, and what is not to be done again: the table shows that it was made. */
const settle = (progress: Progress, planned: readonly PlannedChange[]): void => {
  const unknown = progress.lost.filter(({ error }) => isUnknown(error))
  const again = unknown.length > 0 ? new Set(planned.map(attemptOf)) : undefined
  for (const { change, sent } of unknown) sent.isMade = again?.has(attemptOf(change)) === false
  progress.lost = []
  progress.held = []
}

const makeRounds = async (ipvs: Ipvs, request: Request, progress: Progress): Promise<void> => {
  for (let round = 1; round <= mostRounds; ++round) {
    const changes = await changesFor(ipvs, request)
    const planned = changes.filter((change) => isOpen(progress, change))
    settle(progress, planned)
    await carryOut(ipvs, planned, progress, request.signal)
    if (openOf(progress).length === 0) return
  }
}

const counted = (count: number, one: string, more: string): string =>
  count === 1 ? `1 change ${one}` : `${count} changes ${more}`

/** What ends it early says how far it came. */
const endedEarly = (error: unknown, progress: Progress): unknown => {
  const [changes, failed] = [madeOf(progress), failedOf(progress)]
  const unknown = failed.filter((each) => isUnknown(each.error)).length
  const told = [
    changes.length > 0 &&
      `${counted(changes.length, 'was made, and is', 'were made, and are')} in this error's changes.`,
    unknown > 0 &&
      `${counted(unknown, 'may have been made, and is', 'may have been made, and are')} in its failed.`,
    failed.length > unknown &&
      `${counted(failed.length - unknown, 'was not made, and is', 'were not made, and are')} in its failed.`,
  ].filter((part) => part !== false)
  if (told.length === 0) return error
  const early = retold(error, (why) => `${told.join(' ')} Of the rest: ${why}`)
  if (!(early instanceof Error)) return early
  if (unknown === 0 || !IpvsError.is(early)) return Object.assign(early, { changes, failed })
  const { errno, command } = early
  const details = { code: 'ERR_IPVS_OUTCOME_UNKNOWN', errno, command } as const
  return Object.assign(new IpvsError(early.message, details, { cause: error }), { changes, failed })
}

/** Makes the table as desired. */
export const apply = async (
  ipvs: Ipvs,
  desired: unknown,
  options: DesiredStateOptions | undefined,
): Promise<Applied> => {
  const request = await take(desired, options)
  const progress: Progress = { sent: [], refused: new Map(), lost: [], held: [] }
  try {
    await makeRounds(ipvs, request, progress)
  } catch (error) {
    throw endedEarly(error, progress)
  }
  return { changes: madeOf(progress), failed: failedOf(progress) }
}
