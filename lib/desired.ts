// A desired state, checked whole: faults by their paths, every default filled in.

import { describeDestination, takeDestination } from './destination.js'
import {
  describeService,
  joinAddress,
  keyOfFields,
  nameService,
  takeService,
  takeServiceKey,
} from './service.js'
import type { ServiceIdentity } from './service.js'
import { wrongType, wrongValue } from './validate.js'
import type { Properties } from './validate.js'
import type { PlannedDestination, PlannedService } from '../types/desired.js'
import type { DestinationKey } from '../types/destination.js'
import type { ServiceKey } from '../types/service.js'

/** A service with its destinations, by name. */
export interface Declared {
  readonly key: ServiceKey
  readonly service: PlannedService
  readonly destinations: ReadonlyMap<string, PlannedDestination>
}

/** The same text for the same destination of a service. */
export const nameDestination = ({ address, port = 0 }: DestinationKey): string =>
  joinAddress(address, port)

/** Of a service that was read or described, what can be declared. */
export const plannedService = (service: PlannedService): PlannedService => {
  const { scheduler, schedulerFlags, onePacket, persistence } = service
  const key =
    'fwmark' in service
      ? { fwmark: service.fwmark, family: service.family }
      : { protocol: service.protocol, address: service.address, port: service.port }
  return { ...key, scheduler, schedulerFlags, onePacket, ...(persistence && { persistence }) }
}

/** Of a destination that was read or described, what can be declared. */
export const plannedDestination = (destination: PlannedDestination): PlannedDestination => {
  const { address, port, forwarding, weight, upperThreshold, lowerThreshold, tunnel } = destination
  return {
    address,
    port,
    forwarding,
    weight,
    upperThreshold,
    lowerThreshold,
    ...(tunnel && { tunnel }),
  }
}

type Fault = (TypeError | RangeError) & { code: string }

/** Of all faults one error: of the class and with the code of the first. */
const errorOf = (faults: readonly [Fault, ...Fault[]]): Fault => {
  const [first] = faults
  const message =
    faults.length === 1
      ? first.message
      : [
          `The desired state has ${faults.length} faults:`,
          ...faults.map((each) => each.message),
        ].join('\n- ')
  const error = first instanceof RangeError ? new RangeError(message) : new TypeError(message)
  return Object.assign(error, { code: first.code, errors: faults })
}

/** Does checks one after another, and keeps what they complain of. */
class Faults {
  readonly #found: Fault[] = []

  /** What the check answers; undefined when it throws. */
  try<T>(check: () => T): T | undefined {
    try {
      return check()
    } catch (error) {
      this.#found.push(error as Fault)
      return undefined
    }
  }

  /** Throws if there were any. */
  end(): void {
    const [first, ...others] = this.#found
    if (first) throw errorOf([first, ...others])
  }
}

/** Puts something where nothing is yet; where it was declared first, the second is a fault. */
const putOnce = <T>(
  seen: Map<string, { readonly path: string; readonly value: T }>,
  name: string,
  path: string,
  value: T,
): void => {
  const other = seen.get(name)
  if (other) throw wrongValue(path, `declared once, and ${other.path} is the same`, name)
  seen.set(name, { path, value })
}

const takeDestinations = (
  value: unknown,
  path: string,
  service: ServiceIdentity,
  faults: Faults,
): Map<string, PlannedDestination> => {
  const seen = new Map<string, { path: string; value: PlannedDestination }>()
  if (!Array.isArray(value)) throw wrongType(path, 'an array', value)
  // Array.from, unlike forEach, also looks at holes.
  Array.from(value, (each: unknown, index) =>
    faults.try(() => {
      const at = `${path}[${index}]`
      const { fields } = takeDestination(each, at, service)
      const destination = plannedDestination(describeDestination(fields, service.fields.family))
      putOnce(seen, nameDestination(destination), at, destination)
    }),
  )
  return new Map(Array.from(seen, ([name, { value: destination }]) => [name, destination]))
}

/** Throws one error that lists the first fault of each service and destination. */
export const takeDesired = (value: unknown): Map<string, Declared> => {
  if (!Array.isArray(value)) throw wrongType('desired', 'an array', value)
  const faults = new Faults()
  const seen = new Map<string, { path: string; value: Declared }>()
  Array.from(value, (each: unknown, index) => {
    const path = `[${index}]`
    const whole = faults.try(() => takeService(each, path))
    // Whatever else is wrong with it, its destinations are looked at too.
    const identity = whole ?? ignoringFaults(() => takeServiceKey(each, path))
    if (!identity) return
    const destinations = faults.try(() =>
      takeDestinations(
        (each as Properties)['destinations'],
        `${path}.destinations`,
        identity,
        faults,
      ),
    )
    if (!whole) return
    const { fields } = whole
    const key = keyOfFields(fields)
    const declared = {
      key,
      service: describeService(fields),
      destinations: destinations ?? new Map<string, PlannedDestination>(),
    }
    faults.try(() => putOnce(seen, nameService(key), path, declared))
  })
  faults.end()
  return new Map(Array.from(seen, ([name, { value: declared }]) => [name, declared]))
}

const ignoringFaults = <T>(check: () => T): T | undefined => {
  try {
    return check()
  } catch {
    return undefined
  }
}
