// Desired state: read, compare, change, and again where somebody else was quicker.

import { copyDesired } from './desired-copy.js'
import { takeDesired } from './desired.js'
import type { Declared } from './desired.js'
import { planChanges } from './plan.js'
import type { Scope } from './plan.js'
import {
  endedEarly,
  failedOf,
  madeOf,
  noteOutcomes,
  openAmong,
  openOf,
  settle,
  startProgress,
} from './progress.js'
import type { Progress } from './progress.js'
import { awaitedAmong, heldBack, isRemoval } from './replacement.js'
import { stepInTurns } from './turns.js'
import { orDefault, signalOf, takeBoolean, takeOptions, wrongType } from './validate.js'
import type { Applied, DesiredStateOptions, Plan, PlannedChange } from '../types/desired.js'
import type { Ipvs } from '../types/ipvs.js'

/** How often the table is read before a lost race is reported. */
const mostRounds = 5

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

/** A state that is checked at once is read in the tick of the call. */
const take = (desired: unknown, given: unknown): Request | Promise<Request> => {
  const options = takeOptions(given, ['prune', 'owns', 'keepWeights'])
  const prune = takeBoolean(orDefault(options['prune'], false), 'options.prune')
  const { owns, keepWeights } = options
  const isOurs = owns === undefined ? () => true : takePredicate(owns, 'options.owns')
  const keeps =
    typeof keepWeights === 'function'
      ? takePredicate(keepWeights, 'options.keepWeights')
      : takeBoolean(orDefault(keepWeights, false), 'options.keepWeights')
  const signal = signalOf(options)
  const scope: Scope = {
    removes: (service) => prune && isOurs(service),
    keepsWeight: typeof keeps === 'function' ? keeps : () => keeps,
  }
  const declared = stepInTurns(takeDesired(copyDesired(desired)), signal)
  return declared instanceof Promise
    ? declared.then((whole) => ({ declared: whole, scope, signal }))
    : { declared, scope, signal }
}

const changesFor = async (
  ipvs: Ipvs,
  { declared, scope, signal }: Request,
): Promise<PlannedChange[]> =>
  stepInTurns(planChanges(declared, await ipvs.snapshot({ signal }), scope), signal)

/** The operations that make a desired state of the table. */
export const plan = async (
  ipvs: Ipvs,
  desired: unknown,
  options: DesiredStateOptions | undefined,
): Promise<Plan> => {
  const taken = take(desired, options)
  return { changes: await changesFor(ipvs, taken instanceof Promise ? await taken : taken) }
}

const send = async (
  ipvs: Ipvs,
  changes: readonly PlannedChange[],
  progress: Progress,
  signal: AbortSignal | undefined,
): Promise<void> => {
  if (changes.length === 0) return
  const outcomes = await ipvs.batch(changes, { signal })
  await stepInTurns(noteOutcomes(progress, changes, outcomes))
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

const makeRounds = async (ipvs: Ipvs, request: Request, progress: Progress): Promise<void> => {
  for (let round = 1; round <= mostRounds; ++round) {
    const changes = await changesFor(ipvs, request)
    await stepInTurns(settle(progress, changes))
    const planned = await stepInTurns(openAmong(progress, changes))
    await carryOut(ipvs, planned, progress, request.signal)
    if (openOf(progress).length === 0) return
  }
}

/** Makes the table as desired. */
export const apply = async (
  ipvs: Ipvs,
  desired: unknown,
  options: DesiredStateOptions | undefined,
): Promise<Applied> => {
  const taken = take(desired, options)
  const request = taken instanceof Promise ? await taken : taken
  const progress = startProgress()
  try {
    await makeRounds(ipvs, request, progress)
  } catch (error) {
    throw endedEarly(error, progress)
  }
  return { changes: madeOf(progress), failed: failedOf(progress) }
}
