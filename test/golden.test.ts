// The codec against the bytes of real kernels (test/fixtures/README.md): requests are compared as
// trees of attributes with what another program sent, replies with what they are known to say.

import { readFileSync } from 'node:fs'

import fc from 'fast-check'
import t from 'tap'

import { openIpvs } from 'ipvs-netlink'
import type { Ipvs, Service } from 'ipvs-netlink'
import { Memory } from '#lib/memory'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'
import { Reader } from '#lib/reader'
import type { Total } from '#lib/reader'
import { infoFrom } from '#lib/snapshot'

interface Exchange {
  readonly title: string
  readonly request: Buffer
  readonly replies: readonly Buffer[]
}

const readCapture = (kernel: string): Exchange[] => {
  const url = new URL(`../test/fixtures/golden-${kernel}.txt`, import.meta.url)
  const [, ...sections] = readFileSync(url, 'utf8').split(/^== /m)
  return sections.map((section) => {
    const [title = '', ...lines] = section.split('\n')
    const datagrams = (kind: string): Buffer[] =>
      lines.filter((line) => line.startsWith(kind)).map((line) => Buffer.from(line.slice(3), 'hex'))
    const [request = Buffer.alloc(0)] = datagrams('TX ')
    return { title, request, replies: datagrams('RX ') }
  })
}

const kernels = ['6.1', '7.3']

// A parser of its own, with nothing of the library in it.

type Tree = Readonly<Record<number, string | object>>

interface Parsed {
  readonly type: number
  readonly flags: number
  readonly command: number
  readonly version: number
  readonly attributes: Tree
}

/** The top-level attributes that are nests: SERVICE, DEST and DAEMON. Nothing nests deeper. */
const nests = [1, 2, 3]

/** The attributes of a request. */
const parseAttributes = (bytes: Buffer, depth = 0): Tree => {
  const tree: Record<number, string | object> = {}
  for (let at = 0; at < bytes.length; at += (bytes.readUInt16LE(at) + 3) & ~3) {
    const length = bytes.readUInt16LE(at)
    if (length < 4 || at + length > bytes.length) throw new Error('an attribute that does not fit')
    const type = bytes.readUInt16LE(at + 2) & 0x3fff
    const payload = bytes.subarray(at + 4, at + length)
    if (type in tree) throw new Error(`attribute ${type} twice`)
    tree[type] =
      depth === 0 && nests.includes(type) ? parseAttributes(payload, 1) : payload.toString('hex')
  }
  return tree
}

const parseRequest = (bytes: Buffer): Parsed => {
  if (bytes.readUInt32LE(0) !== bytes.length)
    throw new Error('the length is not that of the message')
  return {
    type: bytes.readUInt16LE(4),
    flags: bytes.readUInt16LE(6),
    command: bytes.readUInt8(16),
    version: bytes.readUInt8(17),
    attributes: parseAttributes(bytes.subarray(20)),
  }
}

const { layout, testing } = loadAddon()
const format = recordFormat()

const servicesFrom = (records: ArrayBuffer, bigint: boolean): Service<Total>[] => {
  const reader = new Reader(records, bigint)
  const count = records.byteLength / format.service.size
  return Array.from({ length: count }, (_, index) => reader.service(index))
}

const destinationsFrom = (records: ArrayBuffer): object[] => {
  const reader = new Reader(records, false)
  const count = records.byteLength / format.destination.size
  return Array.from({ length: count }, (_, index) => reader.destination(index, 2))
}
const { operation: places } = format

/** An operation that the test writes itself. */
const makeOperation = (command: number, write: (memory: Memory) => void = () => {}): Uint8Array => {
  const memory = new Memory(new ArrayBuffer(places.size))
  memory.setWord(0, command)
  write(memory)
  return memory.bytes
}

/** The operation that a public call hands to the addon, which here is a stand-in. */
const operationOf = async (call: (ipvs: Ipvs) => Promise<unknown>): Promise<Uint8Array> => {
  const exported = loadAddon() as unknown as { Connection: unknown }
  const { Connection } = exported
  let operation = new Uint8Array()
  exported.Connection = function Fake() {
    return {
      open: async () => undefined,
      apply: async (bytes: Uint8Array) => {
        operation = Uint8Array.from(bytes)
        return { outcomes: new ArrayBuffer(8), texts: {} }
      },
    }
  }
  try {
    await call(await openIpvs())
  } finally {
    exported.Connection = Connection
  }
  return operation
}

const encode = (operation: Uint8Array, family: number): Buffer =>
  Buffer.from(testing.encodeOperation(operation, family))

