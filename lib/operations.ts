// From the public verbs to changes that are ready to be sent.

import type { Change } from './batch.js'
import type { Command } from './commands.js'
import { takeDestination, takeDestinationKey, takeDestinationPatch } from './destination.js'
import type { DestinationIdentity } from './destination.js'
import {
  joinAddress,
  nameService,
  takeService,
  takeServiceKey,
  takeServicePatch,
} from './service.js'
import type { ServiceIdentity } from './service.js'
import { stopOf, takeRole, takeSyncDaemon, takeTimeouts } from './sync.js'
import { takeObject, takeOneOf } from './validate.js'
import type { Properties } from './validate.js'

/** Where an argument stands, for messages: `service`, or `operations[3].service`. */
type PathOf = (name: string) => string

/** Makes a change of the arguments of a verb, by name. */
type Prepare = (values: Properties, path: PathOf) => Change

const nameDestination = (service: ServiceIdentity, { key }: DestinationIdentity): string =>
  `destination ${joinAddress(key.address, key.port)} of service ${nameService(service.key)}`

const serviceChange = (
  command: Command,
  verb: string,
  { fields, key }: ServiceIdentity,
): Change => ({
  command,
  service: fields,
  request: {
    command,
    what: () => `${verb} service ${nameService(key)}`,
    service: key,
    ...(fields.scheduler !== undefined && { scheduler: fields.scheduler }),
    ...(fields.engine !== undefined && { engine: fields.engine }),
    changes: true,
  },
})

const destinationChange = (
  command: Command,
  verb: string,
  service: ServiceIdentity,
  destination: DestinationIdentity,
): Change => ({
  command,
  service: service.fields,
  destination: destination.fields,
  request: {
    command,
    what: () => `${verb} ${nameDestination(service, destination)}`,
    service: service.key,
    destination: destination.key,
    changes: true,
  },
})

const otherChange = (command: Command, what: string, more: Partial<Change> = {}): Change => ({
  command,
  ...more,
  request: { command, what: () => what, changes: true },
})

const onService =
  (command: Command, verb: string, take: typeof takeService): Prepare =>
  ({ service }, path) =>
    serviceChange(command, verb, take(service, path('service')))

const onDestination =
  (command: Command, verb: string, take: typeof takeDestination): Prepare =>
  ({ service, destination }, path) => {
    const identity = takeServiceKey(service, path('service'))
    const taken = take(destination, path('destination'), identity)
    return destinationChange(command, verb, identity, taken)
  }

const patchService: Prepare = ({ service, changes }, path) => {
  const identity = takeServiceKey(service, path('service'))
  const { fields, patch } = takeServicePatch(changes, path('changes'), identity)
  return { ...serviceChange('SET_SERVICE', 'patch', { ...identity, fields }), patch }
}

const patchDestination: Prepare = ({ service, destination, changes }, path) => {
  const identity = takeServiceKey(service, path('service'))
  const key = takeDestinationKey(destination, path('destination'), identity)
  const fields = takeDestinationPatch(changes, path('changes'), key, identity)
  const change = destinationChange('SET_DEST', 'patch', identity, { ...key, fields })
  return { ...change, patch: { defaultTimeout: 0, keepsScheduler: false } }
}

const zero: Prepare = ({ service }, path) =>
  service === undefined
    ? otherChange('ZERO', 'zero all counters')
    : serviceChange('ZERO', 'zero the counters of', takeServiceKey(service, path('service')))

const setTimeouts: Prepare = ({ timeouts }, path) =>
  otherChange('SET_CONFIG', 'set the timeouts', {
    config: takeTimeouts(timeouts, path('timeouts')),
  })

const startSyncDaemon: Prepare = ({ daemon }, path) => {
  const fields = takeSyncDaemon(daemon, path('daemon'))
  const { role } = daemon as { role: string }
  const what = `start the ${role} daemon on ${fields.interface ?? ''}`
  return otherChange('NEW_DAEMON', what, { daemon: fields })
}

const stopSyncDaemon: Prepare = (values, path) => {
  const role = takeRole(values['role'], path('role'))
  return otherChange('DEL_DAEMON', `stop the ${role} daemon`, { daemon: stopOf(role) })
}

interface VerbEntry {
  /** The names of its arguments. */
  readonly takes: readonly string[]
  readonly prepare: Prepare
}

const service = ['service']
const destination = ['service', 'destination']

const verbs = {
  addService: { takes: service, prepare: onService('NEW_SERVICE', 'add', takeService) },
  editService: { takes: service, prepare: onService('SET_SERVICE', 'edit', takeService) },
  patchService: { takes: [...service, 'changes'], prepare: patchService },
  deleteService: { takes: service, prepare: onService('DEL_SERVICE', 'delete', takeServiceKey) },
  addDestination: {
    takes: destination,
    prepare: onDestination('NEW_DEST', 'add', takeDestination),
  },
  editDestination: {
    takes: destination,
    prepare: onDestination('SET_DEST', 'edit', takeDestination),
  },
  patchDestination: { takes: [...destination, 'changes'], prepare: patchDestination },
  deleteDestination: {
    takes: destination,
    prepare: onDestination('DEL_DEST', 'delete', takeDestinationKey),
  },
  zero: { takes: service, prepare: zero },
  setTimeouts: { takes: ['timeouts'], prepare: setTimeouts },
  startSyncDaemon: { takes: ['daemon'], prepare: startSyncDaemon },
  stopSyncDaemon: { takes: ['role'], prepare: stopSyncDaemon },
  clear: { takes: [], prepare: () => otherChange('FLUSH', 'clear the table') },
} as const satisfies Readonly<Record<string, VerbEntry>>

export type Verb = keyof typeof verbs

/** The change that a verb stands for, checked. */
export const prepare = (verb: Verb, values: Properties): Change =>
  verbs[verb].prepare(values, (name) => name)

const verbNames = Object.keys(verbs) as Verb[]
// What the changes of a plan have beside, so that they can be passed as they are.
const plannedNames = ['before', 'after', 'reason']
const operationNames = [
  'op',
  ...plannedNames,
  ...new Set(Object.values(verbs).flatMap(({ takes }) => takes)),
]

/** The change that one element of a batch stands for, checked. */
export const prepareOperation = (value: unknown, path: string): Change => {
  const { op } = takeObject(value, path, operationNames)
  const verb = takeOneOf(op, `${path}.op`, verbNames)
  const { takes, prepare: prepareIt } = verbs[verb]
  return prepareIt(
    takeObject(value, path, ['op', ...takes, ...plannedNames]),
    (name) => `${path}.${name}`,
  )
}
