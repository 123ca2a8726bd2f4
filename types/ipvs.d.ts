// The verbs of a virtual server table.

import type { IpvsErrorShape } from './error.js'
import type { BigIntColumnOptions, ColumnOptions, TableColumns } from './columns.js'
import type { ConnectionEntry, ConnectionFilter } from './connection.js'
import type { DesiredState } from './desired.js'
import type { DestinationChanges, DestinationConfig, DestinationKey } from './destination.js'
import type { Draining } from './drain.js'
import type { Destination, Info, Service, Stats, VirtualServerState } from './observed.js'
import type { Rules } from './rules.js'
import type {
  FittingService,
  Protocol,
  Scheduler,
  SchedulerFlag,
  ServiceChanges,
  ServiceConfig,
  ServiceKey,
} from './service.js'
import type { SyncDaemon, SyncDaemonConfig, SyncRole, TimeoutOverriding, Timeouts } from './sync.js'
import type { Watching } from './watch.js'

/** The last argument of every call. */
export interface CallOptions {
  /**
   * Gives the call up; without it nothing does. What was not sent yet is not sent; what was sent is carried out by the
   * kernel all the same, and the message of the `AbortError` says so.
   */
  readonly signal?: AbortSignal | undefined
}

/** The last argument of calls that create something. */
export interface AddOptions extends CallOptions {
  /**
   * What to do when it exists already: `refuse` rejects with `ERR_IPVS_SERVICE_EXISTS` or
   * `ERR_IPVS_DESTINATION_EXISTS`, `edit` replaces its settings by these, `ignore` leaves it as it is.
   * Default `'refuse'`.
   */
  readonly ifExists?: 'refuse' | 'edit' | 'ignore' | undefined
}

/** The last argument of calls that delete something. */
export interface DeleteOptions extends CallOptions {
  /**
   * What to do when it is not there, or its service is not: `refuse` rejects with
   * `ERR_IPVS_NO_SERVICE` or `ERR_IPVS_NO_DESTINATION`, `ignore` is content. Default `'refuse'`.
   */
  readonly ifMissing?: 'refuse' | 'ignore' | undefined
}

/** The last argument of every call that reads counters. */
export interface ReadOptions extends CallOptions {
  /** Totals as `bigint` instead of `number`. Default `false`. */
  readonly bigint?: boolean | undefined
}

/** {@link ReadOptions} that ask for `bigint`. */
export interface BigIntReadOptions extends ReadOptions {
  /** Totals as `bigint`. */
  readonly bigint: true
}

/** The last argument of {@link Ipvs.snapshot}. */
export interface SnapshotOptions extends ReadOptions {
  /**
   * The kernel reads its table piece by piece and says nothing when somebody changes it meanwhile:
   * an entry can then be missing or appear twice (twice is always mended). With `true` the table is
   * read until two readings agree on which entries there are, and the call rejects with
   * `ERR_IPVS_REFUSED` when it never stands still. Default `false`.
   */
  readonly consistent?: boolean | undefined
}

/** How a handle is opened. */
export interface OpenOptions {
  /**
   * The network namespace: a path such as `/run/netns/blue` or `/proc/4711/ns/net`, or an open file
   * descriptor (which stays the caller's). Default: the process's own. Needs CAP_SYS_ADMIN in the
   * user namespace that owns it, and a path also /proc. What is no namespace is not opened. The
   * handle keeps the namespace alive until it is closed. Wrong: `ERR_IPVS_NO_NETNS`.
   */
  readonly netns?: string | number | undefined
  /**
   * How long the kernel may leave a request unanswered, in milliseconds, 1 to 2^31-1. Default 5000.
   * Afterwards reads reject with `ERR_IPVS_TIMEOUT`, changes with `ERR_IPVS_OUTCOME_UNKNOWN`.
   */
  readonly timeout?: number | undefined
}

/** {@link Ipvs.addService} or {@link Ipvs.editService} in a batch. */
export interface ServiceOperation {
  /** The verb. */
  readonly op: 'addService' | 'editService'
  /** The service as the verb takes it. */
  readonly service: ServiceConfig
}

/** {@link Ipvs.patchService} in a batch. */
export interface PatchServiceOperation {
  /** The verb. */
  readonly op: 'patchService'
  /** Which service. */
  readonly service: ServiceKey
  /** What is to change of it. */
  readonly changes: ServiceChanges
}

/** {@link Ipvs.deleteService} in a batch. */
export interface DeleteServiceOperation {
  /** The verb. */
  readonly op: 'deleteService'
  /** Which service. */
  readonly service: ServiceKey
}

/** {@link Ipvs.addDestination} or {@link Ipvs.editDestination} in a batch. */
export interface DestinationOperation {
  /** The verb. */
  readonly op: 'addDestination' | 'editDestination'
  /** Which service. */
  readonly service: ServiceKey
  /** The destination as the verb takes it. */
  readonly destination: DestinationConfig | Destination<number | bigint>
}

