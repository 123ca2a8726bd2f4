// Whatever the bytes of a record are, it is read as its fields say.

import fc from 'fast-check'
import t from 'tap'

import { describeDestination } from '#lib/destination'
import { Memory } from '#lib/memory'
import { Reader } from '#lib/reader'
import type { Total } from '#lib/reader'
import { bigintTotal, numberTotal, recordFormat } from '#lib/records'
import { describeService } from '#lib/service'
import { snapshotFrom } from '#lib/snapshot'

const { service, destination, serviceCounters, destinationCounters } = recordFormat()
const serviceKey = service.bits('family', 'protocol', 'address', 'port')
const serviceSettings = service.bits('scheduler', 'flags', 'timeout', 'netmask')
const whole = destination.bits('family', 'address', 'port', 'forwarding', 'weight')

interface Place {
  readonly at: number
  readonly value: number
}

const place = (at: number, ...values: readonly number[]): fc.Arbitrary<Place> =>
  fc.constantFrom(...values).map((value) => ({ at, value }))

/** Records whose telling words are mostly those of ordinary entries. */
const records = (size: number, places: readonly fc.Arbitrary<Place>[]): fc.Arbitrary<Memory> =>
  fc
    .tuple(fc.uint8Array({ minLength: 2 * size, maxLength: 2 * size }), fc.tuple(...places))
    .map(([bytes, values]) => {
      const memory = new Memory(Uint8Array.from(bytes).buffer)
      for (const { at, value } of values) {
        memory.setWord(at, value)
        memory.setWord(size + at, value)
      }
      return memory
    })

t.test('services', async (t) => {
  const some = records(service.size, [
    place(0, serviceKey | serviceSettings, serviceKey, service.bits('family', 'fwmark'), 0),
    place(service.offset('family'), 2, 2, 10),
    place(service.offset('protocol'), 6, 17, 132, 47),
    place(service.offset('flags'), 0, 2, 3, 0x1a, 0x3f),
    place(service.offset('scheduler'), 0x00007272, 0x00727277, 0),
  ])
  fc.assert(
    fc.property(some, fc.boolean(), (memory, bigint) => {
      const reader = new Reader(memory.bytes.buffer as ArrayBuffer, bigint)
      for (const index of [0, 1]) {
        const at = index * service.size
        t.same(reader.service(index), {
          ...describeService(service.read(memory, at)),
          stats: serviceCounters.read<Total>(memory, at, bigint ? bigintTotal : numberTotal),
        })
      }
    }),
    { numRuns: 500 },
  )
})

t.test('destinations', async (t) => {
  const some = records(destination.size, [
    place(0, whole, whole | destination.bits('tunnelType'), 0xffff, destination.bits('address')),
    place(destination.offset('family'), 2, 2, 10),
    place(destination.offset('forwarding'), 0, 1, 2, 3, 4, 7),
    place(destination.offset('weight'), 1, 2 ** 31 - 1),
  ])
  fc.assert(
    fc.property(some, fc.boolean(), fc.constantFrom(2, 10), (memory, bigint, family) => {
      const present = memory.word(0)
      if ((present & destination.bits('address')) === 0) return
      const reader = new Reader(memory.bytes.buffer as ArrayBuffer, bigint)
      t.same(reader.destination(1, family), {
        ...describeDestination(destination.read(memory, destination.size), family),
        stats: destinationCounters.read<Total>(
          memory,
          destination.size,
          bigint ? bigintTotal : numberTotal,
        ),
      })
    }),
    { numRuns: 500 },
  )
})

t.test('a snapshot gives each service its own destinations, in order', async (t) => {
  const counts = Uint32Array.from([0, 2, 0, 3, 0])
  const services = new Memory(new ArrayBuffer(5 * service.size))
  for (let index = 0; index < 5; ++index) {
    service.write(services, index * service.size, { family: 2, fwmark: 1 + index })
  }
  const destinations = new Memory(new ArrayBuffer(5 * destination.size))
  for (let index = 0; index < 5; ++index) {
    const address = Uint8Array.from([10, 0, 0, index, ...new Uint8Array(12)])
    destination.write(destinations, index * destination.size, { family: 2, address, port: index })
  }
  const table = await snapshotFrom(
    {
      failure: undefined,
      services: services.bytes.buffer as ArrayBuffer,
      destinations: destinations.bytes.buffer as ArrayBuffer,
      counts: counts.buffer,
    },
    false,
  )
  t.same(
    table.map(({ destinations: own }) => own.map(({ port }) => port)),
    [[], [0, 1], [], [2, 3, 4], []],
  )
  t.match(table, [{ fwmark: 1 }, { fwmark: 2 }, { fwmark: 3 }, { fwmark: 4 }, { fwmark: 5 }])
})
