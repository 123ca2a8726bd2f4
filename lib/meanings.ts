// What each (stage, command, errno) means: its code, what is in the way, and what to do. The tables
// follow the kernel's own answers, see the captures in test/fixtures.

import {
  EPERM,
  ENOENT,
  ESRCH,
  EAGAIN,
  EACCES,
  EEXIST,
  ENODEV,
  EROFS,
  ETIMEDOUT,
  ECANCELED,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EINVAL,
  ENETUNREACH,
  ERANGE,
  EPROTONOSUPPORT,
  ENOTDIR,
  EISDIR,
  ENAMETOOLONG,
  ELOOP,
  E2BIG,
  EADDRINUSE,
  ENETDOWN,
  EOPNOTSUPP,
  EMFILE,
  ENFILE,
  ENOMEM,
  explain,
} from './errno.js'
import type { Failure } from '../types/addon.js'
import type { DestinationKey } from '../types/destination.js'
import type { IpvsErrorCode } from '../types/error.js'
import type { ServiceKey } from '../types/service.js'

/** See native/netlink/outcome.h. */
export const Stage = {
  none: 0,
  namespace: 1,
  socket: 2,
  family: 3,
  send: 4,
  reply: 5,
  kernel: 6,
  /** Of lib/rejection.ts alone: the addon rejects instead. */
  thread: 7,
} as const

/** What was asked for, for the message and for the error's properties. */
export interface Request {
  /** Without its prefix, as in `NEW_DEST`. */
  readonly command: string
  /** In words, as in `add destination 10.0.0.1:80 to service tcp 10.0.0.9:80`. */
  readonly what: () => string
  readonly service?: ServiceKey
  readonly destination?: DestinationKey
  readonly scheduler?: string
  readonly engine?: string
  /** Whether it changes something, so that a lost reply leaves its outcome open. */
  readonly changes: boolean
}

/** Which of the two the kernel does not have, where it said only that one is missing. */
export type Missing = 'scheduler' | 'engine'

/** A failure, with what was found out about it. */
export interface KnownFailure extends Failure {
  readonly missing?: Missing
  /** What the addon rejected with, instead of answering. */
  readonly cause?: Error
}

export interface Meaning {
  readonly code: IpvsErrorCode
  readonly why: string
}

const noScheduler = (name: string): string =>
  `the kernel has no scheduler '${name}' and could not load the module ip_vs_${name}; install or load that module, or choose another scheduler`
const noEngine = (name: string): string =>
  `the kernel has no persistence engine '${name}' and could not load the module ip_vs_pe_${name}; install or load that module, or leave the engine out`

/** The kernel answers ENOENT for both; what was not named is there already. */
const missingModule = ({ scheduler, engine }: Request, missing?: Missing): Meaning => {
  if (engine !== undefined && (scheduler === undefined || missing === 'engine')) {
    return { code: 'ERR_IPVS_NO_PERSISTENCE_ENGINE', why: noEngine(engine) }
  }
  const why = noScheduler(scheduler ?? '')
  const isOpen = engine !== undefined && missing === undefined
  return {
    code: 'ERR_IPVS_NO_SCHEDULER',
    why: isOpen ? `${why}; or: ${noEngine(engine)}` : why,
  }
}

const refused = (why: string, by: 'ipvs' | 'host' = 'ipvs'): Meaning => ({
  code: by === 'host' ? 'ERR_HOST_REFUSED' : 'ERR_IPVS_REFUSED',
  why,
})

const noIpv6 = 'this kernel has no IPv6, or it is switched off'

/** Why the kernel does not take a destination, where it says no more than EINVAL. */
const badDestination = (): Meaning =>
  refused(
    "the address is not one of a machine that can be reached from here, or its family is not its service's while a synchronisation daemon runs; from Linux 6.2 on also when there are as many of them as its estimators can count",
  )
const badThresholds = (): Meaning => refused('the lower threshold would be above the upper one')
const noFamilySupport = (): Meaning => refused(noIpv6)

