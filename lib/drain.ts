// Drains: no new connections, waiting until the old ones have ended, and then deleting.

import { destinationKeyOf, takeDestinationKey } from './destination.js'
import { closingOf } from './closing.js'
import { destinationTarget, isAnswer, putBack, serviceTarget } from './drain-target.js'
import type { Target } from './drain-target.js'
import { abortError, abortErrorSaying, closedErrorSaying, IpvsError, retold } from './errors.js'
import { pause } from './pause.js'
import { keyOf, keyOfFields, takeServiceKey } from './service.js'
import {
  orDefault,
  signalOf,
  takeBoolean,
  takeInteger,
  takeList,
  takeOneOf,
  takeOptions,
  wrongType,
} from './validate.js'
import type {
  DrainCondition,
  DrainCounts,
  DrainEntry,
  DrainOptions,
  DrainResult,
} from '../types/drain.js'
import type { DestinationKey } from '../types/destination.js'
import type { IpvsErrorCode } from '../types/error.js'
import type { CallOptions, Ipvs } from '../types/ipvs.js'
import type { Destination, Service } from '../types/observed.js'
import type { ServiceKey } from '../types/service.js'

const most = 2 ** 31 - 1

const counters = {
  active: 'activeConnections',
  inactive: 'inactiveConnections',
  persistent: 'persistentConnections',
} as const satisfies Record<DrainCondition, keyof DrainCounts>
const conditions = Object.keys(counters) as DrainCondition[]

interface Settings extends Pick<DrainOptions, 'onProgress' | 'signal'> {
  readonly timeout: number
  readonly interval: number
  readonly remove: boolean
  readonly waitFor: readonly DrainCondition[]
}

const takeDrainOptions = (value: unknown): Settings => {
  const names = ['timeout', 'interval', 'remove', 'waitFor', 'onProgress']
  const given = takeOptions(value, names)
  const { timeout, interval, remove, waitFor, onProgress } = given
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw wrongType('options.onProgress', 'a function', onProgress)
  }
  return {
    timeout: takeInteger(orDefault(timeout, 600_000), 'options.timeout', 0, most),
    interval: takeInteger(orDefault(interval, 1000), 'options.interval', 1, most),
    remove: takeBoolean(orDefault(remove, true), 'options.remove'),
    waitFor: takeList(
      orDefault(waitFor, ['active', 'persistent']),
      'options.waitFor',
      (each, path) => takeOneOf(each, path, conditions),
    ),
    onProgress: onProgress as DrainOptions['onProgress'],
    signal: signalOf(given),
  }
}

const sumOf = (destinations: readonly Destination[]): DrainCounts => {
  const sum = (name: keyof DrainCounts): number =>
    destinations.reduce((total, each) => total + each[name], 0)
  return {
    activeConnections: sum('activeConnections'),
    inactiveConnections: sum('inactiveConnections'),
    persistentConnections: sum('persistentConnections'),
  }
}

type End = Pick<DrainResult, 'ended' | 'remaining'>

const throwIfAborted = (signal: AbortSignal | undefined): void => {
  if (signal?.aborted === true) throw abortError(signal, false)
}

const waitUntilEmpty = async (ipvs: Ipvs, { look }: Target, settings: Settings): Promise<End> => {
  const { timeout, interval, waitFor, onProgress, signal } = settings
  const start = performance.now()
  let remaining = sumOf([])
  for (;;) {
    const destinations = await look(signal)
    throwIfAborted(signal)
    if (!destinations) return { ended: 'gone', remaining }
    remaining = sumOf(destinations)
    if (destinations.some(({ weight }) => weight !== 0)) return { ended: 'revived', remaining }
    const waitingFor = waitFor.filter((condition) => remaining[counters[condition]] > 0)
    const elapsed = performance.now() - start
    onProgress?.({ elapsed: Math.round(elapsed), remaining, waitingFor })
    throwIfAborted(signal)
    if (waitingFor.length === 0) return { ended: 'drained', remaining }
    if (elapsed >= timeout) return { ended: 'timeout', remaining }
    await pause(Math.min(interval, timeout - elapsed), signal, closingOf(ipvs))
    throwIfAborted(signal)
  }
}

const leftAfter = (
  { timeout, waitFor }: Settings,
  { persistence }: Service,
  remaining: DrainCounts,
): string => {
  const left = waitFor
    .filter((condition) => remaining[counters[condition]] > 0)
    .map((condition) => `${remaining[counters[condition]]} ${condition}`)
  const start = `after ${timeout} ms it still had connections (${left.join(', ')})`
  if (!waitFor.includes('persistent') || remaining.persistentConnections === 0) return start
  const held = persistence
    ? `for ${persistence.timeout} s after their last connection`
    : 'for a while'
  return `${start}; persistent clients are held ${held}, and unless the sysctl net.ipv4.vs.expire_quiescent_template is 1 they may open new ones`
}

