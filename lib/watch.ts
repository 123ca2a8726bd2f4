// What changes in the table, found by looking at it again and again.

import { isDeepStrictEqual } from 'node:util'

import { closingOf } from './closing.js'
import { abortErrorSaying } from './errors.js'
import { pause } from './pause.js'
import { joinAddress, keyOf, nameService } from './service.js'
import { stepInTurns } from './turns.js'
import type { Steps } from './turns.js'
import { orDefault, signalOf, takeBoolean, takeInteger, takeOptions } from './validate.js'
import type { Ipvs, SnapshotOptions } from '../types/ipvs.js'
import type { Destination, Service, Stats, VirtualServerState } from '../types/observed.js'
import type {
  ChangedDestination,
  ChangedService,
  CounterChange,
  TableChange,
  WatchedDestination,
  WatchedService,
  WatchOptions,
} from '../types/watch.js'

type Total = number | bigint
type State = VirtualServerState<Total>
type Entry = WatchedService<Total> | WatchedDestination<Total>

const serviceSettings = ['scheduler', 'schedulerFlags', 'onePacket', 'persistence'] as const
const destinationSettings = [
  'forwarding',
  'weight',
  'upperThreshold',
  'lowerThreshold',
  'tunnel',
] as const
const totals = ['connections', 'packetsIn', 'packetsOut', 'bytesIn', 'bytesOut'] as const

interface Settings {
  readonly interval: number
  readonly stats: boolean
  readonly reading: SnapshotOptions
  readonly signal: AbortSignal | undefined
}

const takeWatchOptions = (value: unknown): Settings => {
  const given = takeOptions(value, ['interval', 'stats', 'bigint', 'consistent'])
  const { interval, stats } = given
  const flag = (name: string): boolean =>
    takeBoolean(orDefault(given[name], false), `options.${name}`)
  const signal = signalOf(given)
  return {
    interval: takeInteger(orDefault(interval, 1000), 'options.interval', 1, 2 ** 31 - 1),
    stats: takeBoolean(orDefault(stats, true), 'options.stats'),
    reading: { bigint: flag('bigint'), consistent: flag('consistent'), signal },
    signal,
  }
}

interface Pairs<T> {
  readonly added: readonly T[]
  readonly removed: readonly T[]
  readonly kept: readonly (readonly [before: T, now: T])[]
}

function* pairByName<T>(
  before: readonly T[],
  now: readonly T[],
  nameOf: (each: T) => string,
): Steps<Pairs<T>> {
  const rest = new Map<string, T>()
  for (const each of before) {
    yield
    rest.set(nameOf(each), each)
  }
  const added: T[] = []
  const kept: [T, T][] = []
  for (const each of now) {
    yield
    const name = nameOf(each)
    const old = rest.get(name)
    if (old === undefined) added.push(each)
    else kept.push([old, each])
    rest.delete(name)
  }
  return { added, removed: [...rest.values()], kept }
}

/** Mostly there are the same entries in the same order, and no names need to be made. */
function* pair<T>(
  before: readonly T[],
  now: readonly T[],
  isSame: (one: T, other: T) => boolean,
  nameOf: (each: T) => string,
): Steps<Pairs<T>> {
  const kept: [T, T][] = []
  for (const [index, each] of now.entries()) {
    yield
    const old = before[index]
    if (old === undefined || !isSame(old, each)) break
    kept.push([old, each])
  }
  const isAll = kept.length === now.length && kept.length === before.length
  return isAll ? { added: [], removed: [], kept } : yield* pairByName(before, now, nameOf)
}

const isSameService = (one: State, other: State): boolean =>
  'fwmark' in one
    ? 'fwmark' in other && one.fwmark === other.fwmark && one.family === other.family
    : !('fwmark' in other) &&
      one.port === other.port &&
      one.address === other.address &&
      one.protocol === other.protocol

const pairServices = (before: readonly State[], now: readonly State[]): Steps<Pairs<State>> =>
  pair(before, now, isSameService, (each) => nameService(keyOf(each)))

const pairDestinations = (before: State, now: State): Steps<Pairs<Destination<Total>>> =>
  pair(
    before.destinations,
    now.destinations,
    (one, other) => one.port === other.port && one.address === other.address,
    ({ address, port }) => joinAddress(address, port),
  )

// These two run for every destination at every look, so they make nothing unless something differs.

const nothing: readonly string[] = []

