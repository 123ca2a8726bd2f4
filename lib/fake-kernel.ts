// A virtual server table in memory that follows the kernel's rules: what exists and what is missing,
// in which order it checks, what an edit replaces. It works on the kernel's fields, so everything
// above them is the library's own.

import { constants } from 'node:os'

import { familyNumbers } from './address.js'
import type { Command } from './commands.js'
import { startDaemon, stopDaemon } from './fake-daemons.js'
import { Stage } from './meanings.js'
import type {
  ConfigFields,
  CounterFields,
  DaemonFields,
  DestinationFields,
  ObservedFields,
  ServiceFields,
} from './records.js'
import type { Failure } from '../types/addon.js'
import type { ConnectionEntry } from '../types/connection.js'

export const { errno } = constants

export type Counters = CounterFields<bigint>

export interface FakeDestination {
  fields: DestinationFields
  counters: Counters
  observed: ObservedFields
}

export interface FakeService {
  fields: ServiceFields
  counters: Counters
  /** By identity, the oldest first; the kernel shows the newest first. */
  readonly destinations: Map<string, FakeDestination>
}

/** What is loaded and plugged into the machine that the fake stands for. */
export interface FakeMachine {
  readonly schedulers: ReadonlySet<string>
  readonly engines: ReadonlySet<string>
  readonly devices: ReadonlySet<string>
}

/** One change, as its records say it. */
export interface FakeChange {
  readonly command: Command
  readonly service: ServiceFields
  readonly destination: DestinationFields
  readonly daemon: DaemonFields
  readonly config: ConfigFields
  readonly editIfExists: boolean
  readonly patch?: { readonly defaultTimeout: number; readonly keepsScheduler: boolean }
}

/** `IP_VS_SVC_F_*`: persistent, and what the kernel says of every service it has. */
const PERSISTENT = 0x01
const HASHED = 0x02
const schedulerFlags = 0x38

/** `IP_VS_CONN_F_TUNNEL`, and `IP_VS_CONN_F_TUNNEL_TYPE_GUE`. */
const TUNNEL = 2
const GUE = 1

const mostNumber = 2 ** 31 - 1
// As on a kernel that ticks 250 times a second.
const mostTimeout = Math.floor(mostNumber / 250)

export const zeroCounters: Counters = {
  connections: 0n,
  packetsIn: 0n,
  packetsOut: 0n,
  bytesIn: 0n,
  bytesOut: 0n,
  connectionsPerSecond: 0,
  packetsInPerSecond: 0,
  packetsOutPerSecond: 0,
  bytesInPerSecond: 0,
  bytesOutPerSecond: 0,
}

const nothingObserved: ObservedFields = {
  activeConnections: 0,
  inactiveConnections: 0,
  persistentConnections: 0,
}

export const refuse = (number: number): Failure => ({
  stage: Stage.kernel,
  errno: number,
  text: '',
})

const idOf = ({ family, fwmark, protocol, address, port }: ServiceFields): string =>
  fwmark === undefined
    ? [family, protocol, address?.join('.'), port].join('/')
    : [family, fwmark].join('/')

const destinationIdOf = ({ family, address, port }: DestinationFields): string =>
  [family, address.join('.'), port].join('/')

/** 127.255.255.255 is the loopback device's broadcast address; all others are one machine's. */
const isReachable = ({ family, address }: DestinationFields): boolean =>
  family === familyNumbers.ipv6 || address.subarray(0, 4).join('.') !== '127.255.255.255'

const isMixed = (service: ServiceFields, destination: DestinationFields): boolean =>
  destination.family !== service.family

/** Of an IPv6 service the mask is its length, as a number in the machine's own order. */
const isPrefixLength = (netmask: Uint8Array = new Uint8Array(4)): boolean => {
  const [length = 0] = new Uint32Array(Uint8Array.from(netmask).buffer)
  return length >= 1 && length <= 128
}

/** The fields that the kernel keeps of those that were sent. */
const keptOf = (sent: ServiceFields, before: number): ServiceFields => {
  const { engine, flags = 0, flagsMask = 0xffffffff, ...others } = sent
  const kept = ((before & ~flagsMask) | (flags & flagsMask) | HASHED) >>> 0
  return { ...others, flags: kept, ...(engine !== undefined && engine !== '' && { engine }) }
}

const mergeService = (
  { service, patch }: FakeChange,
  before: ServiceFields,
): ServiceFields | Failure => {
  const switches = service.scheduler !== undefined && service.scheduler !== before.scheduler
  if (patch?.keepsScheduler === true && switches) {
    return { stage: Stage.send, errno: errno.EINVAL, text: '' }
  }
  const { flags = 0, flagsMask = 0 } = service
  const old = before.flags ?? 0
  const kept = switches ? old & ~schedulerFlags : old
  const merged = (kept & ~flagsMask) | (flags & flagsMask)
  const becomesPersistent = (merged & ~old & PERSISTENT) !== 0
  return {
    ...before,
    ...(becomesPersistent && { timeout: patch?.defaultTimeout ?? 0 }),
    ...service,
    flags: merged,
    flagsMask: 0xffffffff,
  }
}

export class FakeKernel {
  readonly machine: FakeMachine
  readonly services = new Map<string, FakeService>()
  readonly daemons = new Map<number, DaemonFields>()
  config: Required<ConfigFields> = { tcp: 900, tcpFin: 120, udp: 300 }
  totals: Counters = zeroCounters
  connections: readonly ConnectionEntry[] = []

