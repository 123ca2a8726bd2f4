// From the public verbs to changes that are ready to be sent.

import { isDirectVerb } from './direct.js'
import type { Change, Group } from './group.js'
import type { Command } from './commands.js'
import { takeDestination, takeDestinationKey, takeDestinationPatch } from './destination.js'
import type { DestinationIdentity } from './destination.js'
import { takeService, takeServiceKey, takeServicePatch } from './service.js'
import type { ServiceIdentity } from './service.js'
import { stopOf, takeRole, takeSyncDaemon, takeTimeouts } from './sync.js'
import { inTurns } from './turns.js'
import { takeObject, takeOneOf } from './validate.js'
import type { Properties } from './validate.js'

/** Where an argument stands, for messages: `service`, or `operations[3].service`. */
type PathOf = (name: string) => string

/** Makes a change of the arguments of a verb, by name. */
type Prepare = (values: Properties, path: PathOf) => Change

const serviceChange = (command: Command, { fields }: ServiceIdentity): Change => ({
  command,
  service: fields,
})

const destinationChange = (
  command: Command,
  service: ServiceIdentity,
  destination: DestinationIdentity,
): Change => ({ command, service: service.fields, destination: destination.fields })

/** A destination has neither. */
const patchOfDestination = { defaultTimeout: 0, keepsScheduler: false }

const onService =
  (command: Command, take: typeof takeService): Prepare =>
  ({ service }, path) =>
    serviceChange(command, take(service, path('service')))

const onDestination =
  (command: Command, take: typeof takeDestination): Prepare =>
  ({ service, destination }, path) => {
    const identity = takeServiceKey(service, path('service'))
    const taken = take(destination, path('destination'), identity)
    return destinationChange(command, identity, taken)
  }

const patchService: Prepare = ({ service, changes }, path) => {
  const identity = takeServiceKey(service, path('service'))
  const { fields, patch } = takeServicePatch(changes, path('changes'), identity)
  return { command: 'SET_SERVICE', service: fields, patch }
}

const patchDestination: Prepare = ({ service, destination, changes }, path) => {
  const identity = takeServiceKey(service, path('service'))
  const key = takeDestinationKey(destination, path('destination'), identity)
  const fields = takeDestinationPatch(changes, path('changes'), key, identity)
  return {
    command: 'SET_DEST',
    service: identity.fields,
    destination: fields,
    patch: patchOfDestination,
  }
}

const zero: Prepare = ({ service }, path) =>
  service === undefined
    ? { command: 'ZERO' }
    : serviceChange('ZERO', takeServiceKey(service, path('service')))

const setTimeouts: Prepare = ({ timeouts }, path) => ({
  command: 'SET_CONFIG',
  config: takeTimeouts(timeouts, path('timeouts')),
})

const startSyncDaemon: Prepare = ({ daemon }, path) => ({
  command: 'NEW_DAEMON',
  daemon: takeSyncDaemon(daemon, path('daemon')),
})

const stopSyncDaemon: Prepare = ({ role }, path) => ({
  command: 'DEL_DAEMON',
  daemon: stopOf(takeRole(role, path('role'))),
})

interface VerbEntry {
  /** The names of its arguments. */
  readonly takes: readonly string[]
  readonly prepare: Prepare
}

const service = ['service']
const destination = ['service', 'destination']

const verbs = {
  addService: { takes: service, prepare: onService('NEW_SERVICE', takeService) },
  editService: { takes: service, prepare: onService('SET_SERVICE', takeService) },
  patchService: { takes: [...service, 'changes'], prepare: patchService },
  deleteService: { takes: service, prepare: onService('DEL_SERVICE', takeServiceKey) },
  addDestination: {
    takes: destination,
    prepare: onDestination('NEW_DEST', takeDestination),
  },
  editDestination: {
    takes: destination,
    prepare: onDestination('SET_DEST', takeDestination),
  },
  patchDestination: { takes: [...destination, 'changes'], prepare: patchDestination },
  deleteDestination: {
    takes: destination,
    prepare: onDestination('DEL_DEST', takeDestinationKey),
  },
  zero: { takes: service, prepare: zero },
  setTimeouts: { takes: ['timeouts'], prepare: setTimeouts },
  startSyncDaemon: { takes: ['daemon'], prepare: startSyncDaemon },
  stopSyncDaemon: { takes: ['role'], prepare: stopSyncDaemon },
  clear: { takes: [], prepare: () => ({ command: 'FLUSH' }) },
} as const satisfies Readonly<Record<string, VerbEntry>>

export type Verb = keyof typeof verbs

/** Adds the change that a verb stands for, checked, and answers its number. */
export const addVerb = (group: Group, verb: Verb, values: Properties): number => {
  if (isDirectVerb(verb)) {
    const index = group.addDirect(verb, values['service'], values['destination'])
    if (index >= 0) return index
  }
  return group.add(verbs[verb].prepare(values, (name) => name))
}

/** Makes a group. What is wrong is refused first, also where there is no addon for it to be made with. */
const groupUnlessWrong = (make: () => Group, check: () => void): Group => {
  try {
    return make()
  } catch (error) {
    check()
    throw error
  }
}

/** The group that the change of a verb is to be added to. */
export const groupForVerb = (make: () => Group, verb: Verb, values: Properties): Group =>
  groupUnlessWrong(make, () => verbs[verb].prepare(values, (name) => name))

const verbNames = Object.keys(verbs) as Verb[]
// What the changes of a plan have beside, so that they can be passed as they are.
const plannedNames = ['before', 'after', 'reason']
const operationNames = [
  'op',
  ...plannedNames,
  ...new Set(Object.values(verbs).flatMap(({ takes }) => takes)),
]

/** What an operation of each verb may have. */
const namesOf = new Map(
  verbNames.map((verb) => [verb, ['op', ...verbs[verb].takes, ...plannedNames]]),
)

/** The change that one element of a batch stands for, checked. */
export const prepareOperation = (value: unknown, path: string): Change => {
  const { op } = takeObject(value, path, operationNames)
  const verb = takeOneOf(op, `${path}.op`, verbNames)
  const properties = takeObject(value, path, namesOf.get(verb) ?? operationNames)
  return verbs[verb].prepare(properties, (name) => `${path}.${name}`)
}

/** The group that the changes of a batch are to be added to. */
export const groupForBatch = (make: () => Group, operations: readonly unknown[]): Group =>
  groupUnlessWrong(make, () => {
    operations.forEach((each, index) => prepareOperation(each, `operations[${index}]`))
  })

/**
 * Adds the changes that a batch stands for, all checked. A long one is checked in several turns of
 * the event loop: then a promise for the rest.
 */
export const addOperations = (
  group: Group,
  operations: readonly unknown[],
): Promise<void> | undefined =>
  inTurns(operations.length, (from, end) => {
    for (let index = from; index < end; ++index) {
      index = group.addOperations(operations, index, end)
      if (index < end) group.add(prepareOperation(operations[index], `operations[${index}]`))
    }
  })
