// What has to change so that a table becomes as declared: a comparison of two values.

import { isDeepStrictEqual } from 'node:util'

import { nameDestination, plannedDestination, plannedService } from './desired.js'
import type { Declared } from './desired.js'
import { nameService } from './service.js'
import type { Steps } from './turns.js'
import type {
  AddDestinationChange,
  DeleteDestinationChange,
  DeleteServiceChange,
  EditDestinationChange,
  PatchDestinationChange,
  PlannedChange,
  PlannedDestination,
  PlannedService,
} from '../types/desired.js'
import type { DestinationChanges, DestinationConfig } from '../types/destination.js'
import type { Destination, VirtualServerState } from '../types/observed.js'
import type { ServiceKey } from '../types/service.js'

/** What to leave alone. */
export interface Scope {
  /** Whether a service that is not declared goes. */
  readonly removes: (service: VirtualServerState) => boolean
  /** Whether a destination that is there keeps its weight. */
  readonly keepsWeight: (destination: Destination, service: VirtualServerState) => boolean
}

const serviceSettings = ['scheduler', 'schedulerFlags', 'onePacket', 'persistence'] as const
const destinationSettings = [
  'forwarding',
  'weight',
  'upperThreshold',
  'lowerThreshold',
  'tunnel',
] as const

const shown = (value: unknown): string => {
  if (value === undefined) return 'none'
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** `weight 1 -> 3, forwarding dr -> nat`; undefined when nothing differs. */
const differences = <Name extends string>(
  names: readonly Name[],
  before: Readonly<Partial<Record<Name, unknown>>>,
  after: Readonly<Partial<Record<Name, unknown>>>,
): string | undefined => {
  const different = names.filter(
    (name) => before[name] !== after[name] && !isDeepStrictEqual(before[name], after[name]),
  )
  if (different.length === 0) return undefined
  return different
    .map((name) => `${name} ${shown(before[name])} -> ${shown(after[name])}`)
    .join(', ')
}

/** Changes, by the time at which they are made. */
interface Moments {
  readonly first: PlannedChange[]
  readonly last: PlannedChange[]
}

type EditChange = EditDestinationChange | PatchDestinationChange

const addition = (service: ServiceKey, after: PlannedDestination): AddDestinationChange => ({
  op: 'addDestination',
  service,
  destination: after as DestinationConfig,
  after,
  reason: 'declared, and not there',
})

const deletion = (service: ServiceKey, before: PlannedDestination): DeleteDestinationChange => ({
  op: 'deleteDestination',
  service,
  destination: { address: before.address, port: before.port },
  before,
  reason: 'not declared for its service',
})

/** A patch where the weight stays: what it is when the change is made, not when it was read. */
const edit = (
  service: ServiceKey,
  before: PlannedDestination,
  declared: PlannedDestination,
  keepsWeight: boolean,
): EditChange | undefined => {
  const after = keepsWeight ? { ...declared, weight: before.weight } : declared
  const reason = differences(destinationSettings, before, after)
  if (reason === undefined) return undefined
  const { address, port, forwarding, upperThreshold, lowerThreshold, tunnel } = after
  const others = { forwarding, upperThreshold, lowerThreshold, ...(tunnel && { tunnel }) }
  return keepsWeight
    ? {
        op: 'patchDestination',
        service,
        destination: { address, port },
        changes: others as DestinationChanges,
        before,
        after,
        reason,
      }
    : {
        op: 'editDestination',
        service,
        destination: after as DestinationConfig,
        before,
        after,
        reason,
      }
}

function* compareService(
  { key, service: after, destinations: declared }: Declared,
  found: VirtualServerState | undefined,
  { keepsWeight }: Scope,
  { first, last }: Moments,
): Steps<void> {
  const destinations = new Map<string, Destination>()
  for (const destination of found?.destinations ?? []) {
    yield
    destinations.set(nameDestination(destination), destination)
  }
  first.push(...changesOf(after, found))
  const edits: EditChange[] = []
  for (const [name, destination] of declared) {
    yield
    const there = destinations.get(name)
    destinations.delete(name)
    if (!found || !there) {
      first.push(addition(key, destination))
      continue
    }
    const before = plannedDestination(there)
    const change = edit(key, before, destination, keepsWeight(there, found))
    if (change) edits.push(change)
  }
  // So that there is always one to schedule to.
  for (const each of edits) if (each.after.weight !== 0) first.push(each)
  for (const each of edits) if (each.after.weight === 0) first.push(each)
  for (const each of destinations.values()) {
    yield
    last.push(deletion(key, plannedDestination(each)))
  }
}

const changesOf = (
  after: PlannedService,
  found: VirtualServerState | undefined,
): PlannedChange[] => {
  if (!found) {
    return [{ op: 'addService', service: after, after, reason: 'declared, and not there' }]
  }
  const before = plannedService(found)
  const reason = differences(serviceSettings, before, after)
  if (reason === undefined) return []
  return [{ op: 'editService', service: after, before, after, reason }]
}

const removal = (service: VirtualServerState): DeleteServiceChange => {
  const before = plannedService(service)
  const key =
    'fwmark' in before
      ? { fwmark: before.fwmark, family: before.family }
      : { protocol: before.protocol, address: before.address, port: before.port }
  return { op: 'deleteService', service: key, before, reason: 'not declared' }
}

/**
 * The changes in the order in which they are to be made: whatever adds, in the order of the
 * declarations, then whatever removes.
 */
export function* planChanges(
  declared: ReadonlyMap<string, Declared>,
  table: readonly VirtualServerState[],
  scope: Scope,
): Steps<PlannedChange[]> {
  const found = new Map<string, VirtualServerState>()
  for (const service of table) {
    yield
    found.set(nameService(service), service)
  }
  const moments: Moments = { first: [], last: [] }
  for (const [name, each] of declared) {
    yield
    yield* compareService(each, found.get(name), scope, moments)
  }
  const removals: PlannedChange[] = []
  for (const service of table) {
    yield
    if (declared.has(nameService(service)) || !scope.removes(service)) continue
    removals.push(removal(service))
  }
  return moments.first.concat(moments.last, removals)
}
