// The vocabulary of desired state: a whole table as it is to be.

import type { DestinationChanges, DestinationConfig, DestinationKey } from './destination.js'
import type { IpvsErrorShape } from './error.js'
import type { CallOptions } from './ipvs.js'
import type {
  Destination,
  ObservedAddressKey,
  ObservedFwmarkKey,
  ObservedServiceSettings,
  Stats,
  VirtualServerState,
} from './observed.js'
import type { ServiceConfig, ServiceKey } from './service.js'

/** What a destination that was read has beside its configuration; ignored when it is declared. */
export type ObservedDestinationProperties = Partial<
  Pick<
    Destination<number | bigint>,
    'family' | 'activeConnections' | 'inactiveConnections' | 'persistentConnections' | 'stats'
  >
>

/** A destination of a desired state. What is left out gets its default. */
export type DeclaredDestination = DestinationConfig & ObservedDestinationProperties

/**
 * A virtual service with its destinations, as it is to be. What was read with {@link Ipvs.snapshot}
 * is one too, with one exception: the forwarding `local` and `bypass`, which only another program
 * can have set, cannot be declared.
 */
export type VirtualServer<
  Declared extends DestinationConfig | Destination<number | bigint> =
    DeclaredDestination | Destination<number | bigint>,
> = ServiceConfig & {
  /** All of them: a destination of the service that is not declared is removed. May be empty. */
  readonly destinations: readonly Declared[]
  /** Observed; ignored. */
  readonly stats?: Stats<number | bigint> | undefined
}

/**
 * A desired state as a configuration file has it. `ipvs-netlink/schema.json` is the JSON Schema of
 * this type.
 */
export type DesiredTable = readonly VirtualServer<DeclaredDestination>[]

/** A service of a plan, every default filled in. */
export type PlannedService = (ObservedAddressKey | ObservedFwmarkKey) &
  Omit<ObservedServiceSettings, 'stats'>

/** A destination of a plan, every default filled in. */
export type PlannedDestination = Pick<
  Destination,
  'address' | 'port' | 'forwarding' | 'weight' | 'upperThreshold' | 'lowerThreshold' | 'tunnel'
>

/** What every change of a plan has. */
export interface PlannedReason {
  /** Why, for people to read: `weight 1 -> 3`, `not declared`. */
  readonly reason: string
}

/** A service that is declared and not there. */
export interface AddServiceChange extends PlannedReason {
  /** The verb. */
  readonly op: 'addService'
  /** The service as the verb takes it. */
  readonly service: ServiceConfig
  /** It is about the service itself. */
  readonly destination?: undefined
  /** Nothing was there. */
  readonly before?: undefined
  /** As it will be. */
  readonly after: PlannedService
}

/** A service whose settings are not as declared. */
export interface EditServiceChange extends PlannedReason {
  /** The verb. */
  readonly op: 'editService'
  /** The service as the verb takes it. */
  readonly service: ServiceConfig
  /** It is about the service itself. */
  readonly destination?: undefined
  /** As the kernel has it. */
  readonly before: PlannedService
  /** As it will be. */
  readonly after: PlannedService
}

/** A service that is not declared, is ours, and goes with its destinations. */
export interface DeleteServiceChange extends PlannedReason {
  /** The verb. */
  readonly op: 'deleteService'
  /** Which service. */
  readonly service: ServiceKey
  /** It is about the service itself. */
  readonly destination?: undefined
  /** As the kernel has it. */
  readonly before: PlannedService
  /** Nothing is left. */
  readonly after?: undefined
}

/** A destination that is declared and not there. */
export interface AddDestinationChange extends PlannedReason {
  /** The verb. */
  readonly op: 'addDestination'
  /** Which service. */
  readonly service: ServiceKey
  /** The destination as the verb takes it. */
  readonly destination: DestinationConfig
  /** Nothing was there. */
  readonly before?: undefined
  /** As it will be. */
  readonly after: PlannedDestination
}

/** A destination whose settings are not as declared. */
export interface EditDestinationChange extends PlannedReason {
  /** The verb. */
  readonly op: 'editDestination'
  /** Which service. */
  readonly service: ServiceKey
  /** The destination as the verb takes it. */
  readonly destination: DestinationConfig
  /** As the kernel has it. */
  readonly before: PlannedDestination
  /** As it will be. */
  readonly after: PlannedDestination
}

/** A destination whose settings are not as declared, and whose weight is not to be touched. */
export interface PatchDestinationChange extends PlannedReason {
  /** The verb. */
  readonly op: 'patchDestination'
  /** Which service. */
  readonly service: ServiceKey
  /** Which destination. */
  readonly destination: DestinationKey
  /** Everything but the weight, as the verb takes it. */
  readonly changes: DestinationChanges
  /** As the kernel has it. */
  readonly before: PlannedDestination
  /** As it will be. */
  readonly after: PlannedDestination
}

/** A destination that its service's declaration does not name. */
export interface DeleteDestinationChange extends PlannedReason {
  /** The verb. */
  readonly op: 'deleteDestination'
  /** Which service. */
  readonly service: ServiceKey
  /** Which destination. */
  readonly destination: DestinationKey
  /** As the kernel has it. */
  readonly before: PlannedDestination
  /** Nothing is left. */
  readonly after?: undefined
}

