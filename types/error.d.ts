// What goes wrong, by name.

import type { DestinationKey } from './destination.js'
import type { ServiceKey } from './service.js'

/** Match on these; messages may change. */
export type IpvsErrorCode =
  /** The service exists already. */
  | 'ERR_IPVS_SERVICE_EXISTS'
  /** There is no such service. */
  | 'ERR_IPVS_NO_SERVICE'
  /** The destination exists already in this service. */
  | 'ERR_IPVS_DESTINATION_EXISTS'
  /** The service has no such destination. */
  | 'ERR_IPVS_NO_DESTINATION'
  /** The kernel has no such scheduler and could not load its module. */
  | 'ERR_IPVS_NO_SCHEDULER'
  /** The kernel has no such persistence engine and could not load its module. */
  | 'ERR_IPVS_NO_PERSISTENCE_ENGINE'
  /** A synchronisation daemon of this role is running already. */
  | 'ERR_IPVS_DAEMON_RUNNING'
  /** No synchronisation daemon of this role is running. */
  | 'ERR_IPVS_NO_DAEMON'
  /** `apply` did not delete it, since what was to serve in its place failed; that is its `cause`. */
  | 'ERR_IPVS_HELD_BACK'
  /** Any other refusal of the kernel. */
  | 'ERR_IPVS_REFUSED'
  /** CAP_NET_ADMIN in the initial user namespace is missing. */
  | 'ERR_IPVS_PERMISSION'
  /** No IPVS in this kernel, no addon for this machine, or not Linux. */
  | 'ERR_IPVS_NOT_AVAILABLE'
  /** The network namespace does not exist or is not one. */
  | 'ERR_IPVS_NO_NETNS'
  /** Replies were lost, or the addon broke off (its error is the `cause`): the change may have been made. */
  | 'ERR_IPVS_OUTCOME_UNKNOWN'
  /** The kernel did not answer in time; nothing was changed. */
  | 'ERR_IPVS_TIMEOUT'
  /** The kernel's answer could not be understood. */
  | 'ERR_IPVS_MALFORMED_REPLY'
  /** The handle was closed. */
  | 'ERR_IPVS_CLOSED'
  /** A line is no rule, or a rule cannot say what is in the table. */
  | 'ERR_IPVS_BAD_RULE'
  /** CAP_NET_ADMIN is missing, /proc/sys is mounted read-only, or a setting can only be read or only written. */
  | 'ERR_HOST_PERMISSION'
  /** The kernel has no such setting. */
  | 'ERR_HOST_NO_SYSCTL'
  /** There is no such network device. */
  | 'ERR_HOST_NO_DEVICE'
  /** The device has this address already. */
  | 'ERR_HOST_ADDRESS_EXISTS'
  /** The device has no such address. */
  | 'ERR_HOST_NO_ADDRESS'
  /** Any other refusal of the kernel, or a setting that no file of sysctl.d(5) can name. */
  | 'ERR_HOST_REFUSED'

/** What an `IpvsError` carries beside `message` and `stack`. */
export interface IpvsErrorDetails {
  /** See {@link IpvsErrorCode}. */
  readonly code: IpvsErrorCode
  /** Negative, as Node's own; 0 when no errno is involved. */
  readonly errno: number
  /** The kernel's command, such as `'NEW_DEST'`, `'RTM_NEWADDR'` or `'sysctl'`. */
  readonly command: string
  /** The service that was asked for. */
  readonly service?: ServiceKey
  /** The destination that was asked for. */
  readonly destination?: DestinationKey
  /** The kernel's own words (extended acknowledgement), where it has any. */
  readonly kernelMessage?: string
  /** The line of a text of rules that is wrong or could not be carried out, from 1 on. */
  readonly line?: number
  /** Where several things went wrong at once, all of them; the first is what this error says. */
  readonly errors?: readonly IpvsErrorShape[]
}

/** The shape of an `IpvsError`, for types that cannot name the class. */
export type IpvsErrorShape = Error & IpvsErrorDetails
