// The whole table as flat columns, for exporters that read many entries often.

import type { CallOptions } from './ipvs.js'

/** The last argument of {@link Ipvs.columns}. */
export interface ColumnOptions extends CallOptions {
  /** Totals as `BigUint64Array` instead of `Float64Array`. Default `false`. */
  readonly bigint?: boolean | undefined
}

/** {@link ColumnOptions} that ask for `bigint`. */
export interface BigIntColumnOptions extends ColumnOptions {
  /** Totals as `BigUint64Array`. */
  readonly bigint: true
}

/** Addresses one after the other; `addressAt` of the package makes texts of them. */
export interface AddressColumns {
  /** `AF_INET` (2) or `AF_INET6` (10) of each entry. */
  readonly family: Uint8Array
  /** 16 bytes for each entry in network order, an IPv4 address in the first four. */
  readonly address: Uint8Array
}

/** The counters and rates of each entry; see {@link Stats} for what they mean. */
export interface StatsColumns<Totals extends Float64Array | BigUint64Array = Float64Array> {
  /** See {@link Stats.connections}. */
  readonly connections: Totals
  /** See {@link Stats.packetsIn}. */
  readonly packetsIn: Totals
  /** See {@link Stats.packetsOut}. */
  readonly packetsOut: Totals
  /** See {@link Stats.bytesIn}. */
  readonly bytesIn: Totals
  /** See {@link Stats.bytesOut}. */
  readonly bytesOut: Totals
  /** See {@link Stats.connectionsPerSecond}. */
  readonly connectionsPerSecond: Float64Array
  /** See {@link Stats.packetsInPerSecond}. */
  readonly packetsInPerSecond: Float64Array
  /** See {@link Stats.packetsOutPerSecond}. */
  readonly packetsOutPerSecond: Float64Array
  /** See {@link Stats.bytesInPerSecond}. */
  readonly bytesInPerSecond: Float64Array
  /** See {@link Stats.bytesOutPerSecond}. */
  readonly bytesOutPerSecond: Float64Array
}

/** One element for each virtual service, in the kernel's order. */
export interface ServiceColumns<
  Totals extends Float64Array | BigUint64Array = Float64Array,
> extends AddressColumns {
  /** How many services there are. */
  readonly count: number
  /** The number of the protocol: 6 tcp, 17 udp, 132 sctp; 0 for a fwmark service. */
  readonly protocol: Uint16Array
  /** In host order; 0 for every port, and for a fwmark service. */
  readonly port: Uint16Array
  /** The firewall mark; 0 for an address service. */
  readonly fwmark: Uint32Array
  /**
   * Where the destinations of each service begin among {@link DestinationColumns}, and as one more
   * element where those of the last one end.
   */
  readonly firstDestination: Uint32Array
  /** Counters and rates. */
  readonly stats: StatsColumns<Totals>
}

/** One element for each destination, those of one service together. */
export interface DestinationColumns<
  Totals extends Float64Array | BigUint64Array = Float64Array,
> extends AddressColumns {
  /** How many destinations there are. */
  readonly count: number
  /** The place of its service among {@link ServiceColumns}. */
  readonly service: Uint32Array
  /** In host order. */
  readonly port: Uint16Array
  /** `IP_VS_CONN_F_*`: 0 nat, 1 local, 2 tun, 3 dr, 4 bypass. */
  readonly forwarding: Uint8Array
  /** See {@link Destination.weight}. */
  readonly weight: Uint32Array
  /** See {@link Destination.activeConnections}. */
  readonly activeConnections: Uint32Array
  /** See {@link Destination.inactiveConnections}. */
  readonly inactiveConnections: Uint32Array
  /** See {@link Destination.persistentConnections}. */
  readonly persistentConnections: Uint32Array
  /** Counters and rates. */
  readonly stats: StatsColumns<Totals>
}

/** The table as {@link Ipvs.columns} reads it. The arrays are the caller's, never used again. */
export interface TableColumns<Totals extends Float64Array | BigUint64Array = Float64Array> {
  /** The virtual services. */
  readonly services: ServiceColumns<Totals>
  /** Their destinations. */
  readonly destinations: DestinationColumns<Totals>
}
