// The addon's own last door. What is refused here is never sent by lib; a mistake there must not become a read
// beside a buffer. That of names of settings is in sysctl.test.

import { constants } from 'node:os'

import t from 'tap'

import { Stage } from '#lib/meanings'
import { loadAddon } from '#lib/native'

const { Connection, HostConnection, layout, testing } = loadAddon()
const { operation, service, destination } = layout
const table = new Connection(undefined, 1000)
const machine = new HostConnection(undefined, 1000)
await Promise.all([table.open(), machine.open()])
t.teardown(() => {
  table.close()
  machine.close()
})

const none = new Uint8Array()

/** Each with the size of its records, and whether there may be several. */
const takers: readonly [
  name: string,
  size: number,
  several: boolean,
  call: (bytes: Uint8Array) => unknown,
][] = [
  ['apply', operation.size, true, (bytes) => table.apply(bytes)],
  ['readService', service.configSize, false, (bytes) => table.readService(bytes)],
  ['readDestinations', service.configSize, false, (bytes) => table.readDestinations(bytes)],
  ['readPart', service.size, true, (bytes) => table.readPart(bytes, 1)],
  ['changeAddresses', 1 << 16, true, (bytes) => machine.changeAddresses(bytes)],
  ['announce', 1 << 16, true, (bytes) => machine.announce(bytes)],
  ['encodeOperation', operation.size, false, (bytes) => testing.encodeOperation(bytes, 32)],
  [
    'makeColumns, services',
    service.size,
    true,
    (bytes) => testing.makeColumns(bytes, none, none, false),
  ],
  [
    'makeColumns, destinations',
    destination.size,
    true,
    (bytes) => testing.makeColumns(none, bytes, none, false),
  ],
  ['makeColumns, counts', 4, true, (bytes) => testing.makeColumns(none, none, bytes, false)],
]

for (const [name, size, several, call] of takers) {
  t.test(`${name} takes bytes of whole records`, async (t) => {
    const wrong = [
      new Uint8Array(1),
      new Uint8Array(size - 1),
      new Uint8Array(size + 1),
      ...(several ? [] : [none, new Uint8Array(2 * size)]),
      new Uint32Array(size),
      new ArrayBuffer(size),
      Array.from({ length: size }, () => 0),
      'x'.repeat(size),
      undefined,
      null,
    ]
    const refusal = { name: 'TypeError', message: 'expected a Uint8Array of whole records' }
    for (const bytes of wrong) {
      await t.rejects(async () => call(bytes as Uint8Array), refusal, typeof bytes)
    }
  })
}

t.test('a change of no known kind is told as not sent, not as made', async (t) => {
  const kinds = [3, 0xffffffff]
  const words = new Uint32Array((kinds.length * operation.size) / 4)
  // Behind the command, see native/ipvs/codec.h.
  kinds.forEach((kind, n) => words.set([kind], (n * operation.size) / 4 + 1))
  const reply = await table.apply(new Uint8Array(words.buffer))
  const { EINVAL } = constants.errno
  t.same([...new Int32Array(reply?.outcomes ?? [])], [Stage.send, EINVAL, Stage.send, EINVAL])
})

t.test('columns are made of no more destinations than there are', async (t) => {
  const two = new Uint8Array(2 * destination.size)
  const refusal = { name: 'RangeError', message: 'more destinations are counted than there are' }
  for (const counts of [[3], [1, 2], [2, 1], [2 ** 31], [1, 2 ** 32 - 1]]) {
    const bytes = new Uint8Array(Uint32Array.from(counts).buffer)
    t.throws(() => testing.makeColumns(none, two, bytes, false), refusal, String(counts))
  }
  t.ok(testing.makeColumns(none, two, new Uint8Array(Uint32Array.of(0, 2).buffer), false))
})
