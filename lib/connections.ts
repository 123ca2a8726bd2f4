// The connection table and the namespace's totals, which the kernel shows as text only.

import { formatAddress, parseAddress } from './address.js'
import { errorFor, IpvsError } from './errors.js'
import { destinationNames } from './destination.js'
import { keyOfFields, takeServiceKey } from './service.js'
import {
  takeInteger,
  takeList,
  takeNumericAddress,
  takeObject,
  wrongType,
  wrongValue,
} from './validate.js'
import type { Connection, Failure, RecordsReply, TableCursor } from '../types/addon.js'
import type { ConnectionEntry, Endpoint } from '../types/connection.js'
import type { Stats } from '../types/observed.js'

const request = {
  command: 'proc',
  what: () => 'read the connection table',
  changes: false,
} as const

/** IPv4 as 8 hex digits, IPv6 as text. */
const addressOf = (text: string): string => {
  if (/^[0-9A-F]{8}$/i.test(text)) return formatAddress('ipv4', Buffer.from(text, 'hex'))
  const address = parseAddress(text)
  return address ? formatAddress(address.family, address.bytes) : text
}

const endpoint = (address = '', port = ''): Endpoint => ({
  address: addressOf(address),
  port: Number.parseInt(port, 16),
})

// Protocol, three endpoints, state, expiry; then a persistence engine's name and data, which may
// hold anything.
const row =
  /^(\S+) +(\S+) ([0-9A-F]{4}) (\S+) ([0-9A-F]{4}) (\S+) ([0-9A-F]{4}) (\S+) +(\d+)(?: (\S+) (.*)| *)$/

/** Undefined for the header and for what is no entry. */
export const parseConnection = (line: string): ConnectionEntry | undefined => {
  const match = row.exec(line)
  if (!match) return undefined
  const [, protocol = '', client, clientPort, virtual, virtualPort, real, realPort] = match
  const [, , , , , , , , state = '', expires, engine, data = ''] = match
  return {
    protocol: protocol.toLowerCase(),
    client: endpoint(client, clientPort),
    virtual: endpoint(virtual, virtualPort),
    destination: endpoint(real, realPort),
    state,
    expires: Number(expires),
    // No connection comes from port 0.
    template: clientPort === '0000',
    ...(engine !== undefined && { persistence: { engine, data } }),
  }
}

type Matches = (entry: ConnectionEntry) => boolean

const isAt = (each: Endpoint, address: string, port: number | undefined): boolean =>
  each.address === address && (port === undefined || each.port === port)

const takeService = (value: unknown, path: string): Matches => {
  const key = keyOfFields(takeServiceKey(value, path).fields)
  if (key.fwmark !== undefined) {
    throw wrongValue(path, 'an address service: the kernel does not say it of others', value)
  }
  // A service on port 0 has the connections of every port.
  const port = key.port === 0 ? undefined : key.port
  return (entry) => entry.protocol === key.protocol && isAt(entry.virtual, key.address, port)
}

const takeDestination = (value: unknown, path: string): Matches => {
  const properties = takeObject(value, path, destinationNames)
  const { family, bytes } = takeNumericAddress(properties['address'], `${path}.address`)
  const address = formatAddress(family, bytes)
  const { port } = properties
  const wanted = port === undefined ? undefined : takeInteger(port, `${path}.port`, 0, 65535)
  return (entry) => isAt(entry.destination, address, wanted)
}

const takeStates = (value: unknown, path: string): Matches => {
  const states = takeList(value, path, (state, each) => {
    if (typeof state !== 'string') throw wrongType(each, "a state such as 'ESTABLISHED'", state)
    if (state === '') throw wrongValue(each, "a state such as 'ESTABLISHED'", state)
    return state.toUpperCase()
  })
  return ({ state }) => states.includes(state)
}

/** Whether an entry is wanted. */
export const takeConnectionFilter = (value: unknown): Matches => {
  if (value === undefined) return () => true
  const path = 'filter'
  const properties = takeObject(value, path, ['service', 'destination', 'state', 'signal'])
  const { service, destination, state } = properties
  const tests: Matches[] = []
  if (service !== undefined) tests.push(takeService(service, `${path}.service`))
  if (destination !== undefined) tests.push(takeDestination(destination, `${path}.destination`))
  if (state !== undefined) tests.push(takeStates(state, `${path}.state`))
  return (entry) => tests.every((matches) => matches(entry))
}

/** Does something with the open handle. */
export type Run = <T>(work: (native: Connection) => Promise<T>) => Promise<T>

interface OpenTable {
  readonly native: Connection
  readonly table: TableCursor
}

const open = async (native: Connection): Promise<OpenTable> => {
  let { failure, table } = await native.openTable()
  if (failure) {
    // The file appears with the module, and asking by netlink loads it.
    await native.readInfo()
    ;({ failure, table } = await native.openTable())
  }
  if (failure) throw errorFor(failure, request)
  return { native, table }
}

const unless = (failure: Failure | undefined): void => {
  if (failure) throw errorFor(failure, request)
}

/** The table's lines. One piece of it is in memory at a time. */
async function* readLines(run: Run, signal: AbortSignal | undefined): AsyncGenerator<string> {
  const { native, table } = await run(async (handle) => {
    const opened = await open(handle)
    // Nobody waits for it any more.
    if (signal?.aborted === true) handle.closeTable(opened.table)
    return opened
  })
  let rest = ''
  try {
    for (;;) {
      const { failure, records }: RecordsReply = await run(() => native.readTable(table))
      unless(failure)
      if (records.byteLength === 0) break
      const lines = (rest + Buffer.from(records).toString('latin1')).split('\n')
      rest = lines.pop() ?? ''
      yield* lines
    }
  } finally {
    // Also when the handle was closed meanwhile; a read under way keeps the file until it ends.
    native.closeTable(table)
  }
}

export async function* readConnections(
  run: Run,
  matches: Matches,
  signal: AbortSignal | undefined,
): AsyncGenerator<ConnectionEntry> {
  for await (const line of readLines(run, signal)) {
    const entry = parseConnection(line)
    if (entry && matches(entry)) yield entry
  }
}

const totalNames = ['connections', 'packetsIn', 'packetsOut', 'bytesIn', 'bytesOut'] as const
const rateNames = [
  'connectionsPerSecond',
  'packetsInPerSecond',
  'packetsOutPerSecond',
  'bytesInPerSecond',
  'bytesOutPerSecond',
] as const

/** Two lines of five hexadecimal numbers each: totals and rates. */
export const totalsFrom = (records: ArrayBuffer, bigint: boolean): Stats<number | bigint> => {
  const rows = Buffer.from(records)
    .toString('latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words.length === 5 && words.every((word) => /^[0-9A-F]+$/i.test(word)))
  const [totals, rates] = rows
  if (!totals || !rates) {
    throw new IpvsError('Cannot read the totals: /proc/net/ip_vs_stats could not be understood', {
      code: 'ERR_IPVS_MALFORMED_REPLY',
      errno: 0,
      command: 'proc',
    })
  }
  const number = (word = '0'): bigint => BigInt(`0x${word}`)
  return Object.fromEntries([
    ...totalNames.map((name, index) => {
      const total = number(totals[index])
      return [name, bigint ? total : Number(total)]
    }),
    ...rateNames.map((name, index) => [name, Number(number(rates[index]))]),
  ]) as Stats<number | bigint>
}
