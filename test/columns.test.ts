// Columns of a table that the test made: each element is its record's field.

import t from 'tap'

import { addressAt } from 'ipvs-netlink'
import { Memory } from '#lib/memory'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'

const { service, destination, serviceCounters, destinationCounters } = recordFormat()

const bytes16 = (...bytes: readonly number[]): Uint8Array => {
  const all = new Uint8Array(16)
  all.set(bytes)
  return all
}

const makeColumns = (bigint: boolean) => {
  const services = new Memory(new ArrayBuffer(3 * service.size))
  const v6 = bytes16(0x20, 1, 0xd, 0xb8)
  service.write(services, 0, { family: 2, protocol: 6, address: bytes16(10, 0, 0, 1), port: 443 })
  service.write(services, service.size, { family: 10, fwmark: 2 ** 32 - 1 })
  service.write(services, 2 * service.size, { family: 10, protocol: 17, address: v6, port: 53 })
  services.setWord(2 * service.size + serviceCounters.places.bytesIn, 7)
  const destinations = new Memory(new ArrayBuffer(3 * destination.size))
  for (const [index, weight] of [1, 2 ** 31 - 1, 0].entries()) {
    const at = index * destination.size
    const address = bytes16(192, 168, 0, index)
    destination.write(destinations, at, { family: 2, address, port: 80, forwarding: 3, weight })
    destinations.setWord(at + destination.offset('activeConnections'), 2 ** 32 - 1 - index)
    // The high word of a total, on machines of either byte order.
    const bytesOut = at + destinationCounters.places.bytesOut
    new BigUint64Array(destinations.bytes.buffer)[bytesOut / 8] = 2n ** 40n + BigInt(index)
  }
  const counts = new Uint8Array(Uint32Array.from([1, 0, 2]).buffer)
  return loadAddon().testing.makeColumns(services.bytes, destinations.bytes, counts, bigint)
}

t.test('each element is the field of its record', async (t) => {
  const { services, destinations } = makeColumns(false)
  t.equal(services.count, 3)
  t.same([...services.family], [2, 10, 10])
  t.same([...services.protocol], [6, 0, 17])
  t.same([...services.port], [443, 0, 53])
  t.same([...services.fwmark], [0, 2 ** 32 - 1, 0])
  t.same([...services.firstDestination], [0, 1, 1, 3])
  t.equal(services.stats.bytesIn[2], 7)
  t.equal(addressAt(services, 0), '10.0.0.1')
  t.equal(addressAt(services, 2), '2001:db8::')

  t.equal(destinations.count, 3)
  t.same([...destinations.service], [0, 2, 2])
  t.same([...destinations.port], [80, 80, 80])
  t.same([...destinations.forwarding], [3, 3, 3])
  t.same([...destinations.weight], [1, 2 ** 31 - 1, 0])
  t.same([...destinations.activeConnections], [2 ** 32 - 1, 2 ** 32 - 2, 2 ** 32 - 3])
  t.same([...destinations.inactiveConnections], [0, 0, 0])
  t.same([...destinations.stats.bytesOut], [2 ** 40, 2 ** 40 + 1, 2 ** 40 + 2])
  t.same([...destinations.stats.bytesInPerSecond], [0, 0, 0])
  t.same(
    [0, 1, 2].map((index) => addressAt(destinations, index)),
    ['192.168.0.0', '192.168.0.1', '192.168.0.2'],
  )
})

t.test('totals can be bigints, rates never are', async (t) => {
  const { destinations } = makeColumns(true)
  t.same([...destinations.stats.bytesOut], [2n ** 40n, 2n ** 40n + 1n, 2n ** 40n + 2n])
  t.type(destinations.stats.bytesOutPerSecond, Float64Array)
})

t.test('an address is asked for by an index that is there', async (t) => {
  const { destinations } = makeColumns(false)
  for (const index of [-1, 3, 0.5]) {
    t.throws(() => addressAt(destinations, index), { code: 'ERR_OUT_OF_RANGE' })
  }
  t.throws(() => addressAt(destinations, '0' as unknown as number), {
    code: 'ERR_INVALID_ARG_TYPE',
  })
})