/** Where the rest of a service was checked before it was sent. */
const noEstimators =
  'the kernel refused: EINVAL, as from Linux 6.2 on when it has as many services and destinations as its estimators can count'

const noService: Meaning = {
  code: 'ERR_IPVS_NO_SERVICE',
  why: 'there is no such service',
}
const noDestination: Meaning = {
  code: 'ERR_IPVS_NO_DESTINATION',
  why: 'the service has no such destination',
}

/** What every command on a service that is there may meet. */
const ofService = { [ESRCH]: () => noService, [EAFNOSUPPORT]: noFamilySupport }
/** What changes of it may meet. */
const changingService = { ...ofService, [ESRCH]: () => withAdvice(noService) }

const withAdvice = ({ code, why }: Meaning): Meaning => ({ code, why: `${why}; add it first` })

const noSetting: Meaning = {
  code: 'ERR_HOST_NO_SYSCTL',
  why: 'the kernel has no such setting, or not before the module or device it belongs to is there',
}

const meanings: Readonly<
  Record<string, Readonly<Record<number, (request: Request, missing?: Missing) => Meaning>>>
> = {
  NEW_SERVICE: {
    [EEXIST]: () => ({
      code: 'ERR_IPVS_SERVICE_EXISTS',
      why: 'the service exists already; use editService to change it',
    }),
    [ENOENT]: missingModule,
    [EAFNOSUPPORT]: noFamilySupport,
    [EINVAL]: () => refused(noEstimators),
  },
  SET_SERVICE: { ...changingService, [ENOENT]: missingModule },
  DEL_SERVICE: ofService,
  GET_SERVICE: {
    ...ofService,
    [EAGAIN]: () =>
      refused('the table never stood still for two readings; somebody keeps changing it'),
  },
  GET_DEST: ofService,
  ZERO: ofService,
  NEW_DEST: {
    ...changingService,
    [EINVAL]: badDestination,
    [ERANGE]: badThresholds,
    [EEXIST]: () => ({
      code: 'ERR_IPVS_DESTINATION_EXISTS',
      why: 'the service has this destination already; use editDestination to change it',
    }),
  },
  SET_DEST: {
    ...changingService,
    [ENOENT]: () => withAdvice(noDestination),
    [EINVAL]: badDestination,
    [ERANGE]: badThresholds,
  },
  DEL_DEST: { ...ofService, [ENOENT]: () => noDestination },
  NEW_DAEMON: {
    [EEXIST]: () => ({
      code: 'ERR_IPVS_DAEMON_RUNNING',
      why: 'a daemon of this role is running already; stop it first',
    }),
    [ENODEV]: () => refused('there is no such network device'),
    [EAFNOSUPPORT]: noFamilySupport,
    [ENETUNREACH]: () => refused('the device is down or has no address to send from'),
    [EINVAL]: () =>
      refused(
        'the kernel refused it, as it does while a destination has another family than its service',
      ),
  },
  DEL_DAEMON: {
    [ESRCH]: () => ({
      code: 'ERR_IPVS_NO_DAEMON',
      why: 'no daemon of this role is running',
    }),
  },
  SET_CONFIG: {
    [EINVAL]: () => refused('a timeout is longer than the kernel can hold, (2^31-1)/HZ seconds'),
  },
  proc: {
    [ENOENT]: () => unprepared(ENOENT),
  },
  RTM_NEWADDR: {
    [EEXIST]: () => ({ code: 'ERR_HOST_ADDRESS_EXISTS', why: 'the device has it already' }),
    // Whoever lacks a capability is answered EPERM.
    [EACCES]: () =>
      refused(
        'IPv6 is switched off on this device (net.ipv6.conf.<device>.disable_ipv6 is 1)',
        'host',
      ),
    [EOPNOTSUPP]: () => refused(noIpv6, 'host'),
  },
  RTM_DELADDR: {
    [EADDRNOTAVAIL]: () => ({
      code: 'ERR_HOST_NO_ADDRESS',
      why: 'the device has no such address',
    }),
  },
  RTM_NEWLINK: {
    [EEXIST]: () =>
      refused('somebody else has this device, or another one that takes the same packets', 'host'),
    [EOPNOTSUPP]: () =>
      refused(
        'this kernel has no devices of this kind, and could not load their module; install or load it',
        'host',
      ),
  },
  FOU_CMD_ADD: {
    [ENOENT]: () =>
      refused(
        'this kernel has no FOU (UDP encapsulation), or could not load its module; load the module fou',
        'host',
      ),
    [EADDRINUSE]: () => refused('somebody else listens on this UDP port', 'host'),
  },
  announce: {
    [EPERM]: () => ({
      code: 'ERR_HOST_PERMISSION',
      why: 'sending announcements needs CAP_NET_RAW in the user namespace that owns the network namespace',
    }),
    [EOPNOTSUPP]: () =>
      refused('the device has no Ethernet address, and so no neighbours to tell', 'host'),
    [ENETDOWN]: () => refused('the device is down', 'host'),
  },
  sysctl: {
    [ENOENT]: () => noSetting,
    [ENOTDIR]: () => noSetting,
    [EISDIR]: () => noSetting,
    [ENAMETOOLONG]: () => noSetting,
    [ELOOP]: () => noSetting,
    // Root is answered so, too: the mode of a setting binds everybody.
    [EACCES]: (request) => {
      const { code, why } = permission(request)
      const only = request.changes ? 'read' : 'written'
      return { code, why: `${why}, or the setting can only be ${only}` }
    },
    [E2BIG]: () => ({
      code: 'ERR_HOST_REFUSED',
      why: 'the kernel took only the beginning of the value, and that is what the setting is now',
    }),
    [EROFS]: () => ({
      code: 'ERR_HOST_PERMISSION',
      why: '/proc/sys is mounted read-only, as containers usually have it; set it outside, or run with a writable /proc/sys',
    }),
  },
}

