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
import type { Steps } from './turns.js'
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
      : // The engine joins a long list much more slowly.
        faults.reduce(
          (text, each) => `${text}\n- ${each.message}`,
          `The desired state has ${faults.length} faults:`,
        )
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

/** What was declared so far, and where, by name. */
class Seen<T> {
  readonly values = new Map<string, T>()
  readonly #paths = new Map<string, string>()

  /** Where it was declared already, the second is a fault. */
  add(name: string, path: string, value: T): void {
    const other = this.#paths.get(name)
    if (other !== undefined) {
      throw wrongValue(path, `declared once, and ${other} is the same`, name)
    }
    this.#paths.set(name, path)
    this.values.set(name, value)
  }
}

const takeArray = (value: unknown, path: string): readonly unknown[] => {
  if (!Array.isArray(value)) throw wrongType(path, 'an array', value)
  return value
}

function* takeDestinations(
  all: readonly unknown[],
  path: string,
  service: ServiceIdentity,
  faults: Faults,
): Steps<Map<string, PlannedDestination>> {
  const seen = new Seen<PlannedDestination>()
  // Unlike forEach, this also looks at holes.
  for (const [index, each] of all.entries()) {
    faults.try(() => {
      const at = `${path}[${index}]`
      const { fields } = takeDestination(each, at, service)
      const destination = plannedDestination(describeDestination(fields, service.fields.family))
      seen.add(nameDestination(destination), at, destination)
    })
    yield
  }
  return seen.values
}

/** Throws one error that lists the first fault of each service and destination. */
export function* takeDesired(value: unknown): Steps<Map<string, Declared>> {
  const faults = new Faults()
  const seen = new Seen<Declared>()
  for (const [index, each] of takeArray(value, 'desired').entries()) {
    yield
    const path = `[${index}]`
    const whole = faults.try(() => takeService(each, path))
    // Whatever else is wrong with it, its destinations are looked at too.
    const identity = whole ?? ignoringFaults(() => takeServiceKey(each, path))
    if (!identity) continue
    const at = `${path}.destinations`
    const all = faults.try(() => takeArray((each as Properties)['destinations'], at))
    const destinations = yield* takeDestinations(all ?? [], at, identity, faults)
    if (!whole) continue
    const { fields } = whole
    const key = keyOfFields(fields)
    const declared = { key, service: describeService(fields), destinations }
    faults.try(() => seen.add(nameService(key), path, declared))
  }
  faults.end()
  return seen.values
}

const ignoringFaults = <T>(check: () => T): T | undefined => {
  try {
    return check()
  } catch {
    return undefined
  }
}
