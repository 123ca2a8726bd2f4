// Options of the collector of `ipvs-netlink/prometheus`.

import type { OpenMetricsContentType, Registry } from 'prom-client'

import type { Ipvs } from './ipvs.js'

/** A label of a service's series. */
export type ServiceLabel =
  /** The service's address; empty for a fwmark service. */
  | 'local_address'
  /** The service's port; `0` for a fwmark service. */
  | 'local_port'
  /** `TCP`, `UDP`, `SCTP`, or `FWM` for a fwmark service. */
  | 'proto'
  /** The mark as 8 hexadecimal digits; empty for other services. */
  | 'local_mark'
  /** `ipv4` or `ipv6`, the service's. Not one of node_exporter's, and left out by default. */
  | 'family'

/** A label of a destination's series. */
export type BackendLabel =
  | ServiceLabel
  /** The real server's address. */
  | 'remote_address'
  /** The real server's port. */
  | 'remote_port'

/** What an `IpvsCollector` shows, and where. */
export interface IpvsCollectorOptions {
  /** The table to read. Default: the process's own, `ipvs`. It stays the caller's to close. */
  readonly ipvs?: Ipvs | undefined
  /** Where the metrics are registered. Default: prom-client's `register`; none with `[]`. */
  readonly registers?: readonly (Registry | Registry<OpenMetricsContentType>)[] | undefined
  /** What every name begins with. Default `'node_ipvs_'`, as node_exporter's. */
  readonly prefix?: string | undefined
  /**
   * Labels of the series of destinations. Those whose labels are equal are added up, so fewer
   * labels are fewer series; `[]` is one series for all. Default: node_exporter's six.
   */
  readonly backendLabels?: readonly BackendLabel[] | undefined
  /** The same for the series of services. Default: node_exporter's four of a service. */
  readonly serviceLabels?: readonly ServiceLabel[] | undefined
  /**
   * Whether destinations have counters of packets and bytes too, and not only what node_exporter has:
   * active and inactive connections and weight. Default `true`.
   */
  readonly backendCounters?: boolean | undefined
  /**
   * Hears why the table could not be read. The scrape goes on without its series, and the gauge `up`
   * is 0.
   */
  readonly onError?: ((error: unknown) => void) | undefined
}
