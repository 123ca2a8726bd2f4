// IPVS's own settings, net.ipv4.vs.*, and what persist() writes.

/**
 * IPVS's settings of one network namespace, `net.ipv4.vs.*`, as {@link Host.ipvsSettings} reads
 * them. Meanings follow the kernel's Documentation/networking/ipvs-sysctl.rst, ranges and defaults
 * net/netfilter/ipvs/ip_vs_ctl.c. What the kernel takes without a check, it takes here only within
 * the range in which it means something. A new namespace begins with the defaults.
 */
export interface KnownIpvsSettings {
  /**
   * With `dropPacket: 3`, one packet in this many is dropped. 0 to 2^31-1, 0 = none; default 10.
   * `am_droprate`, since before 6.1.
   */
  readonly amDroprate: number
  /**
   * Free memory below which the automatic defences begin, in pages. 0 to 2^31-1; default 1024.
   * `amemthresh`, since before 6.1.
   */
  readonly amemthresh: number
  /**
   * While a backup synchronisation daemon runs here, this machine schedules nothing, so that packets
   * do not circle between director and backup (`dr`, `tun`). Default false. `backup_only`, since
   * before 6.1.
   */
  readonly backupOnly: boolean
  /**
   * When no destination is available, packets go to their original destination, where that is not
   * this machine: for transparent caches. Default false. `cache_bypass`, since before 6.1.
   */
  readonly cacheBypass: boolean
  /**
   * Size of the connection table: it has about 2^-n buckets for each entry, and a NAT connection is
   * two. -8 (largest) to 8; default -4, in a new namespace -2. `conn_lfactor`, since 7.2.
   */
  readonly connLfactor?: number | undefined
  /**
   * Most connections of this namespace; above it new ones are dropped without a word. 0 to 2^30
   * (2^24 on 32-bit machines, and never more than the namespace may have); default: the most, or
   * what the first namespace had when this one was made. `conn_max`, since 7.2.
   */
  readonly connMax?: number | undefined
  /**
   * What a new connection from the port of an old one gets. 0: the same destination, even one that
   * takes no new connections. 1: it is scheduled again where that is safe. 2: also while the old one
   * is in FIN_WAIT, the last state that a `dr` director sees; 3 is both. Default 1.
   * `conn_reuse_mode`, since before 6.1.
   */
  readonly connReuseMode: number
  /**
   * Connections of IPVS are also tracked by netfilter, which iptables rules on states and SNAT need;
   * it costs time. Default false. `conntrack`, since before 6.1, in kernels with `CONFIG_IP_VS_NFCT`.
   */
  readonly conntrack?: boolean | undefined
  /**
   * How much IPVS writes to the kernel's log, 0 to 12; default 0. `debug_level`, in kernels with
   * `CONFIG_IP_VS_DEBUG`; it is one for all namespaces, and only the first can change it.
   */
  readonly debugLevel?: number | undefined
  /**
   * Against floods of SYNs: each second, connections that were never finished are dropped from a
   * 32nd of the table. 0: never; 1 and 2: while memory is short ({@link amemthresh}), and the kernel
   * itself changes 1 to 2 then and back; 3: always. Default 0. `drop_entry`, since before 6.1.
   */
  readonly dropEntry: number
  /**
   * Drops one packet in some before it is forwarded. 0 to 3 as in {@link dropEntry}; with 3 the rate
   * is {@link amDroprate}. Default 0. `drop_packet`, since before 6.1.
   */
  readonly dropPacket: number
  /**
   * Processors on which rates are computed: a list such as `'0,2-3'` or `'0-7:1/2'`, `'all'`, or
   * `''` for none, which stops it. Reads back as the kernel sorts it; default: those meant for
   * kernel threads. `est_cpulist`, since 6.2.
   */
  readonly estCpulist?: string | undefined
  /**
   * Scheduling priority (niceness) of the threads that compute rates, -20 to 19; default 0.
   * `est_nice`, since 6.2.
   */
  readonly estNice?: number | undefined
  /**
   * Connections of a destination that was deleted end with their next packet, and the client
   * learns it. False: their packets are dropped, and they go on when the destination is added
   * again. Default false. `expire_nodest_conn`, since before 6.1.
   */
  readonly expireNodestConn: boolean
  /**
   * A persistent client leaves a destination of weight 0 with its next connection. False: it stays
   * there. Default false. `expire_quiescent_template`, since before 6.1.
   */
  readonly expireQuiescentTemplate: boolean
  /**
   * Packets of protocols that IPVS does not know, such as tunnels, are let through and not scheduled
   * again: for a director that is a real server too. Default false. `ignore_tunneled`, since before
   * 6.1.
   */
  readonly ignoreTunneled: boolean
  /**
   * How long the scheduler `lblc` remembers the destination of an address that is not asked for, in
   * seconds, 0 to 2 147 483; default 86 400. `lblc_expiration`, while the module `ip_vs_lblc` is
   * loaded.
   */
  readonly lblcExpiration?: number | undefined
  /**
   * As {@link lblcExpiration}, default too, for `lblcr`. `lblcr_expiration`, with the module `ip_vs_lblcr`.
   */
  readonly lblcrExpiration?: number | undefined
  /**
   * A real server of a `nat` service whose reply belongs to no connection is told so by ICMP
   * (destination unreachable). Default false. `nat_icmp_send`, since before 6.1.
   */
  readonly natIcmpSend: boolean
  /**
   * Packets that must not be fragmented and are too large for the way to the destination are
   * refused by ICMP. False: `tun` fragments them. Default true. `pmtu_disc`, since before 6.1.
   */
  readonly pmtuDisc: boolean
  /**
   * Counters and rates are brought up to date every two seconds. False: they stand still. Default
   * true. `run_estimation`, since before 6.1.
   */
  readonly runEstimation: boolean
  /** ICMP errors are scheduled like other packets. Default false. `schedule_icmp`, since before 6.1. */
  readonly scheduleIcmp: boolean
  /**
   * A finer table of TCP states against attacks; `nat` connections then count as established only
   * after the third packet. 0 to 3 as in {@link dropEntry}; default 0. `secure_tcp`, since before 6.1.
   */
  readonly secureTcp: number
  /**
   * SCTP connections may begin with any packet, as after a director took over. Default false.
   * `sloppy_sctp`, since before 6.1.
   */
  readonly sloppySctp: boolean
  /**
   * TCP connections may begin with any packet, as after a director took over. Default false.
   * `sloppy_tcp`, since before 6.1.
   */
  readonly sloppyTcp: boolean
  /**
   * Replies of `nat` are routed again, as if this machine had sent them; with policy routing the way
   * may be another then. Default true. `snat_reroute`, since before 6.1.
   */
  readonly snatReroute: boolean
  /**
   * What of persistent services is synchronised. 0: every connection; 1: only the templates, for
   * which the backup needs {@link sloppyTcp} and {@link sloppySctp}. Default 0.
   * `sync_persist_mode`, since before 6.1.
   */
  readonly syncPersistMode: number
  /**
   * Threads and UDP ports (8848 and following) of a synchronisation daemon, read when it starts: 1,
   * 2, 4, 8, 16, 32 or 64; default 1. `sync_ports`, since before 6.1.
   */
  readonly syncPorts: number
  /**
   * Most synchronisation messages that wait to be sent, 0 to 2^53-1; default a 32nd of the memory's
   * pages. `sync_qlen_max`, since before 6.1.
   */
  readonly syncQlenMax: number
  /**
   * How far a connection's timer has to move for a message without a change of state, in seconds, 0
   * to 2 147 483; 0 = {@link syncThreshold} alone decides. Default 0. `sync_refresh_period`, since
   * before 6.1.
   */
  readonly syncRefreshPeriod: number
  /**
   * How often a message is repeated, an eighth of {@link syncRefreshPeriod} apart. 0 to 3; default 0.
   * `sync_retries`, since before 6.1.
   */
  readonly syncRetries: number
  /**
   * Buffer of a synchronisation daemon's socket, in bytes, 0 to 2^31-1; default 0, the system's.
   * `sync_sock_size`, since before 6.1.
   */
  readonly syncSockSize: number
  /**
   * Packets a connection needs to be synchronised, and after how many more it is again: it is
   * whenever its packets modulo the second number are the first. 0 to 2^31-1 each, the first below
   * the second; second 0 = once. Default `[3, 50]`. `sync_threshold`, since before 6.1.
   */
  readonly syncThreshold: readonly [threshold: number, period: number]
  /**
   * Version of the synchronisation protocol that is sent: 0 (without IPv6, for old kernels) or 1.
   * Default 1. `sync_version`, since before 6.1.
   */
  readonly syncVersion: number
  /**
   * Size of the service table: it has about 2^-n buckets for each service. -8 (largest) to 8; default
   * -3, in a new namespace -2. `svc_lfactor`, since 7.2.
   */
  readonly svcLfactor?: number | undefined
}

/** The kernel's own name of a setting, as in `expire_nodest_conn`. */
export type KernelSettingName = `${string}_${string}`

/**
 * All of IPVS's settings that this kernel has. One that this package does not know stands under the
 * kernel's own name, as the text that the kernel gives.
 */
export type IpvsSettings = KnownIpvsSettings & Readonly<Record<KernelSettingName, string>>

/**
 * The settings to change; the others stay. One that this package does not know is named as the
 * kernel names it, with a text, a number or a boolean, which is written as 1 or 0. The known ones
 * can be named so too, and are checked as they are under their own name.
 */
export type IpvsSettingChanges = {
  readonly [K in keyof KnownIpvsSettings]?: KnownIpvsSettings[K] | undefined
} & Readonly<Record<KernelSettingName, string | number | boolean | undefined>>

/** A kernel setting and its value. */
export interface SysctlValue {
  /** Dotted name; a dot in a device's name is written `/`, as in sysctl.d(5). */
  readonly name: string
  /** As it was written. */
  readonly value: string
}

/** What {@link Host.persist} wrote. */
export interface PersistedSettings {
  /** The file. */
  readonly path: string
  /** All settings that this package's part of the file has now, in its order. */
  readonly settings: readonly SysctlValue[]
}
