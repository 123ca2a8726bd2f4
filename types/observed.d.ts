// What is read back from the kernel.

import type { Forwarding, Tunnel } from './destination.js'
import type { Family, Persistence, Protocol, SchedulerFlag } from './service.js'

/**
 * Counters and rates of a service or a destination.
 *
 * The kernel refreshes them every 2 seconds, so they are 0 to 2 seconds old; with the sysctl
 * `net.ipv4.vs.run_estimation` at 0 they stand still. Totals count since the entry was created or
 * last zeroed; as `number` they are exact to 2^53, as `bigint` (option `{ bigint: true }`) always.
 *
 * Kernel: the nest `IPVS_SVC_ATTR_STATS64` or `IPVS_DEST_ATTR_STATS64`, all of it u64. Kernels before 4.1
 * have only the nest `IPVS_SVC_ATTR_STATS` or `IPVS_DEST_ATTR_STATS`, where all but the bytes is u32 and
 * begins again at 0 after 2^32-1. Of the namespace: `/proc/net/ip_vs_stats`.
 */
export interface Stats<Total extends number | bigint = number> {
  /** Connections scheduled. `IPVS_STATS_ATTR_CONNS`, u64. */
  readonly connections: Total
  /** Packets from clients. `IPVS_STATS_ATTR_INPKTS`, u64. */
  readonly packetsIn: Total
  /** Packets to clients; stays 0 where replies bypass the director (`dr`, `tun`). `IPVS_STATS_ATTR_OUTPKTS`, u64. */
  readonly packetsOut: Total
  /** Bytes from clients. `IPVS_STATS_ATTR_INBYTES`, u64. */
  readonly bytesIn: Total
  /** Bytes to clients. `IPVS_STATS_ATTR_OUTBYTES`, u64. */
  readonly bytesOut: Total
  /** Connections scheduled a second. `IPVS_STATS_ATTR_CPS`, u64. */
  readonly connectionsPerSecond: number
  /** Packets from clients a second. `IPVS_STATS_ATTR_INPPS`, u64. */
  readonly packetsInPerSecond: number
  /** Packets to clients a second. `IPVS_STATS_ATTR_OUTPPS`, u64. */
  readonly packetsOutPerSecond: number
  /** Bytes (not bits) from clients a second. `IPVS_STATS_ATTR_INBPS`, u64. */
  readonly bytesInPerSecond: number
  /** Bytes (not bits) to clients a second. `IPVS_STATS_ATTR_OUTBPS`, u64. */
  readonly bytesOutPerSecond: number
}

/** The identity of a service that was read. See {@link AddressServiceKey}. */
export interface ObservedAddressKey {
  /** See {@link AddressServiceKey.protocol}. Another program's is its number, such as `'47'`. */
  readonly protocol: Protocol
  /** See {@link AddressServiceKey.address}; in canonical form (RFC 5952). */
  readonly address: string
  /** See {@link AddressServiceKey.port}. */
  readonly port: number
}

/** The identity of a fwmark service that was read. See {@link FwmarkServiceKey}. */
export interface ObservedFwmarkKey {
  /** See {@link FwmarkServiceKey.fwmark}. */
  readonly fwmark: number
  /** See {@link FwmarkServiceKey.family}. */
  readonly family: Family
}

/** The settings of a service that was read, every default filled in. */
export interface ObservedServiceSettings<Total extends number | bigint = number> {
  /** See {@link Scheduler}. */
  readonly scheduler: string
  /** See {@link SchedulerFlag}; with the scheduler's own names where it has any. */
  readonly schedulerFlags: readonly SchedulerFlag[]
  /** See {@link ServiceSettings.onePacket}. */
  readonly onePacket: boolean
  /** See {@link Persistence}. Absent when the service is not persistent. */
  readonly persistence?: Persistence & {
    /** See {@link PersistenceTerms.timeout}. */
    readonly timeout: number
  }
  /** Observed; ignored when the service is written back. */
  readonly stats: Stats<Total>
}

/** A virtual service as the kernel has it, every default filled in. */
export type Service<Total extends number | bigint = number> = (
  ObservedAddressKey | ObservedFwmarkKey
) &
  ObservedServiceSettings<Total>

/** A destination as the kernel has it, every default filled in. */
export interface Destination<Total extends number | bigint = number> {
  /** See {@link DestinationKey.address}; in canonical form (RFC 5952). */
  readonly address: string
  /** See {@link DestinationKey.port}. */
  readonly port: number
  /** Observed: the family of {@link address}. */
  readonly family: Family
  /**
   * Beside the settable ones, the kernel knows `local` (`IP_VS_CONN_F_LOCALNODE` 1) and `bypass`
   * (`IP_VS_CONN_F_BYPASS` 4); those are refused when written.
   */
  readonly forwarding: Forwarding | 'local' | 'bypass'
  /** See {@link DestinationLimits.weight}. */
  readonly weight: number
  /** See {@link DestinationLimits.upperThreshold}. */
  readonly upperThreshold: number
  /** See {@link DestinationLimits.lowerThreshold}. */
  readonly lowerThreshold: number
  /** See {@link Tunnel}. Present with `tun` forwarding only. */
  readonly tunnel?: Tunnel
  /** Observed: connections in an active state. `IPVS_DEST_ATTR_ACTIVE_CONNS`, u32. */
  readonly activeConnections: number
  /** Observed: connections in any other state. `IPVS_DEST_ATTR_INACT_CONNS`, u32. */
  readonly inactiveConnections: number
  /** Observed: clients held by persistence. `IPVS_DEST_ATTR_PERSIST_CONNS`, u32. */
  readonly persistentConnections: number
  /** Observed; ignored when the destination is written back. */
  readonly stats: Stats<Total>
}

/** A virtual service with its destinations, as {@link Ipvs.snapshot} reads it. */
export type VirtualServerState<Total extends number | bigint = number> = Service<Total> & {
  /** In the kernel's order, the newest first. Not added with the service when it is written back. */
  readonly destinations: readonly Destination<Total>[]
}

/** What the kernel says of itself. */
export interface Info {
  /** Version of IPVS, such as `'1.2.1'`. `IPVS_INFO_ATTR_VERSION`, u32. */
  readonly version: string
  /**
   * Buckets of the connection table. From 7.2 on 0 until the first service is created, and resized
   * by the kernel later. `IPVS_INFO_ATTR_CONN_TAB_SIZE`, u32.
   */
  readonly connectionTableSize: number
}
