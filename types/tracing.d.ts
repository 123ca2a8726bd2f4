// What is told of each request on the diagnostics channel `ipvs-netlink:request`.

/**
 * One request to the kernel that has ended, as `node:diagnostics_channel` tells it on the channel
 * `ipvs-netlink:request`. Calls that travel together are one request.
 */
export interface RequestTrace {
  /**
   * The kernel's command without its prefix, such as `'NEW_DEST'`; `'mixed'` for changes of several
   * kinds, `'proc'` for what is read from `/proc/net`. A snapshot is `'GET_SERVICE'`.
   */
  readonly command: string
  /** How many changes the request carried; 1 for one that reads. */
  readonly count: number
  /** Bytes of records sent and received, as the addon takes and gives them; not those on the wire. */
  readonly bytes: number
  /** When it was handed to a worker thread, on the clock of `performance.now()`, in milliseconds. */
  readonly start: number
  /** From then until its answer was there, in milliseconds. */
  readonly duration: number
  /**
   * `ok` when everything succeeded; `refused` when the kernel refused something; `unknown` when a change
   * may have been made, as its reply was lost, whatever became of the others; `failed` when something
   * else was not answered, or could not be asked.
   */
  readonly outcome: 'ok' | 'refused' | 'unknown' | 'failed'
  /** How many of `count` did not succeed. */
  readonly failures: number
}
