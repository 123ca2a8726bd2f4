// What is right and wrong on a machine for its role around IPVS.

/** What this machine is to be. */
export interface DiagnosisProfile {
  /** `director`: it distributes. `realServer`: it answers. */
  readonly role: 'director' | 'realServer'
  /** How packets get from the director to the real servers. */
  readonly forwarding: 'nat' | 'dr' | 'tun'
  /** The virtual address or addresses. Without, nothing is said about them. */
  readonly vip?: string | readonly string[] | undefined
  /**
   * The device or devices on which clients' packets arrive. Default: all that have an address of
   * global scope, but for `lo` and tunnels.
   */
  readonly device?: string | readonly string[] | undefined
  /** Role `realServer`: the director's address, to be compared with the way back. Without, it is not. */
  readonly director?: string | undefined
  /** Forwarding `tun`: how it is encapsulated. Default `'ipip'`. */
  readonly tunnel?: 'ipip' | 'gue' | 'gre' | undefined
}

/** What a finding is about. */
export type DiagnosisCode =
  /** Whether the kernel has IPVS: loaded, loadable (modules.dep, modules.builtin) or not. */
  | 'IPVS'
  /** 64-bit counters, GUE and GRE tunnels, mixed families: by the kernel's version. */
  | 'KERNEL_FEATURES'
  /** Which schedulers are loaded or can be. */
  | 'SCHEDULERS'
  /** Which persistence engines are loaded or can be. */
  | 'PERSISTENCE_ENGINES'
  /** CAP_NET_ADMIN (`CapEff`), and in which user namespace. */
  | 'PRIVILEGE'
  /** Whether /proc/sys is mounted to be written. */
  | 'PROC_SYS'
  /** `net.ipv4.ip_forward` and `net.ipv6.conf.all.forwarding`, and those of the devices. */
  | 'IP_FORWARD'
  /** `net.ipv4.conf.*.send_redirects`: on if `all` or the device has it on. */
  | 'SEND_REDIRECTS'
  /** `net.ipv4.conf.*.rp_filter`: the larger of `all` and the device. */
  | 'RP_FILTER'
  /** `arp_ignore` and `arp_announce`, see {@link Host.suppressArp}. */
  | 'ARP'
  /** Whether the virtual address is there, and on which device. */
  | 'VIP'
  /** The default route, by which replies leave. */
  | 'RETURN_PATH'
  /** A device or module that takes packets out of their tunnel. */
  | 'TUNNEL'
  /** What fits through the tunnel without being fragmented. */
  | 'TUNNEL_MTU'
  /** A device that was named and is not there, or is down. */
  | 'DEVICE'
  /** Whether netfilter tracks connections of IPVS: `conntrack`. */
  | 'CONNTRACK'
  /** `connReuseMode` that leaves clients at destinations that take no new connections. */
  | 'CONN_REUSE_MODE'
  /** Whether connections of deleted destinations end: `expireNodestConn`. */
  | 'EXPIRE_NODEST_CONN'
  /** `dropPacket` and `amDroprate` that drop all, or nothing in spite of it. */
  | 'DROP_PACKET'
  /** Counters that stand still: `runEstimation`, `estCpulist`. */
  | 'ESTIMATION'
  /** `connMax` that lets no connection be made. */
  | 'CONN_MAX'
  /** `syncRetries` without the `syncRefreshPeriod` that it is counted by. */
  | 'SYNC_RETRIES'
  /** `syncPersistMode` without `sloppyTcp`, which a backup then needs. */
  | 'SYNC_PERSIST_MODE'
  /** Something that could not be read, so that nothing can be said about it. */
  | 'UNKNOWN'

/** One thing that was looked at. */
export interface DiagnosisFinding {
  /** What it is about; there may be several with the same. */
  readonly code: DiagnosisCode
  /**
   * `error`: the role cannot be fulfilled. `warning`: it works, but not always or not as one may
   * think. `info`: good to know. `ok`: as it should be.
   */
  readonly severity: 'error' | 'warning' | 'info' | 'ok'
  /** A sentence or two, with the values that were found. */
  readonly message: string
  /** What to do about it; errors and warnings have one. */
  readonly cure?: string
}

/** What {@link Host.diagnose} found. */
export interface Diagnosis {
  /** Errors first, then warnings, information, and what is as it should be. */
  readonly findings: readonly DiagnosisFinding[]
  /** There is no error. */
  readonly ok: boolean
  /** The findings, readable, a line each and one for each cure. */
  readonly text: string
}
