// Drains: no new connections, waiting until the old ones have ended, and then deleting.

import { takeDestinationKey } from './destination.js'
import { closingOf } from './closing.js'
import { abortError, abortErrorSaying, closedErrorSaying, IpvsError } from './errors.js'
import { pause } from './pause.js'
import { joinAddress, keyOf, nameService, takeServiceKey } from './service.js'
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

/** One destination, or all of a service. */
interface Target {
  readonly service: ServiceKey
  /** For messages. */
  readonly name: string
  /** Its destinations as they are now; undefined when it is gone. */
  readonly look: (signal: AbortSignal | undefined) => Promise<readonly Destination[] | undefined>
  /** Sets all weights to 0. */
  readonly quiesce: (before: readonly Destination[]) => Promise<void>
  readonly remove: () => Promise<void>
  /** Why it is not deleted when a weight is not 0 any more. */
  readonly revived: string
}

const isAnswer = (error: unknown, code: IpvsErrorCode): boolean =>
  IpvsError.is(error) && error.code === code

const listUnlessGone = async (
  ipvs: Ipvs,
  service: ServiceKey,
  signal: AbortSignal | undefined,
): Promise<Destination[] | undefined> => {
  try {
    return await ipvs.listDestinations(service, { signal })
  } catch (error) {
    if (isAnswer(error, 'ERR_IPVS_NO_SERVICE')) return undefined
    throw error
  }
}

type DestinationName = Pick<Destination, 'address' | 'port'>

const isSame = (one: DestinationName, other: DestinationName): boolean =>
  one.address === other.address && one.port === other.port

const destinationTarget = (
  ipvs: Ipvs,
  service: ServiceKey,
  destination: DestinationName,
): Target => {
  const find = async (signal: AbortSignal | undefined): Promise<Destination[] | undefined> => {
    const found = await listUnlessGone(ipvs, service, signal)
    const own = found?.filter((each) => isSame(each, destination)) ?? []
    return own.length > 0 ? own : undefined
  }
  return {
    service,
    name: `${joinAddress(destination.address, destination.port)} of ${nameService(service)}`,
    // While others are deleted, the kernel may leave it out of its list once.
    look: async (signal) => (await find(signal)) ?? find(signal),
    // Also when it is 0 already: this is what finds out that there is no such destination.
    quiesce: () => ipvs.patchDestination(service, destination, { weight: 0 }),
    remove: () => ipvs.deleteDestination(service, destination, { ifMissing: 'ignore' }),
    revived: 'somebody else gave it a weight again, so it was not deleted',
  }
}

/** Those that are gone need none any more. */
const setWeights = async (
  ipvs: Ipvs,
  service: ServiceKey,
  weights: readonly (readonly [destination: DestinationKey, weight: number])[],
): Promise<void> => {
  if (weights.length === 0) return
  const outcomes = await ipvs.batch(
    weights.map(([{ address, port }, weight]) => ({
      op: 'patchDestination',
      service,
      destination: { address, port },
      changes: { weight },
    })),
  )
  for (const outcome of outcomes) {
    if (!outcome.ok && !isAnswer(outcome.error, 'ERR_IPVS_NO_DESTINATION')) throw outcome.error
  }
}

const serviceTarget = (ipvs: Ipvs, service: ServiceKey): Target => ({
  service,
  name: nameService(service),
  look: (signal) => listUnlessGone(ipvs, service, signal),
  quiesce: (before) =>
    setWeights(
      ipvs,
      service,
      before.map((each) => [each, 0]),
    ),
  remove: () => ipvs.deleteService(service, { ifMissing: 'ignore' }),
  revived:
    'one of its destinations has a weight, added or given by somebody else meanwhile, so the service was not deleted; the others stay at weight 0, and listDrains() finds them',
})

const putBack = async (
  ipvs: Ipvs,
  { service, look }: Target,
  before: readonly Destination[],
): Promise<void> => {
  const now = (await look(undefined)) ?? []
  const untouched = before.filter((each) =>
    now.some((other) => isSame(each, other) && other.weight === 0),
  )
  await setWeights(
    ipvs,
    service,
    untouched.map((each) => [each, each.weight]),
  )
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

/** After it nothing has changed; says of an abort whether that is so. */
const undo = async (
  ipvs: Ipvs,
  target: Target,
  before: readonly Destination[],
  { signal }: Settings,
): Promise<Error | undefined> => {
  const restored = await putBack(ipvs, target, before).then(
    () => 'what was changed is put back',
    (error: unknown) => `the weight could not be put back: ${String(error)}`,
  )
  if (signal?.aborted !== true) return undefined
  return abortErrorSaying(`The drain of ${target.name} was aborted; ${restored}`, signal)
}

/** Nothing can be put back with a closed handle. */
const leftAtZero = ({ name }: Target): IpvsError =>
  closedErrorSaying(
    `The drain of ${name} ended because the handle was closed; what it had set to weight 0 stays so, and listDrains() finds it`,
  )

const drain = async (ipvs: Ipvs, target: Target, settings: Settings): Promise<DrainResult> => {
  const { signal, remove } = settings
  const service = await ipvs.getService(target.service, { signal })
  const found = await target.look(signal)
  throwIfAborted(signal)
  const before = (found ?? []).filter(({ weight }) => weight !== 0)
  let isQuiet = false
  let end: End
  try {
    await target.quiesce(before)
    isQuiet = true
    throwIfAborted(signal)
    end = await waitUntilEmpty(ipvs, target, settings)
    const isFinished = end.ended === 'drained' || end.ended === 'timeout'
    if (remove && isFinished) await target.remove()
  } catch (error) {
    const undone = await undo(ipvs, target, before, settings)
    if (undone) throw undone
    throw isQuiet && isAnswer(error, 'ERR_IPVS_CLOSED') ? leftAtZero(target) : error
  }
  const reason = reasonOf(end, target, settings, service)
  return { drained: end.ended === 'drained', ...end, ...(reason !== undefined && { reason }) }
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
  return drain(ipvs, destinationTarget(ipvs, service.key, destination.key), settings)
}

export const drainService = async (
  ipvs: Ipvs,
  key: ServiceKey,
  options: DrainOptions | undefined,
): Promise<DrainResult> => {
  const settings = takeDrainOptions(options)
  const { key: service } = takeServiceKey(key, 'service')
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
