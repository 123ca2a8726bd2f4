// What the kernel shows as text only, as it shows it: /proc/net/ip_vs_stats and ip_vs_conn.

import { parseAddress } from './address.js'
import type { Counters } from './fake-kernel.js'
import type { ConnectionEntry, Endpoint } from '../types/connection.js'

const hex = (value: number | bigint, width = 0): string =>
  value.toString(16).toUpperCase().padStart(width, '0')

/** Two lines of totals, then two of rates. */
export const totalsText = (counters: Counters): string => {
  const values = Object.values(counters as unknown as Record<string, bigint | number>)
  const line = (numbers: readonly (bigint | number)[]): string =>
    ` ${numbers.map((each) => hex(each)).join(' ')}\n`
  return `Total\nConns\n${line(values.slice(0, 5))}\nRates\n${line(values.slice(5))}`
}

/** IPv4 as 8 digits, IPv6 as text. */
const addressText = (text: string): string => {
  const address = parseAddress(text)
  return address?.family === 'ipv4'
    ? Buffer.from(address.bytes.subarray(0, 4)).toString('hex').toUpperCase()
    : text
}

const endpointText = ({ address, port }: Endpoint): string =>
  `${addressText(address)} ${hex(port, 4)}`

const entryText = (entry: ConnectionEntry): string =>
  [
    entry.protocol.toUpperCase(),
    endpointText(entry.client),
    endpointText(entry.virtual),
    endpointText(entry.destination),
    entry.state,
    entry.expires,
    ...(entry.persistence ? [entry.persistence.engine, entry.persistence.data] : []),
  ].join(' ')

export const connectionsText = (entries: readonly ConnectionEntry[]): string =>
  entries.map((entry) => `${entryText(entry)}\n`).join('')
