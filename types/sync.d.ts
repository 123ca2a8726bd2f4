// Connection synchronisation between directors, and how long connections are kept.

import type { CallOptions } from './ipvs.js'

/** `IPVS_DAEMON_ATTR_STATE`, u32: `IP_VS_STATE_MASTER` 1 sends, `IP_VS_STATE_BACKUP` 2 receives. */
export type SyncRole = 'master' | 'backup'

/** A synchronisation daemon as it is started. */
export interface SyncDaemonConfig {
  /** Both may run at once in one namespace, started one after the other. */
  readonly role: SyncRole
  /**
   * Network device of the multicast traffic, by its name of up to 15 characters. It must be up.
   * `IPVS_DAEMON_ATTR_MCAST_IFN`, NUL-terminated text.
   */
  readonly interface: string
  /**
   * Directors with the same number share their connections; a backup takes those of any number when
   * its own is 0. 0 to 255, default 0. `IPVS_DAEMON_ATTR_SYNC_ID`, u32; 8 bits on the wire.
   */
  readonly syncId?: number | undefined
  /**
   * Longest synchronisation message, in bytes: for a master 1 to 65507 (65487 with an IPv6 group),
   * for a backup no less than 1024, to which the kernel would raise it. Default: what fits into the device's MTU, at most 1472 or 1452 for a
   * master. `IPVS_DAEMON_ATTR_SYNC_MAXLEN`, u16.
   */
  readonly maxLength?: number | undefined
  /**
   * Multicast group, 224.0.0.0/4 or ff00::/8. Default 224.0.0.81. `IPVS_DAEMON_ATTR_MCAST_GROUP`, 4
   * bytes, or `IPVS_DAEMON_ATTR_MCAST_GROUP6`, 16 bytes, in network order.
   */
  readonly group?: string | undefined
  /**
   * UDP port, 1 to 65535. Default 8848. With the sysctl `net.ipv4.vs.sync_ports` above 1 it is the first
   * of that many, one for each thread; after 65535 the kernel goes on at 0 without a word. That is not
   * refused here, since the kernel looks at the setting when it starts the daemon, and at no other
   * time. `IPVS_DAEMON_ATTR_MCAST_PORT`, u16 in host order.
   */
  readonly port?: number | undefined
  /** Hops that the traffic may take, 1 to 255. Default 1. `IPVS_DAEMON_ATTR_MCAST_TTL`, u8. */
  readonly ttl?: number | undefined
}

/** A running daemon, with what is effective. */
export type SyncDaemon = Required<{
  [Key in keyof SyncDaemonConfig]: NonNullable<SyncDaemonConfig[Key]>
}>

/**
 * How long connections without traffic are kept, in seconds, 1 to 21,474,836, for the whole namespace. The
 * kernel itself refuses what exceeds (2^31-1)/HZ, 8,589,934 on Debian.
 */
export interface Timeouts {
  /** Established TCP connections. Kernel's default 900. `IPVS_CMD_ATTR_TIMEOUT_TCP`, u32. */
  readonly tcp: number
  /** TCP connections after a FIN. Kernel's default 120. `IPVS_CMD_ATTR_TIMEOUT_TCP_FIN`, u32. */
  readonly tcpFin: number
  /** UDP. Kernel's default 300. `IPVS_CMD_ATTR_TIMEOUT_UDP`, u32. */
  readonly udp: number
}

/** Timeouts that hold until they are taken back. */
export interface TimeoutOverride extends AsyncDisposable {
  /** All three, as they were before. */
  readonly before: Timeouts
  /**
   * Puts back those that were named, as they were. What somebody else set meanwhile stays, and is
   * answered under `left`. A second call does nothing.
   */
  undo(options?: CallOptions): Promise<{ readonly left: readonly (keyof Timeouts)[] }>
}

/** Timeouts for as long as a program runs. */
export interface TimeoutOverriding {
  /**
   * Sets timeouts as {@link Ipvs.setTimeouts} does and remembers those before, so that a program
   * can put them back when it ends: `await using held = await ipvs.overrideTimeouts({ tcp: 7200 })`
   * (Node 24 or TypeScript), or `await held.undo()`.
   * The kernel has one value for each in a namespace, so this is for the one program that owns them.
   * Rejects as {@link Ipvs.setTimeouts}; when the kernel may have made the change, it is put back first.
   */
  overrideTimeouts(timeouts: Partial<Timeouts>, options?: CallOptions): Promise<TimeoutOverride>
}
