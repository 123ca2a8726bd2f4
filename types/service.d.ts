// The vocabulary of virtual services.

/**
 * Transport protocol of a virtual service.
 *
 * Kernel: `IPVS_SVC_ATTR_PROTOCOL`, u16: `IPPROTO_TCP` 6, `IPPROTO_UDP` 17, `IPPROTO_SCTP` 132.
 * The kernel accepts any number here; this library accepts the three that IPVS balances.
 */
export type Protocol = 'tcp' | 'udp' | 'sctp'

/** Address family. Kernel: `IPVS_SVC_ATTR_AF`, u16: `AF_INET` 2, `AF_INET6` 10. */
export type Family = 'ipv4' | 'ipv6'

/** A virtual service known by the address that clients connect to. */
export interface AddressServiceKey {
  /** See {@link Protocol}. */
  readonly protocol: Protocol
  /**
   * The virtual address (VIP), numeric. IPv4 or IPv6 follows from the text. Unspecified, multicast,
   * broadcast, IPv4-mapped and (IPv6) link-local addresses are refused.
   *
   * Kernel: `IPVS_SVC_ATTR_ADDR`, 4 or 16 bytes in network order.
   */
  readonly address: string
  /**
   * Port, 0 to 65535. 0 means every port of the address, and is allowed only with
   * {@link ServiceSettings.persistence}, as in ipvsadm(8).
   *
   * Kernel: `IPVS_SVC_ATTR_PORT`, u16 in network order.
   *
   * @asType integer
   * @minimum 0
   * @maximum 65535
   */
  readonly port: number
  /** Absent: such a service has no mark. */
  readonly fwmark?: undefined
}

/** A virtual service known by the firewall mark that netfilter put on the packets. */
export interface FwmarkServiceKey {
  /**
   * Firewall mark, 1 to 2^32-1. Kernel: `IPVS_SVC_ATTR_FWMARK`, u32.
   *
   * @asType integer
   * @minimum 1
   * @maximum 4294967295
   */
  readonly fwmark: number
  /** Family of the packets. Default `'ipv4'`. The same mark may serve both families. */
  readonly family?: Family | undefined
  /** Absent: such a service takes any protocol. */
  readonly protocol?: undefined
  /** Absent: such a service takes any address. */
  readonly address?: undefined
  /** Absent: such a service takes any port. */
  readonly port?: undefined
}

/** What identifies a virtual service. Where a key is wanted, a whole service may be passed. */
export type ServiceKey = AddressServiceKey | FwmarkServiceKey

/**
 * Scheduler by its kernel name, up to 15 characters; the module is `ip_vs_<name>` and is loaded by
 * the kernel at first use. Any name is accepted, the known ones are listed for completion. `twos`
 * is in kernels from 6.5 on. With `none` a service has no scheduler, and gets no new connections.
 *
 * Kernel: `IPVS_SVC_ATTR_SCHED_NAME`, NUL-terminated text. Unknown: `ERR_IPVS_NO_SCHEDULER`.
 */
export type Scheduler =
  | 'rr'
  | 'wrr'
  | 'lc'
  | 'wlc'
  | 'lblc'
  | 'lblcr'
  | 'dh'
  | 'sh'
  | 'sed'
  | 'nq'
  | 'fo'
  | 'ovf'
  | 'mh'
  | 'twos'
  | (string & {})

/**
 * Scheduler flags, as `ipvsadm -b` names them.
 *
 * Kernel: bits of `IPVS_SVC_ATTR_FLAGS`, two u32 (the flags, and a mask of those to set). `IP_VS_SVC_F_SCHED1` 0x08 is `sh-fallback`, `mh-fallback`
 * or `flag-1`; `IP_VS_SVC_F_SCHED2` 0x10 is `sh-port`, `mh-port` or `flag-2`; `IP_VS_SVC_F_SCHED3`
 * 0x20 is `flag-3`. The `sh-` and `mh-` names are refused with another scheduler; see
 * {@link FittingService} for when the compiler says so.
 */
export type SchedulerFlag =
  'sh-fallback' | 'sh-port' | 'mh-fallback' | 'mh-port' | 'flag-1' | 'flag-2' | 'flag-3'

/** How long a client stays with its real server, and what makes it one client. */
export interface PersistenceTerms {
  /**
   * How long after its last connection a client stays with its real server, in seconds: 1 to
   * 4,294,967 (what the kernel can hold whatever its timer frequency). Default 360, as ipvsadm(8).
   *
   * Kernel: `IPVS_SVC_ATTR_TIMEOUT`, u32.
   *
   * @asType integer
   * @minimum 1
   * @maximum 4294967
   */
  readonly timeout?: number | undefined
  /**
   * Persistence engine, by its kernel name of up to 16 characters; the module is `ip_vs_pe_<name>`.
   * `sip`, the only one that Linux has, groups by SIP Call-ID and needs udp or a fwmark: with tcp or
   * sctp, where the kernel would take it without effect, it is refused. Default: none (group by client
   * address).
   *
   * Kernel: `IPVS_SVC_ATTR_PE_NAME`, NUL-terminated text. Unknown: `ERR_IPVS_NO_PERSISTENCE_ENGINE`.
   */
  readonly engine?: 'sip' | (string & {}) | undefined
}