/** {@link Ipvs.patchDestination} in a batch. */
export interface PatchDestinationOperation {
  /** The verb. */
  readonly op: 'patchDestination'
  /** Which service. */
  readonly service: ServiceKey
  /** Which destination. */
  readonly destination: DestinationKey
  /** What is to change of it. */
  readonly changes: DestinationChanges
}

/** {@link Ipvs.deleteDestination} in a batch. */
export interface DeleteDestinationOperation {
  /** The verb. */
  readonly op: 'deleteDestination'
  /** Which service. */
  readonly service: ServiceKey
  /** Which destination. */
  readonly destination: DestinationKey
}

/** {@link Ipvs.zero} in a batch. */
export interface ZeroOperation {
  /** The verb. */
  readonly op: 'zero'
  /** Which service; all counters when absent. */
  readonly service?: ServiceKey | undefined
}

/** {@link Ipvs.setTimeouts} in a batch. */
export interface SetTimeoutsOperation {
  /** The verb. */
  readonly op: 'setTimeouts'
  /** Those that are to change. */
  readonly timeouts: Partial<Timeouts>
}

/** {@link Ipvs.startSyncDaemon} in a batch. */
export interface StartSyncDaemonOperation {
  /** The verb. */
  readonly op: 'startSyncDaemon'
  /** The daemon as the verb takes it. */
  readonly daemon: SyncDaemonConfig
}

/** {@link Ipvs.stopSyncDaemon} in a batch. */
export interface StopSyncDaemonOperation {
  /** The verb. */
  readonly op: 'stopSyncDaemon'
  /** Which daemon. */
  readonly role: SyncRole
}

/** {@link Ipvs.clear} in a batch. */
export interface ClearOperation {
  /** The verb. */
  readonly op: 'clear'
}

/** One change of {@link Ipvs.batch}. */
export type Operation =
  | ServiceOperation
  | PatchServiceOperation
  | DeleteServiceOperation
  | DestinationOperation
  | PatchDestinationOperation
  | DeleteDestinationOperation
  | ZeroOperation
  | SetTimeoutsOperation
  | StartSyncDaemonOperation
  | StopSyncDaemonOperation
  | ClearOperation

/** What became of one change of {@link Ipvs.batch}. */
export type OperationOutcome =
  | {
      /** The kernel acknowledged it. */
      readonly ok: true
    }
  | {
      /** It was not made, or nobody knows. */
      readonly ok: false
      /** Why; an `IpvsError`. */
      readonly error: IpvsErrorShape
    }

/**
 * The virtual server table of one network namespace.
 *
 * Every call checks its arguments before anything is sent, and rejects with a `TypeError` or
 * `RangeError` (codes `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, `ERR_OUT_OF_RANGE`) that
 * names the property, the value and what is allowed; unknown properties are refused. What the
 * kernel refuses is an `IpvsError`. Every call may reject with `ERR_IPVS_PERMISSION` (every command
 * needs CAP_NET_ADMIN in the initial user namespace), `ERR_IPVS_NOT_AVAILABLE`, `ERR_IPVS_CLOSED`,
 * `ERR_IPVS_MALFORMED_REPLY` and, for whatever has no code of its own (no memory, no IPv6 in this kernel),
 * `ERR_IPVS_REFUSED`; every call with `ERR_IPVS_TIMEOUT` when the kernel is silent and
 * nothing was changed, every change with `ERR_IPVS_OUTCOME_UNKNOWN` when it may have been made. Only
 * further codes are listed below.
 *
 * Changes of one handle are carried out in the order of the calls; those called in one tick, or
 * while others are under way, travel together. A read sees every change called before it.
 */