const vip = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const real = { address: '192.168.0.1', port: 8080, forwarding: 'nat' } as const

/** What a user says to have each captured request sent. */
const requests: Readonly<Record<string, () => Promise<Uint8Array>>> = {
  'NEW_SERVICE tcp 10.0.0.1:80 wlc persistent 360 /24': async () =>
    operationOf(async (ipvs) => ipvs.addService({ ...vip, persistence: { prefixLength: 24 } })),
  'NEW_SERVICE tcp [2001:db8::1]:443 rr': async () =>
    operationOf(async (ipvs) =>
      ipvs.addService({ protocol: 'tcp', address: '2001:DB8::1', port: 443, scheduler: 'rr' }),
    ),
  'NEW_SERVICE fwmark 7 v6 mh flags mh-port': async () =>
    operationOf(async (ipvs) =>
      ipvs.addService({ fwmark: 7, family: 'ipv6', scheduler: 'mh', schedulerFlags: ['mh-port'] }),
    ),
  'NEW_SERVICE dup -> EEXIST': async () =>
    operationOf(async (ipvs) => ipvs.addService({ ...vip, scheduler: 'rr' })),
  'NEW_DEST 192.168.0.1:8080 masq w5 u100 l50': async () =>
    operationOf(async (ipvs) =>
      ipvs.addDestination(vip, { ...real, weight: 5, upperThreshold: 100, lowerThreshold: 50 }),
    ),
  'NEW_DEST 192.168.0.2:80 gue': async () =>
    operationOf(async (ipvs) =>
      ipvs.addDestination(vip, {
        address: '192.168.0.2',
        forwarding: 'tun',
        tunnel: { type: 'gue', port: 6080, checksum: 'csum' },
      }),
    ),
  DEL_DEST: async () => operationOf(async (ipvs) => ipvs.deleteDestination(vip, real)),
  FLUSH: async () => operationOf(async (ipvs) => ipvs.clear()),
  'ZERO all': async () => makeOperation(16),
  'SET_CONFIG 900/120/300': async () =>
    makeOperation(12, (memory) => {
      format.config.write(memory, places.service, { tcp: 900, tcpFin: 120, udp: 300 })
    }),
  'NEW_DAEMON master dummy0 sid 5': async () =>
    makeOperation(9, (memory) => {
      format.daemon.write(memory, places.service, { state: 1, interface: 'dummy0', syncId: 5 })
    }),
}

/** What the addon's door for tests cannot write: requests that read, and a malformed one. */
const notEncodable = /^(CTRL_CMD_GETFAMILY|GET_|SET_CONFIG bad len)/

/** What the other program says needlessly, and this library does not: a destination's family that is its service's. */
const withoutNeedless = (tree: Tree): Tree => {
  const { 1: service, 2: destination } = tree as Readonly<Record<number, Tree | undefined>>
  const { 11: family, ...others } = destination ?? {}
  return family !== undefined && family === service?.[1] ? { ...tree, 2: others } : tree
}

for (const kernel of kernels) {
  const capture = readCapture(kernel)
  t.test(`requests are those that ${kernel} understood`, async (t) => {
    const encodable = capture.filter(({ title }) => !notEncodable.test(title))
    t.same(encodable.map(({ title }) => title).toSorted(), Object.keys(requests).toSorted())
    for (const { title, request } of encodable) {
      const theirs = parseRequest(request)
      const operation = (await requests[title]?.()) ?? new Uint8Array()
      const ours = parseRequest(encode(operation, theirs.type))
      t.same(ours, { ...theirs, attributes: withoutNeedless(theirs.attributes) }, title)
    }
  })
}

t.test('the one family of a request is the number that the kernel gave', async (t) => {
  const operation = makeOperation(17)
  for (const family of [16, 32, 36, 65535])
    t.equal(encode(operation, family).readUInt16LE(4), family)
})

type Change = (ipvs: Ipvs) => Promise<unknown>

const sentBy = async (call: Change): Promise<Parsed> =>
  parseRequest(encode(await operationOf(call), 32))

t.test('every change of a service or destination has the number of its command', async (t) => {
  const calls: readonly (readonly [number, Change])[] = [
    [1, async (ipvs) => ipvs.addService(vip)],
    [2, async (ipvs) => ipvs.editService(vip)],
    [3, async (ipvs) => ipvs.deleteService(vip)],
    [5, async (ipvs) => ipvs.addDestination(vip, real)],
    [6, async (ipvs) => ipvs.editDestination(vip, real)],
    [7, async (ipvs) => ipvs.deleteDestination(vip, real)],
    [17, async (ipvs) => ipvs.clear()],
  ]
  for (const [number, call] of calls) t.equal((await sentBy(call)).command, number, String(call))
})

