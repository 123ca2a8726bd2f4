// What the addon read, as lists. Long ones are made in several turns of the event loop.

import { Memory } from './memory.js'
import { Reader } from './reader.js'
import type { Total } from './reader.js'
import { recordFormat } from './records.js'
import { inTurns } from './turns.js'
import type { SnapshotReply } from '../types/addon.js'
import type { Destination, Info, Service, VirtualServerState } from '../types/observed.js'

const listOf = async <Entry>(count: number, make: (index: number) => Entry): Promise<Entry[]> => {
  const list = new Array<Entry>(count)
  await inTurns(count, (index) => (list[index] = make(index)))
  return list
}

export const servicesFrom = async (
  records: ArrayBuffer,
  bigint: boolean,
): Promise<Service<Total>[]> => {
  const reader = new Reader(records, bigint)
  return listOf(reader.services, (index) => reader.service(index))
}

export const destinationsFrom = async (
  records: ArrayBuffer,
  serviceFamily: number,
  bigint: boolean,
): Promise<Destination<Total>[]> => {
  const reader = new Reader(records, bigint)
  return listOf(reader.destinations, (index) => reader.destination(index, serviceFamily))
}

export const snapshotFrom = async (
  reply: SnapshotReply,
  bigint: boolean,
): Promise<VirtualServerState<Total>[]> => {
  const counts = new Uint32Array(reply.counts)
  const services = new Reader(reply.services, bigint)
  const states = await listOf(counts.length, (index) => ({
    ...services.service(index),
    destinations: new Array<Destination<Total>>(counts[index] ?? 0),
  }))
  const destinations = new Reader(reply.destinations, bigint)
  let owner = -1
  let next = 0
  let end = 0
  let list: Destination<Total>[] = []
  let family = 0
  await inTurns(destinations.destinations, (index) => {
    while (next === end) {
      list = states[++owner]?.destinations ?? []
      family = services.serviceFamily(owner)
      next = 0
      end = owner < states.length ? list.length : Infinity
    }
    list[next++] = destinations.destination(index, family)
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