/** Which clients count as one: a length or, for IPv4, a mask. Not both. */
export type PersistenceMask =
  | {
      /**
       * Clients that agree in this many leading bits of their address count as one. IPv4: 1 to 32,
       * default 32. IPv6: 1 to 128, default 128.
       *
       * Kernel: `IPVS_SVC_ATTR_NETMASK`, for IPv4 the mask's 4 bytes, for IPv6 the length as u32.
       *
       * @asType integer
       * @minimum 1
       * @maximum 128
       */
      readonly prefixLength?: number | undefined
      /** Only without a length. */
      readonly netmask?: undefined
    }
  | {
      /**
       * IPv4 only: the mask in dotted form, leading ones, at least one. It is also what a service is
       * read with whose mask, set by another program, is not of that form; such a one is refused when
       * written.
       */
      readonly netmask?: string | undefined
      /** Only without a mask. */
      readonly prefixLength?: undefined
    }

/** Connections of one client go to one real server. */
export type Persistence = PersistenceTerms & PersistenceMask

/** Everything about a virtual service that can be set and is not its identity. */
export interface ServiceSettings {
  /** See {@link Scheduler}. Default `'wlc'`, as ipvsadm(8). */
  readonly scheduler?: Scheduler | undefined
  /** See {@link SchedulerFlag}. Default none. */
  readonly schedulerFlags?: readonly SchedulerFlag[] | undefined
  /**
   * One-packet scheduling: every packet is scheduled anew. Only for udp and fwmark services; see
   * {@link FittingService} for when the compiler says so. Default `false`. Kernel: `IP_VS_SVC_F_ONEPACKET` 0x04 of `IPVS_SVC_ATTR_FLAGS`.
   */
  readonly onePacket?: boolean | undefined
  /**
   * Default none. Kernel: `IP_VS_SVC_F_PERSISTENT` 0x01 of `IPVS_SVC_ATTR_FLAGS`, and the
   * attributes of each property.
   */
  readonly persistence?: Persistence | undefined
}

/** Changes of {@link Ipvs.patchService}: what is not named stays as it is. */
export interface ServiceChanges {
  /** Another scheduler drops the flags of the old one, unless new ones are named. */
  readonly scheduler?: Scheduler | undefined
  /** Replaces all scheduler flags. See {@link SchedulerFlag}. */
  readonly schedulerFlags?: readonly SchedulerFlag[] | undefined
  /** See {@link ServiceSettings.onePacket}. */
  readonly onePacket?: boolean | undefined
  /**
   * Changes what is named and makes the service persistent if it is not; `null` ends persistence, and
   * `engine: null` the use of an engine.
   */
  readonly persistence?:
    | (PersistenceMask &
        Omit<PersistenceTerms, 'engine'> & {
          /** `null`: none any more. */
          readonly engine?: PersistenceTerms['engine'] | null
        })
    | null
    | undefined
}

/** A virtual service as it is created or replaced. */
export type ServiceConfig = ServiceKey & ServiceSettings

/** The flags that a scheduler understands, by its name. */
export type FlagOf<Name> = string extends Name
  ? SchedulerFlag
  : | 'flag-1'
    | 'flag-2'
    | 'flag-3'
    | (Name extends 'sh' ? 'sh-fallback' | 'sh-port' : never)
    | (Name extends 'mh' ? 'mh-fallback' | 'mh-port' : never)

/**
 * A service of {@link Ipvs.addService} and {@link Ipvs.editService} whose parts fit each other, as far as the
 * compiler knows them. It refuses `onePacket: true` beside `protocol: 'tcp'` or `'sctp'`, and the flags of
 * `sh` or `mh` beside another scheduler's name or none. What it knows only as `Protocol`, `string`,
 * `boolean` or `SchedulerFlag`, such as a configuration that was read, passes, and so does what is typed
 * as {@link ServiceConfig} beforehand (in a batch, or in a desired state): that is checked when the call is
 * made.
 */
export type FittingService<
  Transport extends Protocol | undefined,
  Single extends boolean | undefined,
  Flag extends SchedulerFlag,
  Name extends Scheduler | undefined,
> = ServiceConfig & {
  /** See {@link AddressServiceKey.protocol}. */
  readonly protocol?: Transport
  /** See {@link ServiceSettings.scheduler}. */
  readonly scheduler?: Name
  /** See {@link ServiceSettings.onePacket}. */
  readonly onePacket?: Single
  /** See {@link ServiceSettings.schedulerFlags}. */
  readonly schedulerFlags?: readonly Flag[] | undefined
} & {
  /** `true` only for udp and fwmark services. */
  readonly onePacket?:
    ([Transport, Single] extends ['tcp' | 'sctp', true] ? false : boolean) | undefined
  /** Only flags of its scheduler. */
  readonly schedulerFlags?:
    readonly (SchedulerFlag extends Flag ? SchedulerFlag : FlagOf<Name>)[] | undefined
}