t.test('an edit carries the same attributes as an addition', async (t) => {
  const { attributes: service } = await sentBy(async (ipvs) => ipvs.addService(vip))
  t.same((await sentBy(async (ipvs) => ipvs.editService(vip))).attributes, service)
  const { attributes: destination } = await sentBy(async (ipvs) => ipvs.addDestination(vip, real))
  t.same((await sentBy(async (ipvs) => ipvs.editDestination(vip, real))).attributes, destination)
})

t.test('a deletion identifies its service and carries nothing else', async (t) => {
  const { attributes } = await sentBy(async (ipvs) => ipvs.deleteService({ ...vip, port: 0 }))
  t.same(attributes, { 1: { 1: '0200', 2: '0600', 3: '0a000001', 4: '0000' } })
  const mark = await sentBy(async (ipvs) => ipvs.deleteService({ fwmark: 2 ** 32 - 1 }))
  t.same(mark.attributes, { 1: { 1: '0200', 5: 'ffffffff' } })
})

t.test('the addon writes no command that reads, and no operation of another size', async (t) => {
  for (const command of [0, 4, 8, 11, 13, 14, 15, 18, 255, 256 + 1]) {
    t.throws(() => encode(makeOperation(command), 32), { name: 'TypeError' }, String(command))
  }
  for (const size of [0, 1, places.size - 1, places.size + 1]) {
    t.throws(() => encode(new Uint8Array(size), 32), { name: 'TypeError' }, `${size} bytes`)
  }
})

const noStats = {
  connections: 0,
  packetsIn: 0,
  packetsOut: 0,
  bytesIn: 0,
  bytesOut: 0,
  connectionsPerSecond: 0,
  packetsInPerSecond: 0,
  packetsOutPerSecond: 0,
  bytesInPerSecond: 0,
  bytesOutPerSecond: 0,
}

const web = {
  protocol: 'tcp',
  address: '10.0.0.1',
  port: 80,
  scheduler: 'wlc',
  schedulerFlags: [],
  onePacket: false,
  persistence: { timeout: 360, prefixLength: 24 },
  stats: noStats,
}
const web6 = {
  protocol: 'tcp',
  address: '2001:db8::1',
  port: 443,
  scheduler: 'rr',
  schedulerFlags: [],
  onePacket: false,
  stats: noStats,
}
const marked = {
  fwmark: 7,
  family: 'ipv6',
  scheduler: 'mh',
  schedulerFlags: ['mh-port'],
  onePacket: false,
  stats: noStats,
}
const none = {
  activeConnections: 0,
  inactiveConnections: 0,
  persistentConnections: 0,
  stats: noStats,
}
const first = {
  address: '192.168.0.1',
  port: 8080,
  family: 'ipv4',
  forwarding: 'nat',
  weight: 5,
  upperThreshold: 100,
  lowerThreshold: 50,
  ...none,
}
const second = {
  address: '192.168.0.2',
  port: 80,
  family: 'ipv4',
  forwarding: 'tun',
  weight: 1,
  upperThreshold: 0,
  lowerThreshold: 0,
  tunnel: { type: 'gue', port: 6080, checksum: 'csum' },
  ...none,
}

type TableName = 'service' | 'destination' | 'info'
const tableNames: readonly TableName[] = ['service', 'destination', 'info']

const decode = (table: TableName, datagram: Uint8Array): ArrayBuffer | undefined =>
  testing.decodeReplies(table, datagram)

const recordsOf = (table: TableName, replies: readonly Buffer[]): ArrayBuffer => {
  const parts = replies.map((reply) => {
    const records = decode(table, reply)
    if (!records) throw new Error('a real reply was not read')
    return Buffer.from(records)
  })
  const all = Uint8Array.from(Buffer.concat(parts))
  return all.buffer
}

