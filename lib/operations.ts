// From the public verbs to changes that are ready to be sent.

import { familyNumbers } from './address.js'
import type { Change } from './batch.js'
import { takeDestination, takeDestinationKey } from './destination.js'
import { joinAddress, nameService, takeService, takeServiceKey } from './service.js'
import type { ServiceIdentity } from './service.js'
import { takeObject, takeOneOf } from './validate.js'
import type { DestinationIdentity } from './destination.js'

/** Where the arguments stand, for messages: `service`, or `operations[3].service`. */
interface Paths {
  readonly service: string
  readonly destination: string
}

const plainPaths: Paths = { service: 'service', destination: 'destination' }

const serviceChange = (
  command: 'NEW_SERVICE' | 'SET_SERVICE' | 'DEL_SERVICE',
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
  command: 'NEW_DEST' | 'SET_DEST' | 'DEL_DEST',
  verb: string,
  service: ServiceIdentity,
  { fields, key }: DestinationIdentity,
): Change => ({
  command,
  service: service.fields,
  destination: fields,
  request: {
    command,
    what: () =>
      `${verb} destination ${joinAddress(key.address, key.port)} of service ${nameService(service.key)}`,
    service: service.key,
    destination: key,
    changes: true,
  },
})

type Prepare = (service: unknown, destination: unknown, paths: Paths) => Change

const onService =
  (
    command: 'NEW_SERVICE' | 'SET_SERVICE' | 'DEL_SERVICE',
    verb: string,
    take: typeof takeService,
  ): Prepare =>
  (service, _, paths) =>
    serviceChange(command, verb, take(service, paths.service))

const onDestination =
  (
    command: 'NEW_DEST' | 'SET_DEST' | 'DEL_DEST',
    verb: string,
    take: typeof takeDestination,
  ): Prepare =>
  (service, destination, paths) => {
    const identity = takeServiceKey(service, paths.service)
    return destinationChange(
      command,
      verb,
      identity,
      take(destination, paths.destination, identity),
    )
  }

const clear: Prepare = () => ({
  command: 'FLUSH',
  request: { command: 'FLUSH', what: () => 'clear the table', changes: true },
})

const verbs = {
  addService: onService('NEW_SERVICE', 'add', takeService),
  editService: onService('SET_SERVICE', 'edit', takeService),
  deleteService: onService('DEL_SERVICE', 'delete', takeServiceKey),
  addDestination: onDestination('NEW_DEST', 'add', takeDestination),
  editDestination: onDestination('SET_DEST', 'edit', takeDestination),
  deleteDestination: onDestination('DEL_DEST', 'delete', takeDestinationKey),
  clear,
} as const

export type Verb = keyof typeof verbs

/**
 * A request that never succeeds and tells whether the kernel has a scheduler: it looks for the
 * scheduler first (ENOENT), and then refuses an IPv6 prefix length of 0 (EINVAL).
 */
export const probeScheduler = (scheduler: string): Change => ({
  command: 'NEW_SERVICE',
  service: {
    family: familyNumbers.ipv6,
    protocol: 0,
    address: new Uint8Array(16),
    port: 0,
    scheduler,
    flags: 0,
    timeout: 0,
    netmask: new Uint8Array(4),
  },
  request: {
    command: 'NEW_SERVICE',
    what: () => `look for scheduler ${scheduler}`,
    changes: false,
  },
})

/** What each verb wants beside `op`. */
const argumentsOf = (verb: Verb): readonly string[] => {
  if (verb === 'clear') return []
  return verb.endsWith('Service') ? ['service'] : ['service', 'destination']
}

/** The change that a verb stands for, checked. */
export const prepare = (
  verb: Verb,
  service?: unknown,
  destination?: unknown,
  paths = plainPaths,
): Change => verbs[verb](service, destination, paths)

/** The change that one element of a batch stands for, checked. */
export const prepareOperation = (value: unknown, path: string): Change => {
  const { op } = takeObject(value, path, ['op', 'service', 'destination'])
  const verb = takeOneOf(op, `${path}.op`, Object.keys(verbs) as Verb[])
  const properties = takeObject(value, path, ['op', ...argumentsOf(verb)])
  return prepare(verb, properties['service'], properties['destination'], {
    service: `${path}.service`,
    destination: `${path}.destination`,
  })
}