const reasonOf = (
  { ended, remaining }: End,
  { revived }: Target,
  settings: Settings,
  service: Service,
): string | undefined => {
  switch (ended) {
    case 'timeout':
      return leftAfter(settings, service, remaining)
    case 'gone':
      return 'somebody else deleted it'
    case 'revived':
      return revived
    default:
      return undefined
  }
}

/** What a drain says of what is not there: the calls that it is made of advise to add it first. */
const missing: Partial<Record<IpvsErrorCode, string>> = {
  ERR_IPVS_NO_DESTINATION: 'the service has no such destination',
  ERR_IPVS_NO_SERVICE: 'there is no such service',
}

const whyMissing = (error: unknown): string | undefined =>
  IpvsError.is(error) ? missing[error.code] : undefined

const staysQuiet = 'what it had set to weight 0 stays so, and listDrains() finds it'

/** Nothing can be put back with a closed handle. */
const leftAtZero = ({ name }: Target): IpvsError =>
  closedErrorSaying(`The drain of ${name} ended because the handle was closed; ${staysQuiet}`)

/** What a drain rejects with, and `failure` to put the weights back. */
const endOf = (
  error: unknown,
  failure: unknown,
  { name }: Target,
  { signal }: Settings,
): unknown => {
  const couldNot = `the weight could not be put back: ${String(failure)}`
  if (signal?.aborted === true) {
    const restored = failure === undefined ? 'what was changed is put back' : couldNot
    return abortErrorSaying(`The drain of ${name} was aborted; ${restored}`, signal)
  }
  if (failure === undefined) {
    return retold(error, (why) => `Cannot drain ${name}: ${whyMissing(error) ?? why}`)
  }
  const { errno, command } = IpvsError.is(error) ? error : { errno: 0, command: '' }
  return new IpvsError(
    `The drain of ${name} failed: ${String(error)}. And ${couldNot}. So ${staysQuiet}`,
    {
      ...{ code: 'ERR_IPVS_OUTCOME_UNKNOWN', errno, command },
      errors: [error, failure].filter((each) => IpvsError.is(each)),
    },
    { cause: error },
  )
}

const drain = async (ipvs: Ipvs, target: Target, settings: Settings): Promise<DrainResult> => {
  const { signal, remove } = settings
  let before: readonly Destination[] = []
  const weights = { mayBeZero: false }
  try {
    const service = await ipvs.getService(target.service, { signal })
    const found = await target.look(signal)
    throwIfAborted(signal)
    before = (found ?? []).filter(({ weight }) => weight !== 0)
    const begun = (): void => {
      weights.mayBeZero = true
    }
    const isThere = await target.quiesce(before, begun).then(
      () => true,
      (error: unknown) => {
        // What was seen was there, so somebody else has deleted it since.
        if (found && whyMissing(error) !== undefined) return false
        throw error
      },
    )
    throwIfAborted(signal)
    const end: End = isThere
      ? await waitUntilEmpty(ipvs, target, settings)
      : { ended: 'gone', remaining: sumOf(found ?? []) }
    const isFinished = end.ended === 'drained' || end.ended === 'timeout'
    if (remove && isFinished) await target.remove()
    const reason = reasonOf(end, target, settings, service)
    return { drained: end.ended === 'drained', ...end, ...(reason !== undefined && { reason }) }
  } catch (error) {
    const failure = await putBack(ipvs, target, before).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    const isAborted = signal?.aborted === true
    if (!isAborted && weights.mayBeZero && isAnswer(error, 'ERR_IPVS_CLOSED'))
      throw leftAtZero(target)
    throw endOf(error, weights.mayBeZero ? failure : undefined, target, settings)
  }
}

export const drainDestination = async (
  ipvs: Ipvs,
  key: ServiceKey,
  destinationKey: DestinationKey,
  options: DrainOptions | undefined,
): Promise<DrainResult> => {
  const settings = takeDrainOptions(options)
  const service = takeServiceKey(key, 'service')
  const destination = takeDestinationKey(destinationKey, 'destination', service)
  const real = destinationKeyOf(destination.fields)
  return drain(ipvs, destinationTarget(ipvs, keyOfFields(service.fields), real), settings)
}

export const drainService = async (
  ipvs: Ipvs,
  key: ServiceKey,
  options: DrainOptions | undefined,
): Promise<DrainResult> => {
  const settings = takeDrainOptions(options)
  const service = keyOfFields(takeServiceKey(key, 'service').fields)
  return drain(ipvs, serviceTarget(ipvs, service), settings)
}

export const listDrains = async (
  ipvs: Ipvs,
  options: CallOptions | undefined,
): Promise<DrainEntry[]> => {
  const signal = signalOf(takeOptions(options))
  const services = await ipvs.snapshot({ signal })
  return services.flatMap((service) =>
    service.destinations
      .filter(({ weight }) => weight === 0)
      .map((destination) => ({ service: keyOf(service), destination })),
  )
}
