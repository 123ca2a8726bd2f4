// What the addon makes of a table as columns, made of the fake's.

import type { Counters, FakeDestination, FakeService } from './fake-kernel.js'
import type { ColumnsReply } from '../types/addon.js'
import type { StatsColumns } from '../types/columns.js'

type Totals = Float64Array | BigUint64Array

const statsOf = (counters: readonly Counters[], bigint: boolean): StatsColumns<Totals> => {
  const total = (name: keyof Counters): Totals => {
    const values = counters.map((each) => BigInt(each[name]))
    return bigint ? BigUint64Array.from(values) : Float64Array.from(values, Number)
  }
  const rate = (name: keyof Counters): Float64Array =>
    Float64Array.from(counters, (each) => Number(each[name]))
  return {
    connections: total('connections'),
    packetsIn: total('packetsIn'),
    packetsOut: total('packetsOut'),
    bytesIn: total('bytesIn'),
    bytesOut: total('bytesOut'),
    connectionsPerSecond: rate('connectionsPerSecond'),
    packetsInPerSecond: rate('packetsInPerSecond'),
    packetsOutPerSecond: rate('packetsOutPerSecond'),
    bytesInPerSecond: rate('bytesInPerSecond'),
    bytesOutPerSecond: rate('bytesOutPerSecond'),
  }
}

const addressesOf = (addresses: readonly (Uint8Array | undefined)[]): Uint8Array => {
  const all = new Uint8Array(16 * addresses.length)
  addresses.forEach((address, index) => {
    if (address) all.set(address, 16 * index)
  })
  return all
}

const startsOf = (lists: readonly (readonly FakeDestination[])[]): Uint32Array => {
  const starts = new Uint32Array(lists.length + 1)
  lists.forEach(({ length }, index) => (starts[index + 1] = (starts[index] ?? 0) + length))
  return starts
}

/** `lists` has the destinations of each service, in the order of their services. */
export const fakeColumns = (
  services: readonly FakeService[],
  lists: readonly (readonly FakeDestination[])[],
  bigint: boolean,
): ColumnsReply['columns'] => {
  const keys = services.map(({ fields }) => fields)
  const destinations = lists.flat()
  const fields = destinations.map((each) => each.fields)
  const observed = destinations.map((each) => each.observed)
  const counters = (entries: readonly { readonly counters: Counters }[]): StatsColumns<Totals> =>
    statsOf(
      entries.map((each) => each.counters),
      bigint,
    )
  return {
    services: {
      count: keys.length,
      family: Uint8Array.from(keys, ({ family }) => family),
      address: addressesOf(keys.map(({ address }) => address)),
      protocol: Uint16Array.from(keys, ({ protocol = 0 }) => protocol),
      port: Uint16Array.from(keys, ({ port = 0 }) => port),
      fwmark: Uint32Array.from(keys, ({ fwmark = 0 }) => fwmark),
      firstDestination: startsOf(lists),
      stats: counters(services),
    },
    destinations: {
      count: fields.length,
      service: Uint32Array.from(lists.flatMap((list, owner) => list.map(() => owner))),
      family: Uint8Array.from(fields, ({ family = 0 }) => family),
      address: addressesOf(fields.map(({ address }) => address)),
      port: Uint16Array.from(fields, ({ port }) => port),
      forwarding: Uint8Array.from(fields, ({ forwarding = 0 }) => forwarding),
      weight: Uint32Array.from(fields, ({ weight = 0 }) => weight),
      activeConnections: Uint32Array.from(observed, (each) => each.activeConnections),
      inactiveConnections: Uint32Array.from(observed, (each) => each.inactiveConnections),
      persistentConnections: Uint32Array.from(observed, (each) => each.persistentConnections),
      stats: counters(destinations),
    },
  }
}
