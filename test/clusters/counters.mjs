// @ts-check
import { setTimeout as sleep } from 'node:timers/promises'

/** The kernel adds up its counters every 2 seconds. */
const refreshed = 2500

/** @param {readonly import('ipvs-netlink').VirtualServerState[]} table */
const connections = (table) => table.reduce((sum, { stats }) => sum + stats.connections, 0)

/**
 * The table once its counters include everything that has happened: all the connections there were,
 * and no packet that is still to be counted.
 *
 * @param {import('ipvs-netlink').Ipvs} ipvs
 * @param {number} expected connections since the services were added
 * @param {number} [timeout] milliseconds; then the table is answered as it is
 */
export async function settledSnapshot(ipvs, expected, timeout = 10_000) {
  const deadline = Date.now() + timeout
  let table = await ipvs.snapshot()
  let unchangedSince = Date.now()
  while (Date.now() < deadline) {
    const isLong = Date.now() - unchangedSince >= refreshed
    await sleep(200)
    const next = await ipvs.snapshot()
    const isSame = JSON.stringify(totals(next)) === JSON.stringify(totals(table))
    // Looked at after the time, as a machine may be halted for it.
    if (isSame && connections(table) >= expected && isLong) break
    if (!isSame) unchangedSince = Date.now()
    table = next
  }
  return table
}

/**
 * Without the rates, which go on sinking when nothing happens.
 *
 * @param {readonly import('ipvs-netlink').VirtualServerState[]} table
 */
const totals = (table) =>
  table.map(({ stats }) => [
    stats.connections,
    stats.packetsIn,
    stats.packetsOut,
    stats.bytesIn,
    stats.bytesOut,
  ])
