// What the addon read, as objects.

import { describeDestination } from './destination.js'
import { Memory } from './memory.js'
import { bigintTotal, numberTotal, recordFormat } from './records.js'
import { describeService } from './service.js'
import type { SnapshotReply } from '../types/addon.js'
import type { Destination, Info, Service, VirtualServerState } from '../types/observed.js'

// The two instances of these functions differ only in how a total is read, so their results are
// described as the union of both and narrowed by the caller's overloads.
type Total = number | bigint

const readTotal = (bigint: boolean): ((memory: Memory, at: number) => Total) =>
  bigint ? bigintTotal : numberTotal

const serviceAt = (memory: Memory, at: number, bigint: boolean): Service<Total> => {
  const { service, serviceCounters } = recordFormat()
  return {
    ...describeService(service.read(memory, at)),
    stats: serviceCounters.read(memory, at, readTotal(bigint)),
  }
}

const destinationAt = (
  memory: Memory,
  at: number,
  serviceFamily: number,
  bigint: boolean,
): Destination<Total> => {
  const { destination, destinationCounters } = recordFormat()
  return {
    ...describeDestination(destination.read(memory, at), serviceFamily),
    stats: destinationCounters.read(memory, at, readTotal(bigint)),
  }
}

export const servicesFrom = (records: ArrayBuffer, bigint: boolean): Service<Total>[] => {
  const { size } = recordFormat().service
  const memory = new Memory(records)
  return Array.from({ length: records.byteLength / size }, (_, index) =>
    serviceAt(memory, index * size, bigint),
  )
}

export const destinationsFrom = (
  records: ArrayBuffer,
  serviceFamily: number,
  bigint: boolean,
): Destination<Total>[] => {
  const { size } = recordFormat().destination
  const memory = new Memory(records)
  return Array.from({ length: records.byteLength / size }, (_, index) =>
    destinationAt(memory, index * size, serviceFamily, bigint),
  )
}

export const snapshotFrom = (
  reply: SnapshotReply,
  bigint: boolean,
): VirtualServerState<Total>[] => {
  const { service, destination } = recordFormat()
  const services = new Memory(reply.services)
  const destinations = new Memory(reply.destinations)
  let next = 0
  return Array.from(new Uint32Array(reply.counts), (count, index) => {
    const at = index * service.size
    const { family } = service.read(services, at)
    const first = next
    next += count
    return {
      ...serviceAt(services, at, bigint),
      destinations: Array.from({ length: count }, (_, n) =>
        destinationAt(destinations, (first + n) * destination.size, family, bigint),
      ),
    }
  })
}

export const infoFrom = (records: ArrayBuffer): Info => {
  const { version, connectionTableSize } = recordFormat().info.read(new Memory(records), 0)
  return {
    version: [version >>> 16, (version >>> 8) & 0xff, version & 0xff].join('.'),
    connectionTableSize,
  }
}