export interface Ipvs
  extends AsyncDisposable, DesiredState, Draining, Rules, TimeoutOverriding, Watching {
  /**
   * Creates a virtual service, without destinations (those of a snapshot are not added with it).
   * `ipvsadm -A`. Kernel: `IPVS_CMD_NEW_SERVICE`.
   *
   * Rejects with `ERR_IPVS_SERVICE_EXISTS`, `ERR_IPVS_NO_SCHEDULER`,
   * `ERR_IPVS_NO_PERSISTENCE_ENGINE`; from Linux 6.2 on with `ERR_IPVS_REFUSED` when the kernel's estimators
   * have as many services and destinations as they can count.
   */
  addService<
    Transport extends Protocol | undefined,
    Single extends boolean | undefined,
    Flag extends SchedulerFlag,
    Name extends Scheduler | undefined = 'wlc',
  >(
    config: FittingService<Transport, Single, Flag, Name>,
    options?: AddOptions,
  ): Promise<void>
  /**
   * Replaces all settings of a virtual service; what is left out gets its default. Connections and
   * destinations stay. `ipvsadm -E`. Kernel: `IPVS_CMD_SET_SERVICE`.
   *
   * Rejects with `ERR_IPVS_NO_SERVICE`, `ERR_IPVS_NO_SCHEDULER`, `ERR_IPVS_NO_PERSISTENCE_ENGINE`.
   */
  editService<
    Transport extends Protocol | undefined,
    Single extends boolean | undefined,
    Flag extends SchedulerFlag,
    Name extends Scheduler | undefined = 'wlc',
  >(
    config: FittingService<Transport, Single, Flag, Name>,
    options?: CallOptions,
  ): Promise<void>
  /**
   * Changes the named settings of a virtual service and keeps all others: reads it and replaces it
   * on one trip to the worker, though not atomically, since the kernel only replaces. Rejects as
   * {@link editService}, and with `ERR_IPVS_REFUSED` when scheduler flags do not fit its scheduler.
   */
  patchService(key: ServiceKey, changes: ServiceChanges, options?: CallOptions): Promise<void>
  /**
   * Deletes a virtual service with its destinations. `ipvsadm -D`. Kernel: `IPVS_CMD_DEL_SERVICE`.
   * Rejects with `ERR_IPVS_NO_SERVICE`.
   */
  deleteService(key: ServiceKey, options?: DeleteOptions): Promise<void>
  /** Reads one virtual service. Kernel: `IPVS_CMD_GET_SERVICE`. Rejects with `ERR_IPVS_NO_SERVICE`. */
  getService(key: ServiceKey, options: BigIntReadOptions): Promise<Service<bigint>>
  /** The same, with totals as numbers. */
  getService(key: ServiceKey, options?: ReadOptions): Promise<Service>
  /** Reads all virtual services, without destinations. None: `[]`. Kernel: a dump of `IPVS_CMD_GET_SERVICE`. */
  listServices(options: BigIntReadOptions): Promise<Service<bigint>[]>
  /** The same, with totals as numbers. */
  listServices(options?: ReadOptions): Promise<Service[]>
  /**
   * Adds a destination to a service. `ipvsadm -a`. Kernel: `IPVS_CMD_NEW_DEST`.
   *
   * Rejects with `ERR_IPVS_NO_SERVICE`, `ERR_IPVS_DESTINATION_EXISTS`; with `ERR_IPVS_REFUSED` when this
   * machine has no route to the address, when it is of another family than the service's while a
   * synchronisation daemon runs, and when there are too many, as for {@link addService}.
   */
  addDestination(
    key: ServiceKey,
    config: DestinationConfig | Destination<number | bigint>,
    options?: AddOptions,
  ): Promise<void>
  /**
   * Replaces all settings of a destination; what is left out gets its default. Connections stay.
   * `ipvsadm -e`. Kernel: `IPVS_CMD_SET_DEST`.
   * Rejects with `ERR_IPVS_NO_SERVICE`, `ERR_IPVS_NO_DESTINATION`, and `ERR_IPVS_REFUSED` as
   * {@link addDestination}.
   */
  editDestination(
    key: ServiceKey,
    config: DestinationConfig | Destination<number | bigint>,
    options?: CallOptions,
  ): Promise<void>
  /**
   * Changes the named settings of a destination and keeps all others: reads it and replaces it on one
   * trip to the worker, though not atomically, since the kernel only replaces. It reads all
   * destinations of the service. Rejects as {@link editDestination}, and with `ERR_IPVS_REFUSED` when
   * the thresholds do not fit each other.
   */
  patchDestination(
    key: ServiceKey,
    destinationKey: DestinationKey,
    changes: DestinationChanges,
    options?: CallOptions,
  ): Promise<void>
  /**
   * Takes a destination out of its service at once; to let its connections end, set its weight to 0
   * first. `ipvsadm -d`. Kernel: `IPVS_CMD_DEL_DEST`.
   * Rejects with `ERR_IPVS_NO_SERVICE`, `ERR_IPVS_NO_DESTINATION`.
   */
  deleteDestination(
    key: ServiceKey,
    destinationKey: DestinationKey,
    options?: DeleteOptions,
  ): Promise<void>
  /**
   * Reads the destinations of one service, `[]` if it has none. Kernel: a dump of
   * `IPVS_CMD_GET_DEST`. Rejects with `ERR_IPVS_NO_SERVICE`, although the kernel answers an empty
   * list for a service that is not there.
   */
  listDestinations(key: ServiceKey, options: BigIntReadOptions): Promise<Destination<bigint>[]>
  /** The same, with totals as numbers. */
  listDestinations(key: ServiceKey, options?: ReadOptions): Promise<Destination[]>
  /** Reads the whole table in one trip: every service with its destinations. `ipvsadm -Ln`. */
  snapshot(options: SnapshotOptions & BigIntReadOptions): Promise<VirtualServerState<bigint>[]>
  /** The same, with totals as numbers. */
  snapshot(options?: SnapshotOptions): Promise<VirtualServerState[]>
  /**
   * Reads the whole table service by service, each with its destinations, at the pace of the loop
   * that consumes it. In memory are the services and some 2,000 destinations (all of one service
   * that has more), however many there are; ending the loop ends the reading. What changes meanwhile
   * may be missed. Kernel: dumps of `IPVS_CMD_GET_SERVICE` and `IPVS_CMD_GET_DEST`.
   */
  stream(options: BigIntReadOptions): AsyncIterable<VirtualServerState<bigint>>
  /** The same, with totals as numbers. */
  stream(options?: ReadOptions): AsyncIterable<VirtualServerState>
  /**
   * Reads the whole table as flat columns, typed arrays with one element for each entry: for
   * exporters that read many entries often and make no object of any. Kernel: as {@link snapshot}.
   */
  columns(options: BigIntColumnOptions): Promise<TableColumns<BigUint64Array>>
  /** The same, with totals as numbers. */
  columns(options?: ColumnOptions): Promise<TableColumns>
  /**
   * Many changes in the fewest system calls (128 a send). Carried out in order, goes on after a
   * failure, is not atomic: one outcome for each. All are checked before the first is sent, a long
   * batch in several turns of the event loop (leave its operations alone meanwhile), and the call
   * rejects when one is invalid. `ipvsadm -R`.
   */
  batch(operations: readonly Operation[], options?: CallOptions): Promise<OperationOutcome[]>
  /** Deletes all services and destinations of the namespace. `ipvsadm -C`. Kernel: `IPVS_CMD_FLUSH`. */
  clear(options?: CallOptions): Promise<void>
  /**
   * Sets the counters of one service and its destinations to 0, or, without a key, those of all and
   * the namespace's totals. Up to 2 seconds of traffic may show up again. `ipvsadm -Z`. Kernel:
   * `IPVS_CMD_ZERO`. Rejects with `ERR_IPVS_NO_SERVICE`.
   */
  zero(key?: ServiceKey, options?: CallOptions): Promise<void>
  /** Reads how long idle connections are kept. `ipvsadm -L --timeout`. Kernel: `IPVS_CMD_GET_CONFIG`. */
  timeouts(options?: CallOptions): Promise<Timeouts>
  /**
   * Sets how long idle connections are kept, in seconds, 1 to 21,474,836; what is not named stays.
   * `ipvsadm --set`. Kernel: `IPVS_CMD_SET_CONFIG`, which refuses (`ERR_IPVS_REFUSED`) what exceeds
   * (2^31-1)/HZ, 8,589,934 on Debian.
   */
  setTimeouts(timeouts: Partial<Timeouts>, options?: CallOptions): Promise<void>
  /** Reads the running synchronisation daemons, none to two. Kernel: `IPVS_CMD_GET_DAEMON`. */
  syncDaemons(options?: CallOptions): Promise<SyncDaemon[]>
  /**
   * Starts a synchronisation daemon. `ipvsadm --start-daemon`. Kernel: `IPVS_CMD_NEW_DAEMON`. Rejects
   * with `ERR_IPVS_DAEMON_RUNNING`, and with `ERR_IPVS_REFUSED` for a device that is absent or down
   * and while any destination has another family than its service.
   */
  startSyncDaemon(config: SyncDaemonConfig, options?: CallOptions): Promise<void>
  /**
   * Stops a synchronisation daemon, and resolves when it is gone. `ipvsadm --stop-daemon`. Kernel:
   * `IPVS_CMD_DEL_DAEMON`. Rejects with `ERR_IPVS_NO_DAEMON`.
   */
  stopSyncDaemon(role: SyncRole, options?: CallOptions): Promise<void>
  /**
   * Reads the connection table, entry by entry; 64 KiB of it are in memory at a time, and ending the
   * loop ends the reading. Entries that come and go meanwhile may be missed. `ipvsadm -Lnc`. Source:
   * `/proc/net/ip_vs_conn`.
   */
  connections(filter?: ConnectionFilter): AsyncIterable<ConnectionEntry>
  /** Reads the counters of the whole namespace. Source: `/proc/net/ip_vs_stats`. */
  totals(options: BigIntReadOptions): Promise<Stats<bigint>>
  /** The same, with totals as numbers. */
  totals(options?: ReadOptions): Promise<Stats>
  /** Reads what the kernel says of itself. Kernel: `IPVS_CMD_GET_INFO`. */
  info(options?: CallOptions): Promise<Info>
  /**
   * Waits for the calls under way and closes the handle; later calls reject with
   * `ERR_IPVS_CLOSED`. Closing twice is harmless.
   */
  close(): Promise<void>
}