for (const kernel of kernels) {
  const capture = readCapture(kernel)
  const repliesTo = (title: string): readonly Buffer[] =>
    capture.find((exchange) => exchange.title === title)?.replies ?? []

  t.test(`services are read from the replies of ${kernel}`, async (t) => {
    const services = (title: string): object[] =>
      servicesFrom(recordsOf('service', repliesTo(title)), false)
    t.same(services('GET_SERVICE 10.0.0.1:80'), [web])
    t.same(services('GET_SERVICE fwmark 7 v6'), [marked])
    const dumped = services('GET_SERVICE dump')
    t.equal(dumped.length, 3)
    for (const service of [web, web6, marked]) {
      t.ok(
        dumped.some((each) => JSON.stringify(each) === JSON.stringify(service)),
        service.scheduler,
      )
    }
  })

  t.test(`destinations are read from the replies of ${kernel}`, async (t) => {
    const records = recordsOf('destination', repliesTo('GET_DEST dump'))
    t.same(destinationsFrom(records), [second, first], 'the newest first')
  })

  t.test(`what ${kernel} says of itself is read`, async (t) => {
    t.same(infoFrom(recordsOf('info', repliesTo('GET_INFO'))), {
      version: '1.2.1',
      connectionTableSize: kernel === '6.1' ? 4096 : 0,
    })
  })

  t.test(`acknowledgements and refusals of ${kernel} hold no records`, async (t) => {
    const control = capture
      .flatMap(({ replies }) => replies)
      .filter((reply) => reply.readUInt16LE(4) < 16)
    t.ok(control.length > 15)
    for (const reply of control) {
      for (const table of tableNames) t.equal(decode(table, reply)?.byteLength, 0)
    }
  })

  t.test(`a reply of ${kernel} to another question is no service and no destination`, async (t) => {
    for (const reply of repliesTo('GET_DEST dump').slice(0, 1))
      t.equal(decode('service', reply), undefined)
    for (const reply of repliesTo('GET_SERVICE dump').slice(0, 1))
      t.equal(decode('destination', reply), undefined)
    t.equal(repliesTo('GET_DEST dump').length, 2)
  })

  t.test(
    `a reply of ${kernel} that is cut short anywhere gives whole messages or nothing`,
    async (t) => {
      for (const { title, replies } of capture) {
        if (title.startsWith('CTRL')) continue
        for (const reply of replies) {
          const ends = messageEnds(reply)
          for (const table of tableNames) {
            if (decode(table, reply) === undefined) continue
            for (let length = 0; length < reply.length; ++length) {
              const records = decode(table, reply.subarray(0, length))
              const isWhole = ends.includes(length)
              if ((records !== undefined) !== isWhole)
                t.fail(`${title} cut to ${length} bytes as ${table}`)
              const messages = ends.indexOf(length) + 1
              const most = messages * layout[table].size
              if (records && records.byteLength > most)
                t.fail(`${title}: more records than messages`)
            }
            t.pass(`${title} as ${table}`)
          }
        }
      }
    },
  )

  t.test(`a reply of ${kernel} with any byte changed gives whole records or nothing`, async (t) => {
    for (const { title, replies } of capture) {
      for (const reply of replies) {
        const results = tableNames.flatMap((table) =>
          [...changed(reply)].map((bytes) => [table, bytes] as const),
        )
        const bad = results.filter(
          ([table, bytes]) => !isPlausible(table, bytes, decode(table, bytes)),
        )
        t.equal(bad.length, 0, title)
      }
    }
  })
}

/** Where a datagram's messages end, and its start. */
function messageEnds(datagram: Buffer): number[] {
  const ends = [0]
  for (let at = 0; at < datagram.length;) {
    at += (datagram.readUInt32LE(at) + 3) & ~3
    ends.push(at)
  }
  return ends
}

/** The datagram with one byte changed, for every byte and some ways of changing it. */
function* changed(datagram: Buffer): Generator<Uint8Array> {
  for (let at = 0; at < datagram.length; ++at) {
    for (const pattern of [0x01, 0x04, 0x80, 0xff]) {
      const bytes = Uint8Array.from(datagram)
      bytes[at] = (bytes[at] ?? 0) ^ pattern
      yield bytes
    }
  }
}

/** Nothing, or whole records: at most one for each message, which has 16 bytes at least. */
function isPlausible(
  table: TableName,
  datagram: Uint8Array,
  records: ArrayBuffer | undefined,
): boolean {
  if (records === undefined) return true
  const count = records.byteLength / layout[table].size
  return Number.isInteger(count) && count <= datagram.length / 20
}

const sample = readCapture('6.1').find(({ title }) => title === 'GET_SERVICE 10.0.0.1:80')
  ?.replies[0]
const message: Buffer = sample ?? Buffer.alloc(0)

/** Where an attribute of the sample's only nest begins. */
const find = (type: number): number => {
  for (let at = 24; at < message.length; at += (message.readUInt16LE(at) + 3) & ~3) {
    if (message.readUInt16LE(at + 2) === type) return at
  }
  throw new Error(`the sample has no attribute ${type}`)
}

