// Taking real servers out of service without cutting their connections.

import type { DestinationKey } from './destination.js'
import type { CallOptions } from './ipvs.js'
import type { Destination } from './observed.js'
import type { ServiceKey } from './service.js'

/**
 * What a drain can wait for, by the counter of a {@link Destination}: `active` connections, `inactive`
 * ones, and the clients that are held by `persistent` services.
 */
export type DrainCondition = 'active' | 'inactive' | 'persistent'

/** What a destination still has; of a service, the sum over its destinations. */
export interface DrainCounts {
  /** See {@link Destination.activeConnections}. */
  readonly activeConnections: number
  /** See {@link Destination.inactiveConnections}. */
  readonly inactiveConnections: number
  /** See {@link Destination.persistentConnections}. */
  readonly persistentConnections: number
}

/** How a drain stands, told after each look. */
export interface DrainProgress {
  /** Milliseconds since the call. */
  readonly elapsed: number
  /** What is left. */
  readonly remaining: DrainCounts
  /** What the drain goes on waiting for; `[]` when it has ended well. */
  readonly waitingFor: readonly DrainCondition[]
}

/** The last argument of {@link Draining.drainDestination} and {@link Draining.drainService}. */
export interface DrainOptions extends CallOptions {
  /**
   * How long to wait, in milliseconds, 0 to 2^31-1. Then it is deleted all the same, and the result
   * says what was cut. Default 600,000, ten minutes: longer than the default persistence.
   */
  readonly timeout?: number | undefined
  /** Milliseconds between looks, 1 to 2^31-1. A look reads one service's destinations. Default 1000. */
  readonly interval?: number | undefined
  /** Whether to delete in the end; with `false` the weight stays 0. Default `true`. */
  readonly remove?: boolean | undefined
  /**
   * What has to be gone before it is deleted. Default `['active', 'persistent']`.
   *
   * `inactive` are the connections in every other state than an established or opening one, and all
   * of udp. They still pass packets, and no more once the destination is deleted: without waiting
   * for them, a client that has closed its sending half is cut off from the rest of its answer.
   * Waiting takes some 2 minutes longer for tcp (`TIME_WAIT`), and for udp until each client was silent
   * for {@link Timeouts.udp}, which may be never.
   *
   * `persistent` clients are held for {@link Persistence.timeout} after their last connection, and at
   * least as long as the kernel remembers that connection. Unless the sysctl
   * `net.ipv4.vs.expire_quiescent_template` is 1, they go on opening new connections to a destination
   * of weight 0; with 1 they do not, and nothing is lost by leaving `persistent` out.
   */
  readonly waitFor?: DrainCondition | readonly DrainCondition[] | undefined
  /** Told after each look; nobody is by default. What it throws ends the drain as an abort does. */
  readonly onProgress?: ((progress: DrainProgress) => void) | undefined
}

/** How a drain ended. */
export interface DrainResult {
  /** Whether nothing was left of what it waited for. */
  readonly drained: boolean
  /**
   * `drained`: nothing was left. `timeout`: something was, and the time was over. `gone`: somebody else
   * deleted it meanwhile. `revived`: somebody else gave it a weight again, so that it was not deleted;
   * of a service: one of its destinations, or a new one, has a weight, and the others stay at 0, where
   * {@link Draining.listDrains} finds them.
   */
  readonly ended: 'drained' | 'timeout' | 'gone' | 'revived'
  /** What was there at the last look, and lost its way if it was deleted then. */
  readonly remaining: DrainCounts
  /** In words for a log, why it is not drained. */
  readonly reason?: string
}

/** A destination that takes no new connections. See {@link Draining.listDrains}. */
export interface DrainEntry {
  /** Its service. */
  readonly service: ServiceKey
  /** The destination, of weight 0. */
  readonly destination: Destination
}

/** What {@link Ipvs} has for taking real servers out of service. */
export interface Draining {
  /**
   * Sets the weight of a destination to 0, so that it gets no new connections, waits until those it
   * has are gone or the time is over, and deletes it. All its other settings stay.
   *
   * Which connections there are is the kernel's count, so services by firewall mark are waited for like
   * others, while for udp and one-packet scheduling, which have no connections that end, there is
   * nothing to wait for: such a destination is deleted at the first look. Packets of connections whose
   * destination is gone are dropped until the kernel forgets them, for udp up to {@link Timeouts.udp};
   * with the sysctl `net.ipv4.vs.expire_nodest_conn` at 1 they are scheduled anew instead.
   *
   * When it rejects, for an abort or anything else, the weight before is put back, unless somebody else
   * has changed it since; if it could not be, the `AbortError` says so, and any other error becomes
   * `ERR_IPVS_OUTCOME_UNKNOWN`, whose `cause` is what the drain failed with. When the handle is closed, it rejects
   * at once with `ERR_IPVS_CLOSED` and the weight stays 0, where {@link listDrains} finds it. An abort
   * that comes when it is already being deleted is too late. A destination whose weight was 0 is
   * drained like any other, which is how an interrupted drain is resumed; its weight before is 0.
   *
   * A service all of whose weights are 0 refuses connections. The scheduler `dh`, and `sh` and `mh`
   * without `sh-fallback` or `mh-fallback`, drop what would have gone to a destination of weight 0.
   *
   * Rejects with `ERR_IPVS_NO_SERVICE`, `ERR_IPVS_NO_DESTINATION`.
   */
  drainDestination(
    key: ServiceKey,
    destinationKey: DestinationKey,
    options?: DrainOptions,
  ): Promise<DrainResult>
  /**
   * The same for all destinations of a service at once, and deletes the service with them. It refuses
   * new connections from the beginning. When somebody gives a destination of it a weight meanwhile, or
   * adds one with a weight, the service is not deleted, and its other destinations stay at weight 0
   * (`revived`). Rejects with `ERR_IPVS_NO_SERVICE`.
   */
  drainService(key: ServiceKey, options?: DrainOptions): Promise<DrainResult>
  /**
   * All destinations of weight 0: the drains of a program that ended in the midst of them, which can be
   * resumed or given a weight again, and those that somebody keeps at 0 for another reason.
   */
  listDrains(options?: CallOptions): Promise<DrainEntry[]>
}
