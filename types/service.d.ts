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
  /** Such a service has no mark. */
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
  /** Such a service has none: any protocol. */
  readonly protocol?: undefined
  /** Such a service has none: any address. */
  readonly address?: undefined
  /** Such a service has none: any port. */
  readonly port?: undefined
}

/** What identifies a virtual service. Where a key is wanted, a whole service may be passed. */
export type ServiceKey = AddressServiceKey | FwmarkServiceKey

/**
 * Scheduler by its kernel name, up to 15 characters; the module is `ip_vs_<name>` and is loaded by
 * the kernel at first use. Any name is accepted, the known ones are listed for completion. `twos`
 * is in kernels from 6.5 on.
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
 * Kernel: bits of `IPVS_SVC_ATTR_FLAGS`. `IP_VS_SVC_F_SCHED1` 0x08 is `sh-fallback`, `mh-fallback`
 * or `flag-1`; `IP_VS_SVC_F_SCHED2` 0x10 is `sh-port`, `mh-port` or `flag-2`; `IP_VS_SVC_F_SCHED3`
 * 0x20 is `flag-3`. The `sh-` and `mh-` names are refused with another scheduler.
 */
export type SchedulerFlag =
  'sh-fallback' | 'sh-port' | 'mh-fallback' | 'mh-port' | 'flag-1' | 'flag-2' | 'flag-3'

/** Connections of one client go to one real server. */
export interface Persistence {
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
  /**
   * IPv4 only: the mask in dotted form, instead of {@link prefixLength}: leading ones, at least one.
   * It is also what a service is read with whose mask, set by another program, is not of that form;
   * such a one is refused when written.
   */
  readonly netmask?: string | undefined
  /**
   * Persistence engine, by its kernel name; the module is `ip_vs_pe_<name>`. `sip` groups by SIP
   * Call-ID and needs udp or a fwmark. Default: none (group by client address).
   *
   * Kernel: `IPVS_SVC_ATTR_PE_NAME`. Unknown: `ERR_IPVS_NO_PERSISTENCE_ENGINE`.
   */
  readonly engine?: 'sip' | (string & {}) | undefined
}

/** Everything about a virtual service that can be set and is not its identity. */
export interface ServiceSettings {
  /** See {@link Scheduler}. Default `'wlc'`, as ipvsadm(8). */
  readonly scheduler?: Scheduler | undefined
  /** See {@link SchedulerFlag}. Default none. */
  readonly schedulerFlags?: readonly SchedulerFlag[] | undefined
  /**
   * One-packet scheduling: every packet is scheduled anew. Only for udp and fwmark services.
   * Default `false`. Kernel: `IP_VS_SVC_F_ONEPACKET` 0x04 of `IPVS_SVC_ATTR_FLAGS`.
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
    | (Omit<Persistence, 'engine'> & { readonly engine?: Persistence['engine'] | null })
    | null
    | undefined
}

/** A virtual service as it is created or replaced. */
export type ServiceConfig = ServiceKey & ServiceSettings