  constructor(machine: FakeMachine) {
    this.machine = machine
  }

  find(key: ServiceFields): FakeService | undefined {
    return this.services.get(idOf(key))
  }

  findDestination(key: ServiceFields, wanted: DestinationFields): FakeDestination | undefined {
    return this.find(key)?.destinations.get(destinationIdOf(wanted))
  }

  /** Carries a change out; answers why not. */
  change(change: FakeChange): Failure | undefined {
    const outcome = change.patch ? this.#patch(change) : this.#carryOut(change)
    return typeof outcome === 'number' ? refuse(outcome) : outcome
  }

  #patch(change: FakeChange): Failure | number | undefined {
    const found = this.find(change.service)
    if (!found) return errno.ESRCH
    if (change.command === 'SET_SERVICE') {
      const service = mergeService(change, found.fields)
      return 'stage' in service ? service : this.#carryOut({ ...change, service })
    }
    const before = found.destinations.get(destinationIdOf(change.destination))
    if (!before) return errno.ENOENT
    const destination = { ...before.fields, ...change.destination }
    return this.#carryOut({ ...change, destination })
  }

  /** Answers the kernel's errno. */
  #carryOut(change: FakeChange): number | undefined {
    switch (change.command) {
      case 'NEW_SERVICE':
      case 'SET_SERVICE':
        return this.#putService(change)
      case 'FLUSH':
        this.services.clear()
        return undefined
      case 'SET_CONFIG':
        return this.#setConfig(change.config)
      case 'NEW_DAEMON':
        if (this.#hasMixed()) return errno.EINVAL
        return startDaemon(this.daemons, this.machine.devices, change.daemon)
      case 'DEL_DAEMON':
        return stopDaemon(this.daemons, change.daemon)
      case 'ZERO':
        return this.#zero(change.service)
      default:
        return this.#changeExisting(change)
    }
  }

  #changeExisting({ command, service, destination }: FakeChange): number | undefined {
    const found = this.find(service)
    if (!found) return errno.ESRCH
    if (command === 'DEL_SERVICE') {
      this.services.delete(idOf(service))
      return undefined
    }
    if (command === 'DEL_DEST') {
      return found.destinations.delete(destinationIdOf(destination)) ? undefined : errno.ENOENT
    }
    return this.#putDestination(command === 'NEW_DEST', found, destination)
  }

  #putService({ command, service }: FakeChange): number | undefined {
    const found = this.find(service)
    if (command === 'NEW_SERVICE' && found) return errno.EEXIST
    if (command === 'SET_SERVICE' && !found) return errno.ESRCH
    const { scheduler = '', engine = '', family, netmask } = service
    const { schedulers, engines } = this.machine
    if (scheduler !== 'none' && !schedulers.has(scheduler)) return errno.ENOENT
    if (engine !== '' && !engines.has(engine)) return errno.ENOENT
    if (family === familyNumbers.ipv6 && !isPrefixLength(netmask)) return errno.EINVAL
    const fields = keptOf(service, found?.fields.flags ?? 0)
    if (found) found.fields = fields
    else
      this.services.set(idOf(fields), { fields, counters: zeroCounters, destinations: new Map() })
    return undefined
  }

  #putDestination(
    isNew: boolean,
    service: FakeService,
    wanted: DestinationFields,
  ): number | undefined {
    const id = destinationIdOf(wanted)
    const found = service.destinations.get(id)
    const { weight = 0, upperThreshold = 0, lowerThreshold = 0, forwarding = 0 } = wanted
    if (isMixed(service.fields, wanted) && (forwarding !== TUNNEL || this.daemons.size > 0)) {
      return errno.EINVAL
    }
    if (weight > mostNumber || lowerThreshold > upperThreshold) return errno.ERANGE
    if (upperThreshold > mostNumber) return errno.EINVAL
    if (wanted.tunnelType === GUE && (wanted.tunnelPort ?? 0) === 0) return errno.EINVAL
    if (isNew === (found !== undefined)) return isNew ? errno.EEXIST : errno.ENOENT
    if (isNew && !isReachable(wanted)) return errno.EINVAL
    const fields = { ...wanted, weight, upperThreshold, lowerThreshold, forwarding }
    if (found) found.fields = fields
    else {
      const counted = { counters: zeroCounters, observed: nothingObserved }
      service.destinations.set(id, { fields, ...counted })
    }
    return undefined
  }

  /** Without a service it zeroes everything. */
  #zero(key: ServiceFields): number | undefined {
    const isOne = Object.keys(key).length > 0
    const found = this.find(key)
    if (isOne && !found) return errno.ESRCH
    for (const service of found ? [found] : this.services.values()) {
      service.counters = zeroCounters
      for (const destination of service.destinations.values()) destination.counters = zeroCounters
    }
    if (!isOne) this.totals = zeroCounters
    return undefined
  }

  #setConfig(config: ConfigFields): number | undefined {
    if (Object.values(config).some((seconds) => seconds > mostTimeout)) return errno.EINVAL
    this.config = { ...this.config, ...config }
    return undefined
  }

  #hasMixed(): boolean {
    return [...this.services.values()].some((service) =>
      [...service.destinations.values()].some(({ fields }) => isMixed(service.fields, fields)),
    )
  }
}