const isHost = (request: Request): boolean =>
  /^(RTM_|FOU_|sysctl$|host$|announce$)/.test(request.command)

const permission = (request: Request): Meaning =>
  isHost(request)
    ? {
        code: 'ERR_HOST_PERMISSION',
        why: 'CAP_NET_ADMIN is needed in the user namespace that owns the network namespace',
      }
    : {
        code: 'ERR_IPVS_PERMISSION',
        why: 'every IPVS command needs CAP_NET_ADMIN in the initial user namespace; run as root or with AmbientCapabilities=CAP_NET_ADMIN (capabilities of a child user namespace, as in a rootless container, do not count)',
      }

const refusal = (request: Request, errno: number, missing?: Missing): Meaning => {
  const known = meanings[request.command]?.[errno]
  if (known) return known(request, missing)
  if (errno === EPERM || errno === EACCES) return permission(request)
  if (errno === ENODEV && isHost(request)) {
    return { code: 'ERR_HOST_NO_DEVICE', why: 'there is no such network device' }
  }
  return {
    code: isHost(request) ? 'ERR_HOST_REFUSED' : 'ERR_IPVS_REFUSED',
    why: `the kernel refused: ${explain(errno)}`,
  }
}

const noThread = (request: Request, errno: number): Meaning =>
  refused(
    `no thread could be started for it: ${explain(errno)}; nothing was changed (see the limits of processes and threads: ulimit -u, pids.max)`,
    isHost(request) ? 'host' : 'ipvs',
  )

/** What a process may run short of on its way into a namespace, and where the limit is. */
const limits: Readonly<Record<number, string>> = {
  [EMFILE]: 'see the limit of open files: ulimit -n',
  [ENFILE]: 'see the limit of open files of all processes: fs.file-max',
  [ENOMEM]: 'see the limits of memory: memory.max',
}