/** One change of a plan: an {@link Operation}, what it makes of what, and why. */
export type PlannedChange =
  | AddServiceChange
  | EditServiceChange
  | DeleteServiceChange
  | AddDestinationChange
  | EditDestinationChange
  | PatchDestinationChange
  | DeleteDestinationChange

/** The last argument of {@link DesiredState.plan} and {@link DesiredState.apply}. */
export interface DesiredStateOptions extends CallOptions {
  /** Whether services that are not declared are removed. Default `false`. */
  readonly prune?: boolean | undefined
  /**
   * Which of the services that are not declared may be removed, so that several programs share a
   * table. Asked only with {@link prune}, once for each, and only about those: what is declared is
   * ours. Must answer a boolean at once. Default: all.
   */
  readonly owns?: ((service: VirtualServerState) => boolean) | undefined
  /**
   * Whether a destination that is there keeps the weight that the kernel has, so that a drain under
   * way, or what a health check set, is not undone: for all, or for those for which a function says
   * so (`(destination) => destination.weight === 0`). New destinations get the declared weight.
   * It protects only what is declared: a destination that is left out is deleted at once, also in the
   * midst of a drain. Drain first, and leave it out when it is gone. Default `false`.
   */
  readonly keepWeights?:
    boolean | ((destination: Destination, service: VirtualServerState) => boolean) | undefined
}

/** What {@link DesiredState.plan} answers. */
export interface Plan {
  /** In the order in which they are to be made; none when everything is as declared. */
  readonly changes: readonly PlannedChange[]
}

/** A change that could not be made. */
export interface FailedChange {
  /** The change. */
  readonly change: PlannedChange
  /** Why; an `IpvsError`. */
  readonly error: IpvsErrorShape
}

/** What {@link DesiredState.apply} answers. */
export interface Applied {
  /**
   * Those that were made, in order; none when everything was as declared. One whose reply was lost is
   * among them when the table, read again, has no more need of it.
   */
  readonly changes: readonly PlannedChange[]
  /** Those that were not, or of which nobody knows; none when everything is as declared now. */
  readonly failed: readonly FailedChange[]
}

/**
 * What the error of {@link DesiredState.apply} has beside its own when it ended early, after changes
 * were made, refused or of unknown outcome: on an abort, when the handle was closed, or when the table
 * could not be read again. Where an outcome is unknown its code is `ERR_IPVS_OUTCOME_UNKNOWN`, with what
 * ended it as `cause`, unless that is an abort.
 */
export interface AppliedInPart {
  /** Those that were made, in order. When the last batch was under way, its changes are not among them. */
  readonly changes: readonly PlannedChange[]
  /** Those that were not made, or of which nobody knows; nor is the last batch's. */
  readonly failed: readonly FailedChange[]
}

/**
 * The table as it is to be, compared with the kernel's each time, so that what another program
 * changed is put right.
 *
 * A declared service gets exactly the declared settings (what is left out: its default) and exactly
 * the declared destinations. What is there is edited in place, connections stay. Other services are
 * left alone, unless `prune` says otherwise. Destinations are added first, then edited (to weight 0
 * last), then removed, and services are removed after all that: what is served stays served.
 *
 * The state is a value of JSON types, so that a configuration file can be passed as it is parsed. What
 * counts is what it says when the call is made, although a long one is checked in several turns of
 * the event loop; only what stands in instances of classes must be left alone until the call ends.
 * It is checked whole before the table is read: one `TypeError` or `RangeError`, of the class and
 * with the `code` of the first fault, lists the first fault of each service and destination by its
 * path, such as `[3].destinations[1].weight`, and has them as `errors`. A key that is declared twice is a fault.
 */
export interface DesiredState {
  /** Says what {@link apply} would do, and sends nothing. */
  plan(desired: readonly VirtualServer[], options?: DesiredStateOptions): Promise<Plan>
  /**
   * Makes the table as declared. Nothing is sent where nothing differs.
   *
   * When something appeared or vanished between reading and writing, or a reply was lost, the table
   * is read and compared again, up to 5 times in all. What the kernel refuses does not reject: it
   * is in {@link Applied.failed}, and the rest is done. The destinations of a service that could not
   * be added are not listed by themselves.
   *
   * What serves goes only when what is to serve in its place is there. A destination is not removed
   * when another of its service, of a weight above 0, could not be added or edited. A service is not
   * removed when any service, or a destination of a weight above 0, could not be added: which of them
   * takes its place is nowhere declared. What is held back so is in {@link Applied.failed} with
   * `ERR_IPVS_HELD_BACK`, whose `cause` is the error of what it waited for, and goes at the next call
   * that adds everything.
   *
   * When it is aborted, or ends early for another reason, what was made stays: the error then is an
   * {@link AppliedInPart}, and says of the rest whether it was sent.
   */
  apply(desired: readonly VirtualServer[], options?: DesiredStateOptions): Promise<Applied>
}
