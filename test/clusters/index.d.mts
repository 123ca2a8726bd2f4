// The handbook's two clusters, built from network namespaces: machines, cables, addresses of their
// own, routes and web servers. What makes clusters of them is left to the library.

import type { Ipvs, VirtualServerState } from 'ipvs-netlink'

export type Family = 'ipv4' | 'ipv6'

export interface InterfaceCounters {
  readonly packetsIn: number
  readonly packetsOut: number
  readonly bytesIn: number
  readonly bytesOut: number
}

/** A network namespace. */
export interface Machine {
  readonly id: string
  /** For people: `director`, `real server 1`. */
  readonly name: string
  /** The path, as `openIpvs` and `openHost` take it. */
  readonly netns: string
  /** Of its eth0. */
  readonly address: string
  /** Runs a program there and answers its standard output; rejects when it fails. */
  run(
    program: string,
    args: readonly string[],
    options?: { input?: string; timeout?: number; mayFail?: boolean },
  ): Promise<string>
  /** Starts a program there that runs until it is stopped; `failed` rejects when it ends. */
  start(
    program: string,
    args: readonly string[],
  ): {
    readonly pid: number | undefined
    readonly failed: Promise<never>
    readonly stop: () => Promise<void>
  }
  /** What has crossed an interface since it was made. */
  counters(device: string): Promise<InterfaceCounters>
  /** The hardware address at which the machine believes an address to be. */
  neighbour(address: string, device: string): Promise<string | undefined>
  forgetNeighbours(): Promise<void>
}

export interface Cluster {
  readonly family: Family
  readonly vip: string
  readonly client: Machine
  /** In the NAT cluster eth0 inside and eth1 outside; in the DR cluster eth0 only. Without VIP. */
  readonly director: Machine
  /** Three, each with eth0 and a page of its own on port 80. */
  readonly realServers: readonly Machine[]
  /**
   * Requests the VIP's page from the client, one request after the other, each over a new
   * connection. Answers the number (1 to 3) of the real server that answered each; `undefined`
   * where none did within `timeout` milliseconds (default 5000).
   */
  get(count: number, options?: { timeout?: number }): Promise<(number | undefined)[]>
  /** Adds something to be done by {@link close}, before everything that was there earlier. */
  defer(closer: () => Promise<void>): void
  /** Ends the web servers and deletes the namespaces. */
  close(): Promise<void>
}

export interface DrCluster extends Cluster {
  /** Stands between the client (eth1) and the switch (eth0), where it asks for the VIP. */
  readonly router: Machine
  /** The machine to which the router sends what is for the VIP, by its neighbour table. */
  vipHolder(): Promise<Machine | undefined>
  /** IPv4: all machines that answer when the router asks for the VIP, the quickest first. */
  vipClaimants(): Promise<Machine[]>
}

export declare function buildNat(options?: { family?: Family }): Promise<Cluster>
export declare function buildDr(options?: { family?: Family }): Promise<DrCluster>

/**
 * The table once its counters, which the kernel adds up every 2 seconds, include everything that
 * has happened. `expected`: connections since the services were added.
 */
export declare function settledSnapshot(
  ipvs: Ipvs,
  expected: number,
  timeout?: number,
): Promise<VirtualServerState[]>

/** Bytes of each page. */
export declare const pageSize: number
