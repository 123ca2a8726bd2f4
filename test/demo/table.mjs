// @ts-check

/** @typedef {import('ipvs-netlink').VirtualServerState} VirtualServerState */
/** @typedef {VirtualServerState['stats']} Stats */

const heads = [
  'virtual server',
  'forwarding',
  'weight',
  'connections',
  'packets in',
  'packets out',
  'bytes out',
]

/** @param {string} address @param {number} port */
const endpoint = (address, port) => `${address.includes(':') ? `[${address}]` : address}:${port}`

/** @param {Stats} stats */
const counters = ({ connections, packetsIn, packetsOut, bytesOut }) =>
  [connections, packetsIn, packetsOut, bytesOut].map(String)

/** @param {VirtualServerState} service */
function rowsOf(service) {
  const name =
    'fwmark' in service
      ? `fwmark ${service.fwmark}`
      : `${service.protocol} ${endpoint(service.address, service.port)}`
  return [
    [`${name}  ${service.scheduler}`, '', '', ...counters(service.stats)],
    // The kernel lists the newest first.
    ...service.destinations
      .toReversed()
      .map(({ address, port, forwarding, weight, stats }, index, { length }) => [
        `${index === length - 1 ? '└' : '├'} ${endpoint(address, port)}`,
        ...[forwarding, String(weight), ...counters(stats)],
      ]),
  ]
}

/**
 * A virtual server table as text: names to the left, numbers to the right.
 *
 * @param {readonly VirtualServerState[]} table
 */
export function tableLines(table) {
  const rows = [heads, ...table.flatMap(rowsOf)]
  const widths = heads.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        return column < 2 ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd(),
  )
}