const differing = <T>(
  before: T,
  now: T,
  names: readonly (keyof T & string)[],
): readonly string[] => {
  let found: string[] | undefined
  for (const name of names) {
    if (before[name] === now[name] || isDeepStrictEqual(before[name], now[name])) continue
    found ??= []
    found.push(name)
  }
  return found ?? nothing
}

const isCounted = (before: Stats<Total>, now: Stats<Total>): boolean => {
  for (const name of totals) if (before[name] !== now[name]) return true
  return false
}

/** Undefined when nothing was counted. */
const countedSince = (
  before: Stats<Total>,
  now: Stats<Total>,
): Pick<CounterChange<Total>, 'delta' | 'reset'> | undefined => {
  if (!isCounted(before, now)) return undefined
  const reset = totals.some((name) => now[name] < before[name])
  const grown = (name: (typeof totals)[number]): Total =>
    // Both are bigint or both are not.
    reset ? now[name] : (now[name] as number) - (before[name] as number)
  return {
    delta: {
      connections: grown('connections'),
      packetsIn: grown('packetsIn'),
      packetsOut: grown('packetsOut'),
      bytesIn: grown('bytesIn'),
      bytesOut: grown('bytesOut'),
    },
    reset,
  }
}

const withoutDestinations = (state: State): Service<Total> => {
  const service: Service<Total> & { destinations?: unknown } = { ...state }
  delete service.destinations
  return service
}

function* entriesOf(states: readonly State[]): Steps<Entry[]> {
  const entries: Entry[] = []
  for (const state of states) {
    const service = keyOf(state)
    entries.push({ service: withoutDestinations(state) })
    for (const destination of state.destinations) {
      yield
      entries.push({ service, destination })
    }
  }
  return entries
}

type Differences = Pick<TableChange<Total>, 'added' | 'removed' | 'changed' | 'stats'>
type Changed = ChangedService<Total> | ChangedDestination<Total>

function* differencesOf(
  table: readonly State[],
  now: readonly State[],
  wantsStats: boolean,
): Steps<Differences> {
  const looks = yield* pairServices(table, now)
  const added = yield* entriesOf(looks.added)
  const removed = yield* entriesOf(looks.removed)
  const changed: Changed[] = []
  const stats: CounterChange<Total>[] = []
  for (const [old, state] of looks.kept) {
    const properties = differing(old, state, serviceSettings)
    const counted = wantsStats ? countedSince(old.stats, state.stats) : undefined
    if (properties.length > 0) {
      const [before, service] = [withoutDestinations(old), withoutDestinations(state)]
      changed.push({ service, before, properties })
    }
    if (counted) stats.push({ service: withoutDestinations(state), ...counted })
    const service = keyOf(state)
    const destinations = yield* pairDestinations(old, state)
    for (const destination of destinations.added) added.push({ service, destination })
    for (const destination of destinations.removed) removed.push({ service, destination })
    for (const [before, destination] of destinations.kept) {
      yield
      const names = differing(before, destination, destinationSettings)
      if (names.length > 0) changed.push({ service, destination, before, properties: names })
      const moved = wantsStats ? countedSince(before.stats, destination.stats) : undefined
      if (moved) stats.push({ service, destination, ...moved })
    }
  }
  return { added, removed, changed, stats }
}

const throwIfAborted = (signal: AbortSignal | undefined): void => {
  if (signal?.aborted === true) throw abortErrorSaying('The watch was aborted', signal)
}

export async function* watch(
  ipvs: Ipvs,
  options: WatchOptions | undefined,
): AsyncGenerator<TableChange<Total>, void, void> {
  const { interval, stats, reading, signal } = takeWatchOptions(options)
  let table: readonly State[] = []
  let last: number | undefined
  for (;;) {
    if (last !== undefined) {
      await pause(last + interval - performance.now(), signal, closingOf(ipvs))
    }
    throwIfAborted(signal)
    const [at, start] = [Date.now(), performance.now()]
    const now = await ipvs.snapshot(reading)
    const differences = await stepInTurns(differencesOf(table, now, stats))
    const elapsed = last === undefined ? 0 : Math.round(start - last)
    const isFirst = last === undefined
    table = now
    last = start
    const { added, removed, changed } = differences
    if (stats || isFirst || added.length + removed.length + changed.length > 0) {
      yield { at, elapsed, ...differences }
    }
  }
}
