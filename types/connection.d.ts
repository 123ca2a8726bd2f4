// Entries of the connection table.

import type { DestinationKey } from './destination.js'
import type { Destination } from './observed.js'
import type { AddressServiceKey } from './service.js'
import type { CallOptions } from './ipvs.js'

/** An address with a port. */
export interface Endpoint {
  /** Numeric, in canonical form (RFC 5952). */
  readonly address: string
  /** 0 to 65535. */
  readonly port: number
}

/** One entry of the connection table, as `/proc/net/ip_vs_conn` shows it. */
export interface ConnectionEntry {
  /** `tcp`, `udp`, `sctp`; `ip` for the template of a fwmark service; other names as the kernel has them. */
  readonly protocol: string
  /** The client. Of a template: its network, and port 0. */
  readonly client: Endpoint
  /** What the client connected to. Of a fwmark service's template: the mark as an address. */
  readonly virtual: Endpoint
  /** The real server. */
  readonly destination: Endpoint
  /**
   * The kernel's name of the state: for tcp `ESTABLISHED`, `SYN_SENT`, `SYN_RECV`, `FIN_WAIT`,
   * `TIME_WAIT`, `CLOSE`, `CLOSE_WAIT`, `LAST_ACK`, `LISTEN`, `SYNACK`, `NONE`; for udp `UDP`; for
   * sctp such as `ESTABLISHED`, `INIT`, `CLOSED`; for templates `NONE`, `ASSURED`.
   */
  readonly state: string
  /** Seconds until the entry goes if nothing arrives, from 0 on. */
  readonly expires: number
  /** Whether it stands for a client's persistence, not for a connection. */
  readonly template: boolean
  /** What a persistence engine keeps with it, such as a SIP Call-ID. */
  readonly persistence?: {
    /** See {@link PersistenceTerms.engine}. */
    readonly engine: string
    /** What it goes by, of sip the Call-ID; up to 255 characters. */
    readonly data: string
  }
}

/** Which entries are wanted; all of them when empty. */
export interface ConnectionFilter extends CallOptions {
  /** Only those of this service. The kernel does not say which belong to a fwmark service. */
  readonly service?: AddressServiceKey | undefined
  /** Only those to this destination; on any port when it has none. */
  readonly destination?: DestinationKey | Destination<number | bigint> | undefined
  /** Only those in this state or one of these, in capital letters or small ones. */
  readonly state?: string | readonly string[] | undefined
}
