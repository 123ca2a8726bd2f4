// What changes in the table.

import type { BigIntReadOptions, SnapshotOptions } from './ipvs.js'
import type { Destination, Service } from './observed.js'
import type { ServiceKey } from './service.js'

/** The argument of {@link Watching.watch}. */
export interface WatchOptions extends SnapshotOptions {
  /** Milliseconds between looks, 1 to 2^31-1. Default 1000. The kernel counts every 2000. */
  readonly interval?: number | undefined
  /** Whether to report counters. Default `true`; with `false` only differences are yielded. */
  readonly stats?: boolean | undefined
}

/** A service that came or went. */
export interface WatchedService<Total extends number | bigint = number> {
  /** As it is now; of one that went, as it was. */
  readonly service: Service<Total>
  /** It is the service itself that is meant. */
  readonly destination?: undefined
}

/** A destination that came or went, also together with its service. */
export interface WatchedDestination<Total extends number | bigint = number> {
  /** Its service. */
  readonly service: ServiceKey
  /** As it is now; of one that went, as it was. */
  readonly destination: Destination<Total>
}

/** A service whose settings changed. */
export interface ChangedService<
  Total extends number | bigint = number,
> extends WatchedService<Total> {
  /** As it was at the last look. */
  readonly before: Service<Total>
  /** The names of the settings that differ, such as `scheduler`. */
  readonly properties: readonly string[]
}

/** A destination whose settings changed. */
export interface ChangedDestination<
  Total extends number | bigint = number,
> extends WatchedDestination<Total> {
  /** As it was at the last look. */
  readonly before: Destination<Total>
  /** The names of the settings that differ, such as `weight`. */
  readonly properties: readonly string[]
}

/** By how much the totals of {@link Stats} grew. */
export interface CounterDeltas<Total extends number | bigint = number> {
  /** See {@link Stats.connections}. */
  readonly connections: Total
  /** See {@link Stats.packetsIn}. */
  readonly packetsIn: Total
  /** See {@link Stats.packetsOut}. */
  readonly packetsOut: Total
  /** See {@link Stats.bytesIn}. */
  readonly bytesIn: Total
  /** See {@link Stats.bytesOut}. */
  readonly bytesOut: Total
}

/** The counters of a service or a destination that moved. */
export type CounterChange<Total extends number | bigint = number> = (
  WatchedService<Total> | WatchedDestination<Total>
) & {
  /** What was counted since the last look. Never negative: since the reset, if there was one. */
  readonly delta: CounterDeltas<Total>
  /**
   * Whether a total is smaller than at the last look: it was zeroed, or deleted and added again. One
   * that has overtaken its old value within the interval cannot be told from one that went on counting.
   */
  readonly reset: boolean
}

/** What {@link Watching.watch} yields: the difference between two looks at the table. */
export interface TableChange<Total extends number | bigint = number> {
  /** When it was looked at, in milliseconds since 1970, as `Date.now()` has it. */
  readonly at: number
  /** Milliseconds since the last look; 0 at the first. What the deltas are divided by for a rate. */
  readonly elapsed: number
  /** What is there now and was not. At the first look: the whole table. */
  readonly added: readonly (WatchedService<Total> | WatchedDestination<Total>)[]
  /** What was there and is not now. */
  readonly removed: readonly (WatchedService<Total> | WatchedDestination<Total>)[]
  /** What has other settings than it had. Connections and counters are no settings. */
  readonly changed: readonly (ChangedService<Total> | ChangedDestination<Total>)[]
  /** Whose counters moved since the last look, of those that were there. */
  readonly stats: readonly CounterChange<Total>[]
}

/** What {@link Ipvs} has for seeing changes. */
export interface Watching {
  /**
   * Yields what changed in the table since the last look, first the whole table as added. IPVS tells
   * nobody of changes, so this looks again and again: one {@link Ipvs.snapshot} for each look, and none
   * while nobody waits for the next change. A slow consumer therefore skips looks, gets the sum of what
   * they would have shown, and costs no more memory; what came and went between two looks is not seen.
   *
   * It yields at every look, or, with `{ stats: false }`, only if something differs. It ends with an
   * `AbortError` when `signal` is aborted and with `ERR_IPVS_CLOSED` when the handle is closed, both at
   * once, with any error of {@link Ipvs.snapshot}, and when the loop is left. It keeps the process alive only while the next change is waited for. Snapshots of a
   * table with more than 90 services, or destinations in one service, can miss an entry while others
   * are deleted, which then shows up as removed and as added at the next look, unless they are
   * `consistent`.
   */
  watch(options: WatchOptions & BigIntReadOptions): AsyncIterable<TableChange<bigint>>
  /** The same, with totals as numbers. */
  watch(options?: WatchOptions): AsyncIterable<TableChange>
}
