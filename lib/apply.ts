// Desired state: read, compare, change, and again where somebody else was quicker.

import { copyDesired } from './desired-copy.js'
import { nameDestination, takeDesired } from './desired.js'
import type { Declared } from './desired.js'
import { retold } from './errors.js'
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
import type { IpvsErrorCode, IpvsErrorShape } from '../types/error.js'
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

/** Sends changes, adds those that were made to a list, and answers the others. */
const send = async (
  ipvs: Ipvs,
  changes: readonly PlannedChange[],
  made: PlannedChange[],
  signal: AbortSignal | undefined,
): Promise<FailedChange[]> => {
  if (changes.length === 0) return []
  const outcomes = await ipvs.batch(changes, { signal })
  const failed: FailedChange[] = []
  changes.forEach((change, index) => {
    const outcome = outcomes[index]
    if (outcome?.ok === false) failed.push({ change, error: outcome.error })
    else made.push(change)
  })
  return failed
}

interface Round {
  readonly failed: readonly FailedChange[]
  /** Removals that were not sent, since what they waited for failed. */
  readonly held: readonly FailedChange[]
}

/** Sends a plan: whole, unless removals wait for how the rest ends. */
const carryOut = async (
  ipvs: Ipvs,
  planned: readonly PlannedChange[],
  refused: readonly FailedChange[],
  made: PlannedChange[],
  signal: AbortSignal | undefined,
): Promise<Round> => {
  const removals = planned.filter(isRemoval)
  const others = planned.filter((change) => !isRemoval(change))
  const replacing = [...others, ...refused.map(({ change }) => change)]
  const awaited = await stepInTurns(awaitedAmong(replacing, (each) => each))
  if (!removals.some(awaited)) {
    return { failed: await send(ipvs, planned, made, signal), held: [] }
  }
  const failed = await send(ipvs, others, made, signal)
  const failureOf = await stepInTurns(awaitedAmong([...refused, ...failed], ({ change }) => change))
  const held: FailedChange[] = []
  const free = removals.filter((change) => {
    const failure = failureOf(change)
    if (failure) held.push(heldBack(change, failure))
    return !failure
  })
  return { failed: [...failed, ...(await send(ipvs, free, made, signal))], held }
}

const isLost = ({ error }: { readonly error: IpvsErrorShape }): boolean => reread.has(error.code)

const makeRounds = async (
  ipvs: Ipvs,
  request: Request,
  changes: PlannedChange[],
): Promise<Applied> => {
  const refused = new Map<string, FailedChange>()
  // What was refused is not tried again, nor what depends on it.
  const isOpen = (change: PlannedChange): boolean =>
    refused.size === 0 ||
    (!refused.has(subjectOf(change)) &&
      !(refused.get(nameService(change.service))?.change.op === 'addService'))
  for (let round = 1; ; ++round) {
    const planned = (await changesFor(ipvs, request)).filter(isOpen)
    const before = [...refused.values()]
    const { failed, held } = await carryOut(ipvs, planned, before, changes, request.signal)
    for (const each of failed) if (!isLost(each)) refused.set(subjectOf(each.change), each)
    const lost = failed.filter((each) => isLost(each) && isOpen(each.change))
    if (lost.length === 0 || round === mostRounds)
      return { changes, failed: [...refused.values(), ...lost, ...held] }
  }
}

/** What ends it early says how far it came. */
const afterChanges = (error: unknown, changes: readonly PlannedChange[]): unknown => {
  if (changes.length === 0) return error
  const { length } = changes
  const made = length === 1 ? '1 change was made, and is' : `${length} changes were made, and are`
  const told = retold(error, (why) => `${made} in this error's changes. Of the rest: ${why}`)
  return told instanceof Error ? Object.assign(told, { changes }) : told
}

/** Makes the table as desired. */
export const apply = async (
  ipvs: Ipvs,
  desired: unknown,
  options: DesiredStateOptions | undefined,
): Promise<Applied> => {
  const request = await take(desired, options)
  const changes: PlannedChange[] = []
  try {
    return await makeRounds(ipvs, request, changes)
  } catch (error) {
    throw afterChanges(error, changes)
  }
}
