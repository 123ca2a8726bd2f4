// What the addon read, as lists. Long ones are made in several turns of the event loop.

import { Memory } from './memory.js'
import { Reader } from './reader.js'
import type { Total } from './reader.js'
import { recordFormat } from './records.js'
import { inTurns } from './turns.js'
import type { SnapshotReply } from '../types/addon.js'
import type { Destination, Info, Service, VirtualServerState } from '../types/observed.js'

export const servicesFrom = async (
  records: ArrayBuffer,
  bigint: boolean,
): Promise<Service<Total>[]> => {
  const reader = new Reader(records, bigint)
  const list = new Array<Service<Total>>(reader.services)
  await inTurns(list.length, (from, end) => {
    for (let index = from; index < end; ++index) list[index] = reader.service(index)
  })
  return list
}

export const destinationsFrom = async (
  records: ArrayBuffer,
  serviceFamily: number,
  bigint: boolean,
): Promise<Destination<Total>[]> => {
  const reader = new Reader(records, bigint)
  const list = new Array<Destination<Total>>(reader.destinations)
  await inTurns(list.length, (from, end) => {
    reader.fill(list, from, from, end - from, serviceFamily)
  })
  return list
}

export const snapshotFrom = async (
  reply: SnapshotReply,
  bigint: boolean,
): Promise<VirtualServerState<Total>[]> => {
  const counts = new Uint32Array(reply.counts)
  const services = new Reader(reply.services, bigint)
  const states = new Array<VirtualServerState<Total>>(counts.length)
  await inTurns(states.length, (from, end) => {
    for (let index = from; index < end; ++index) {
      // Of what a literal spreads and adds to, Node 20 makes a hidden class for each object: 4,500 instructions.
      const state: Service<Total> & { destinations?: Destination<Total>[] } =
        services.service(index)
      state.destinations = new Array<Destination<Total>>(counts[index] ?? 0)
      states[index] = state as VirtualServerState<Total>
    }
  })
  const destinations = new Reader(reply.destinations, bigint)
  let owner = -1
  let list: Destination<Total>[] = []
  let filled = 0
  await inTurns(destinations.destinations, (from, end) => {
    for (let index = from; index < end;) {
      for (; filled === list.length; filled = 0) {
        // The counts are the addon's own, so there is a next one.
        list = states[++owner]?.destinations as Destination<Total>[]
      }
      const count = Math.min(end - index, list.length - filled)
      destinations.fill(list, filled, index, count, services.serviceFamily(owner))
      filled += count
      index += count
    }
  })
  return states
}

export const infoFrom = (records: ArrayBuffer): Info => {
  const { version, connectionTableSize } = recordFormat().info.read(new Memory(records), 0)
  return {
    version: [version >>> 16, (version >>> 8) & 0xff, version & 0xff].join('.'),
    connectionTableSize,
  }
}
