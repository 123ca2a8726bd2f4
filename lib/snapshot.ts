// What the addon read, as objects.

import { recordFormat } from './batch.js'
import { describeDestination } from './destination.js'
import { bigintTotal, Memory, numberTotal } from './records.js'
import { describeService } from './service.js'
import type { SnapshotReply } from '../types/addon.js'
import type { Destination, Info, Service, VirtualServerState } from '../types/observed.js'

// The two instances of these generic functions differ only in how a total is read, so their results
// are described as the union of both and narrowed by the caller's overloads.
type Total = number | bigint

const readTotal = (bigint: boolean): ((memory: Memory, at: number) => Total) =>
  bigint ? bigintTotal : numberTotal

const serviceAt = (memory: Memory, at: number, bigint: boolean): Service<Total> => {
  const format = recordFormat()
  return {
    ...describeService(format.readService(memory, at)),
    stats: format.readServiceCounters(memory, at, readTotal(bigint)),
  }
}

const destinationAt = (
  memory: Memory,
  at: number,
  serviceFamily: number,
  bigint: boolean,
): Destination<Total> => {
  const format = recordFormat()
  return {
    ...describeDestination(format.readDestination(memory, at), serviceFamily),
    stats: format.readDestinationCounters(memory, at, readTotal(bigint)),
  }
}

export const servicesFrom = (records: ArrayBuffer, bigint: boolean): Service<Total>[] => {
  const { serviceSize } = recordFormat()
  const memory = new Memory(records)
  return Array.from({ length: records.byteLength / serviceSize }, (_, index) =>
    serviceAt(memory, index * serviceSize, bigint),
  )
}

export const destinationsFrom = (
  records: ArrayBuffer,
  serviceFamily: number,
  bigint: boolean,
): Destination<Total>[] => {
  const { destinationSize } = recordFormat()
  const memory = new Memory(records)
  return Array.from({ length: records.byteLength / destinationSize }, (_, index) =>
    destinationAt(memory, index * destinationSize, serviceFamily, bigint),
  )
}

export const snapshotFrom = (
  reply: SnapshotReply,
  bigint: boolean,
): VirtualServerState<Total>[] => {
  const format = recordFormat()
  const services = new Memory(reply.services)
  const destinations = new Memory(reply.destinations)
  let next = 0
  return Array.from(new Uint32Array(reply.counts), (count, index) => {
    const at = index * format.serviceSize
    const { family } = format.readService(services, at)
    const first = next
    next += count
    return {
      ...serviceAt(services, at, bigint),
      destinations: Array.from({ length: count }, (_, n) =>
        destinationAt(destinations, (first + n) * format.destinationSize, family, bigint),
      ),
    }
  })
}

export const infoFrom = (records: ArrayBuffer): Info => {
  const { version, connectionTableSize } = recordFormat().readInfo(new Memory(records))
  return {
    version: [version >>> 16, (version >>> 8) & 0xff, version & 0xff].join('.'),
    connectionTableSize,
  }
}
