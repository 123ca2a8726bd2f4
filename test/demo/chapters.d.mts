// The demo's two chapters and one about tunnels, which are tests as well: what a report checks is what must hold.

import type { Family } from '../clusters/index.mjs'

export interface Check {
  /** `NAT`, `DR` or `TUN`. */
  readonly chapter: string
  readonly what: string
  readonly holds: boolean
  readonly found: string
}

export declare class Report {
  /** `write` gets the text for people; without colour unless told otherwise. */
  constructor(options: { write: (text: string) => unknown; color?: boolean })
  /** In the order in which they were made. */
  readonly checks: Check[]
  /** Writes the result. Answers whether all that was checked holds. */
  verdict(): boolean
}

/** Builds the NAT cluster, configures it, sends requests through it, and takes it down. */
export declare function nat(report: Report, family: Family): Promise<void>

/** Likewise with the DR cluster, at first without what makes its real servers work. */
export declare function dr(report: Report, family: Family): Promise<void>

/** Likewise, with a tunnel of another kind to each real server: ipip, gre and gue. */
export declare function tun(report: Report, family: Family): Promise<void>