const noNamespace = (request: Request, errno: number): Meaning => {
  if (errno === EPERM || errno === EACCES) {
    return {
      code: isHost(request) ? 'ERR_HOST_PERMISSION' : 'ERR_IPVS_PERMISSION',
      why: 'entering a network namespace needs CAP_SYS_ADMIN in the user namespace that owns it (capabilities of a child user namespace, as in a rootless container, do not count)',
    }
  }
  // A namespace is entered by a thread of its own.
  if (errno === EAGAIN) return noThread(request, errno)
  const limit = limits[errno]
  if (limit !== undefined) {
    return refused(
      `the network namespace could not be opened or entered: ${explain(errno)}; nothing was changed (${limit})`,
      isHost(request) ? 'host' : 'ipvs',
    )
  }
  return {
    code: 'ERR_IPVS_NO_NETNS',
    why: `no network namespace could be opened there: ${explain(errno)}; pass a path such as /run/netns/NAME, for which /proc must be mounted, or an open descriptor of one`,
  }
}

/** Before the request itself was sent: nothing was changed. */
const unprepared = (errno: number): Meaning => {
  if (errno === ENOENT) {
    return {
      code: 'ERR_IPVS_NOT_AVAILABLE',
      why: `this kernel has no IPVS: ${explain(errno)}; the module ip_vs is missing or could not be loaded (in a container, load it on the host)`,
    }
  }
  return errno === ETIMEDOUT
    ? { code: 'ERR_IPVS_TIMEOUT', why: 'the kernel did not answer in time; nothing was changed' }
    : {
        code: 'ERR_IPVS_MALFORMED_REPLY',
        why: `the kernel's reply was lost or could not be read: ${explain(errno)}; nothing was changed`,
      }
}

/** No netlink at all, or no more descriptors or memory. */
const noSocket = (request: Request, errno: number): Meaning =>
  errno === EAFNOSUPPORT || errno === EPROTONOSUPPORT
    ? { code: 'ERR_IPVS_NOT_AVAILABLE', why: `this kernel has no netlink: ${explain(errno)}` }
    : {
        code: isHost(request) ? 'ERR_HOST_REFUSED' : 'ERR_IPVS_REFUSED',
        why: `no netlink socket could be opened: ${explain(errno)}; nothing was changed`,
      }

/** What the addon itself found out when it laid a patch over the service. */
const foreignFlags = refused(
  'the scheduler flags belong to another scheduler than the service has; name the scheduler as well',
)

const unsent = (request: Request, errno: number): Meaning => {
  if (request.command === 'SET_SERVICE' && errno === EINVAL) return foreignFlags
  return errno === ECANCELED || errno === ETIMEDOUT
    ? {
        code: 'ERR_IPVS_TIMEOUT',
        why: 'it was not sent, because the kernel did not answer an earlier request in time',
      }
    : {
        code: isHost(request) ? 'ERR_HOST_REFUSED' : 'ERR_IPVS_REFUSED',
        why: `it could not be sent: ${explain(errno)}`,
      }
}

const unanswered = (request: Request, { errno, cause }: KnownFailure): Meaning => {
  if (request.changes) {
    return {
      code: 'ERR_IPVS_OUTCOME_UNKNOWN',
      why: `the kernel's reply did not arrive: ${cause?.message ?? explain(errno)}; the change may have been made: read the table before trying again`,
    }
  }
  if (errno === ETIMEDOUT) {
    return { code: 'ERR_IPVS_TIMEOUT', why: 'the kernel did not answer in time' }
  }
  return {
    code: 'ERR_IPVS_MALFORMED_REPLY',
    why: `the kernel's reply could not be read: ${explain(errno)}`,
  }
}

/** What a failure means. */
export const meaningOf = (failure: KnownFailure, request: Request): Meaning => {
  switch (failure.stage) {
    case Stage.namespace:
      return noNamespace(request, failure.errno)
    case Stage.family:
      return unprepared(failure.errno)
    case Stage.send:
      return unsent(request, failure.errno)
    case Stage.reply:
      return unanswered(request, failure)
    case Stage.thread:
      return noThread(request, failure.errno)
    case Stage.kernel:
      return refusal(request, failure.errno, failure.missing)
    default:
      return noSocket(request, failure.errno)
  }
}