t.test('one changed byte of a value changes that value and no other', async (t) => {
  const edit = (type: number, byte: number, value: number): object | undefined => {
    const bytes = Buffer.from(message)
    bytes[find(type) + 4 + byte] = value
    const records = decode('service', bytes)
    return records && servicesFrom(records, false)[0]
  }
  t.same(edit(2, 0, 17), { ...web, protocol: 'udp' })
  t.same(edit(3, 3, 9), { ...web, address: '10.0.0.9' })
  t.same(edit(4, 0, 1), { ...web, port: 256 + 80 }, 'ports are in network order')
  t.same(edit(6, 0, 0x73), { ...web, scheduler: 'slc' })
  t.same(edit(7, 0, 0x07), { ...web, onePacket: true })
  t.same(
    edit(8, 3, 0x80),
    { ...web, persistence: { timeout: 2 ** 31 + 360, prefixLength: 24 } },
    'unsigned',
  )
  t.same(edit(9, 1, 0), { ...web, persistence: { timeout: 360, netmask: '255.0.255.0' } })
})

t.test('counters of 64 bits are exact as bigint, and to 2^53 as number', async (t) => {
  const values = [2n ** 64n - 1n, 2n ** 53n - 1n, 2n ** 32n, 2n ** 53n + 1n, 1n, 2n, 3n, 4n, 5n, 6n]
  const bytes = Buffer.from(message)
  values.forEach((value, index) => bytes.writeBigUInt64LE(value, find(12) + 4 + 12 * index + 4))
  const records = decode('service', bytes)
  t.ok(records)
  if (!records) return
  const expected = {
    connections: values[0],
    packetsIn: values[1],
    packetsOut: values[2],
    bytesIn: values[3],
    bytesOut: values[4],
    connectionsPerSecond: 2,
    packetsInPerSecond: 3,
    packetsOutPerSecond: 4,
    bytesInPerSecond: 5,
    bytesOutPerSecond: 6,
  }
  t.strictSame(servicesFrom(records, true)[0]?.stats, expected)
  const [asNumbers] = servicesFrom(records, false)
  t.equal(asNumbers?.stats.packetsIn, Number.MAX_SAFE_INTEGER)
  t.equal(asNumbers?.stats.packetsOut, 2 ** 32)
  t.equal(asNumbers?.stats.connections, 2 ** 64, 'rounded')
})

t.test(
  'a kernel without 64-bit counters gives its 32-bit ones, and both together the wider',
  async (t) => {
    const bytes = Buffer.from(message)
    bytes.writeUInt32LE(4711, find(10) + 4 + 4)
    const both = decode('service', bytes)
    t.equal(both && servicesFrom(both, false)[0]?.stats.connections, 0)
    // The nest of wide counters under a number that nobody knows.
    bytes.writeUInt16LE(99, find(12) + 2)
    const old = decode('service', bytes)
    t.same(old && servicesFrom(old, false)[0], { ...web, stats: { ...noStats, connections: 4711 } })
  },
)

t.test('attributes of newer kernels are skipped, whatever is in them', async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 13, max: 0x3fff }),
      fc.uint8Array({ maxLength: 40 }),
      (type, payload) => {
        const extra = Buffer.alloc((4 + payload.length + 3) & ~3)
        extra.writeUInt16LE(4 + payload.length, 0)
        extra.writeUInt16LE(type, 2)
        extra.set(payload, 4)
        const bytes = Buffer.concat([message, extra])
        bytes.writeUInt32LE(bytes.length, 0)
        bytes.writeUInt16LE(message.readUInt16LE(20) + extra.length, 20)
        const records = decode('service', bytes)
        t.same(records && servicesFrom(records, false), [web])
      },
    ),
  )
})

t.test('random bytes and randomly changed replies never harm', async (t) => {
  const changes = fc.array(fc.tuple(fc.nat(message.length - 1), fc.nat(255)), {
    minLength: 1,
    maxLength: 8,
  })
  let read = 0
  fc.assert(
    fc.property(changes, (edits) => {
      const bytes = Uint8Array.from(message)
      for (const [at, value] of edits) bytes[at] = value
      const records = decode('service', bytes)
      if (records && records.byteLength > 0) ++read
      return isPlausible('service', bytes, records)
    }),
    { numRuns: 5000 },
  )
  t.ok(read > 100, 'many of them could be read')
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), fc.constantFrom(...tableNames), (bytes, table) =>
      isPlausible(table, bytes, decode(table, bytes)),
    ),
    { numRuns: 2000 },
  )
})
