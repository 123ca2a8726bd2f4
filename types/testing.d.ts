// The fake of `ipvs-netlink/testing`.

import type { ConnectionEntry } from './connection.js'
import type { DestinationKey } from './destination.js'
import type { IpvsErrorCode } from './error.js'
import type { Ipvs } from './ipvs.js'
import type { Stats } from './observed.js'
import type { ServiceKey } from './service.js'

/** The machine that a fake stands for. */
export interface FakeOptions {
  /**
   * The schedulers that it has; adding a service with another one rejects with
   * `ERR_IPVS_NO_SCHEDULER`. Default: those of Linux 6.12.
   */
  readonly schedulers?: readonly string[] | undefined
  /**
   * The persistence engines that it has; another one is `ERR_IPVS_NO_PERSISTENCE_ENGINE`. Default
   * `['sip']`.
   */
  readonly engines?: readonly string[] | undefined
  /**
   * The network devices that it has, all of them up; a synchronisation daemon on another one is
   * `ERR_IPVS_REFUSED`. Default `['eth0']`.
   */
  readonly devices?: readonly string[] | undefined
}

/** Counters of a service; what is left out stays as it is. */
export type FakeServiceCounters = Partial<Stats<number | bigint>>

/** What traffic makes of a destination; what is left out stays as it is. */
export interface FakeDestinationCounters extends FakeServiceCounters {
  /** See {@link Destination.activeConnections}. */
  readonly activeConnections?: number | undefined
  /** See {@link Destination.inactiveConnections}. */
  readonly inactiveConnections?: number | undefined
  /** See {@link Destination.persistentConnections}. */
  readonly persistentConnections?: number | undefined
}

/** The verbs that reach the kernel, as {@link FakeIpvs.failNext} names them. */
export type FakeVerb =
  | 'addService'
  | 'editService'
  | 'patchService'
  | 'deleteService'
  | 'getService'
  | 'listServices'
  | 'addDestination'
  | 'editDestination'
  | 'patchDestination'
  | 'deleteDestination'
  | 'listDestinations'
  | 'snapshot'
  | 'stream'
  | 'columns'
  | 'clear'
  | 'zero'
  | 'timeouts'
  | 'setTimeouts'
  | 'syncDaemons'
  | 'startSyncDaemon'
  | 'stopSyncDaemon'
  | 'connections'
  | 'totals'
  | 'info'

/**
 * A virtual server table in memory, with the interface and the rules of the kernel's, and with
 * calls for what in the kernel only traffic or trouble brings about. There is no traffic: counters
 * and connections are what the test says, and time changes nothing.
 */
export interface FakeIpvs extends Ipvs {
  /**
   * Says what a service has counted. Totals 0 to 2^64-1, rates 0 to 2^53-1. Throws
   * `ERR_IPVS_NO_SERVICE`, and as other verbs for wrong arguments.
   */
  setCounters(service: ServiceKey, counters: FakeServiceCounters): void
  /**
   * Says what a destination has counted, and how many connections it has (0 to 2^32-1). Throws
   * `ERR_IPVS_NO_SERVICE` and `ERR_IPVS_NO_DESTINATION` too.
   */
  setCounters(
    service: ServiceKey,
    destination: DestinationKey,
    counters: FakeDestinationCounters,
  ): void
  /** Says what {@link Ipvs.totals} reads. It is not the sum of the services'. */
  setTotals(counters: FakeServiceCounters): void
  /** Says what {@link Ipvs.connections} reads. The counts of destinations stay as they are. */
  setConnections(entries: readonly ConnectionEntry[]): void
  /**
   * Makes the next call of a verb fail with a code, also inside a batch and in what is made of
   * several calls (`apply`, `drainDestination`); several are kept in order. The change is not made,
   * unless the code is `ERR_IPVS_OUTCOME_UNKNOWN`: then it is.
   *
   * Every verb can have `ERR_IPVS_PERMISSION`, `_NOT_AVAILABLE`, `_TIMEOUT`, `_MALFORMED_REPLY` and
   * `_REFUSED`; one that changes something `_OUTCOME_UNKNOWN`; and what is about a service, destination
   * or daemon its `_NO_SERVICE`, `_SERVICE_EXISTS`, `_NO_DESTINATION`, `_DESTINATION_EXISTS`,
   * `_NO_DAEMON`, `_DAEMON_RUNNING`. Those that set up a service can have `_NO_SCHEDULER` and, where the
   * call names an engine, `_NO_PERSISTENCE_ENGINE`. Throws for a code that the verb cannot have, and
   * says which it can.
   */
  failNext(verb: FakeVerb, code: IpvsErrorCode): void
  /** Another handle on the same table, as a second program has, or this one after a restart. */
  openAnother(): FakeIpvs
}
