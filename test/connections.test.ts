// The connection table: its lines, its filters, and the life of the cursor over it, with a table that
// the test writes; and the totals of the namespace. The formats are those of the kernel's
// ip_vs_conn_seq_show() and ip_vs_stats_show().

import { constants } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { inspect } from 'node:util'

import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'

import { openIpvs } from 'ipvs-netlink'
import type { ConnectionEntry, Ipvs } from 'ipvs-netlink'
import { parseConnection, takeConnectionFilter, totalsFrom } from '#lib/connections'
import { loadAddon } from '#lib/native'

import { canonicalIpv6, ipv6Bytes } from './fixtures/arbitraries.js'

/** Whatever was called has been sent then: now and then that waits for a turn (lib/turns.ts). */
const tick = async (): Promise<void> => {
  await nextTurn()
  await nextTurn()
}

const { ENOENT, EACCES, ENOMEM } = constants.errno

// The kernel's side.

const header = 'Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n'

/** As printf's %08X and %pI6 show them. */
const shown = (address: string): string =>
  address.includes(':')
    ? expanded(address)
    : address
        .split('.')
        .map((byte) => Number(byte).toString(16).toUpperCase().padStart(2, '0'))
        .join('')

/** All eight groups of a canonical IPv6 address. */
const expanded = (address: string): string => {
  const [head = '', tail] = address.split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'))
  const [first, last] = [groups(head), groups(tail ?? '')]
  const zeros = Array<string>(8 - first.length - last.length).fill('0')
  const all = tail === undefined ? first : [...first, ...zeros, ...last]
  return all.map((group) => group.padStart(4, '0')).join(':')
}

const port = (number: number): string => number.toString(16).toUpperCase().padStart(4, '0')

/** The line of an entry. */
const lineOf = (entry: ConnectionEntry): string => {
  const { protocol, client, virtual, destination, state, expires, persistence } = entry
  const ends = [client, virtual, destination].map(
    (end) => `${shown(end.address)} ${port(end.port)}`,
  )
  const start = `${protocol.toUpperCase().padEnd(3)} ${ends.join(' ')}`
  const more = persistence ? ` ${persistence.engine} ${persistence.data}` : ''
  return `${start} ${state.padEnd(11)} ${String(expires).padStart(7)}${more}\n`
}

const at = (address: string, number: number): { address: string; port: number } => ({
  address,
  port: number,
})

const entry4: ConnectionEntry = {
  protocol: 'tcp',
  client: at('192.0.2.9', 50_000),
  virtual: at('10.0.0.1', 80),
  destination: at('10.0.0.2', 8080),
  state: 'ESTABLISHED',
  expires: 899,
  template: false,
}

const entry6: ConnectionEntry = {
  protocol: 'udp',
  client: at('2001:db8::9', 65_535),
  virtual: at('2001:db8::1', 53),
  destination: at('::1', 53),
  state: 'UDP',
  expires: 300,
  template: false,
}

const template: ConnectionEntry = {
  protocol: 'udp',
  client: at('192.0.2.0', 0),
  virtual: at('10.0.0.1', 5060),
  destination: at('10.0.0.2', 5060),
  state: 'ASSURED',
  expires: 90,
  template: true,
  persistence: { engine: 'sip', data: 'a84b4c76e66710@pc33.atlanta.example' },
}

// Lines.

t.test('lines as the kernel writes them', async (t) => {
  const lines: readonly (readonly [line: string, entry: ConnectionEntry])[] = [
    ['TCP C0000209 C350 0A000001 0050 0A000002 1F90 ESTABLISHED     899', entry4],
    [
      'UDP 2001:0db8:0000:0000:0000:0000:0000:0009 FFFF 2001:0db8:0000:0000:0000:0000:0000:0001 0035 0000:0000:0000:0000:0000:0000:0000:0001 0035 UDP             300',
      entry6,
    ],
    [
      'UDP C0000200 0000 0A000001 13C4 0A000002 13C4 ASSURED          90 sip a84b4c76e66710@pc33.atlanta.example',
      template,
    ],
  ]
  for (const [line, entry] of lines) {
    t.same(parseConnection(line), entry)
    t.equal(lineOf(entry), `${line}\n`, 'and as this test writes them')
  }
})

t.test('a destination of another family', async (t) => {
  const entry = { ...entry4, destination: at('2001:db8::2', 80) }
  t.same(parseConnection(lineOf(entry).trimEnd()), entry)
  const other = { ...entry6, destination: at('10.0.0.2', 53) }
  t.same(parseConnection(lineOf(other).trimEnd()), other)
})

t.test('the template of a fwmark service', async (t) => {
  const line = 'IP  C0000209 0000 00000007 0000 0A000002 0000 NONE            360'
  t.match(parseConnection(line), {
    protocol: 'ip',
    client: at('192.0.2.9', 0),
    virtual: at('0.0.0.7', 0),
    state: 'NONE',
    template: true,
  })
})

t.test('what an engine keeps may have blanks in it, and may be empty', async (t) => {
  for (const data of [
    'two words',
    ' leading',
    'a  b   c',
    '',
    '0 sip 1',
    'ESTABLISHED 7',
    '[::1]',
  ]) {
    const entry = { ...template, persistence: { engine: 'sip', data } }
    const line = lineOf(entry).slice(0, -1)
    t.same(parseConnection(line), entry, inspect(data))
  }
  t.notOk('persistence' in (parseConnection(lineOf(entry4).trimEnd()) ?? {}))
})

t.test('long times and every state', async (t) => {
  const states = ['NONE', 'SYN_SENT', 'ERR!', 'BUG!', 'S-ACK-SENT', 'C-ECHOED', 'INIT1', 'LISTEN']
  for (const state of states) {
    const entry = { ...entry4, state, expires: 4_294_967_295 }
    t.same(parseConnection(lineOf(entry).trimEnd()), entry)
  }
  const wide = lineOf({ ...entry4, expires: 123_456_789_012 })
  t.match(parseConnection(wide.trimEnd()), { expires: 123_456_789_012 })
})

t.test('what is no entry is none', async (t) => {
  const line = lineOf(entry4).trimEnd()
  const others = [header.trimEnd(), '', ' ', line.slice(0, 40), `x${line}`.replace(' ', ''), 'TCP']
  for (const other of others) t.equal(parseConnection(other), undefined, inspect(other))
})

const anyPort = fc.oneof(fc.nat(65_535), fc.constantFrom(0, 1, 65_535))
const anyAddress = fc.oneof(
  fc.ipV4(),
  ipv6Bytes.map((bytes) =>
    canonicalIpv6(
      Array.from({ length: 8 }, (_, index) =>
        (((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0)).toString(16),
      ).join(':'),
    ),
  ),
)
const anyEnd = fc.record({ address: anyAddress, port: anyPort })
// Printable; for what ends in a blank there is a test of its own.
const anyData = fc
  .string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 255 })
  .filter((data) => data.trimEnd() === data)

const anyEntry: fc.Arbitrary<ConnectionEntry> = fc
  .record({
    protocol: fc.constantFrom('tcp', 'udp', 'sctp', 'ip', 'icmpv6', 'ip_47'),
    client: anyEnd,
    virtual: anyEnd,
    destination: anyEnd,
    state: fc.constantFrom('NONE', 'ESTABLISHED', 'C-REPLIED', 'UDP'),
    expires: fc.nat(),
    persistence: fc.option(fc.record({ engine: fc.constantFrom('sip', 'mine_2'), data: anyData }), {
      nil: undefined,
    }),
  })
  .map(({ persistence, ...others }) => ({
    ...others,
    template: others.client.port === 0,
    ...(persistence && { persistence }),
  }))

t.test('any entry comes back from its line', async (t) => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      t.same(parseConnection(lineOf(entry).slice(0, -1)), entry)
    }),
    { numRuns: 500 },
  )
})

// Filters.

const entries = [entry4, entry6, template]

const chosen = (filter: unknown): ConnectionEntry[] => entries.filter(takeConnectionFilter(filter))

t.test('filters choose', async (t) => {
  const tcp = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
  const all: readonly (readonly [filter: unknown, expected: ConnectionEntry[]])[] = [
    [undefined, entries],
    [{}, entries],
    [{ service: undefined, destination: undefined, state: undefined }, entries],
    [{ service: tcp }, [entry4]],
    [{ service: { ...tcp, protocol: 'udp' } }, []],
    [{ service: { ...tcp, port: 81 } }, []],
    [{ service: { ...tcp, port: 0 } }, [entry4]],
    [{ service: { ...tcp, scheduler: 'rr', stats: {}, destinations: [] } }, [entry4]],
    [{ service: { protocol: 'udp', address: '2001:DB8:0::1', port: 53 } }, [entry6]],
    [{ destination: { address: '10.0.0.2' } }, [entry4, template]],
    [{ destination: { address: '10.0.0.2', port: 5060 } }, [template]],
    [{ destination: { address: '10.0.0.2', port: 0 } }, []],
    [{ destination: { address: '0:0:0:0:0:0:0:1', port: 53 } }, [entry6]],
    [
      { destination: { address: '10.0.0.2', weight: 1, stats: {}, family: 'ipv4' } },
      [entry4, template],
    ],
    [{ state: 'UDP' }, [entry6]],
    [{ state: ['UDP', 'ASSURED', 'NOSUCH'] }, [entry6, template]],
    [{ state: 'established' }, [entry4]],
    [{ state: 'CLOSE' }, []],
    [{ state: 'ESTABLISHED', destination: { address: '10.0.0.2' }, service: tcp }, [entry4]],
    [{ state: 'ASSURED', service: tcp }, []],
  ]
  for (const [filter, expected] of all) t.same(chosen(filter), expected, inspect(filter))
})

const codes = {
  type: 'ERR_INVALID_ARG_TYPE',
  value: 'ERR_INVALID_ARG_VALUE',
  range: 'ERR_OUT_OF_RANGE',
} as const

const tcpKey = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
const wrongFilters: readonly (readonly [
  path: string,
  kind: keyof typeof codes,
  filter: unknown,
])[] = [
  ['filter', 'type', null],
  ['filter', 'type', 'ESTABLISHED'],
  ['filter', 'type', []],
  ['filter.states', 'value', { states: 'NONE' }],
  ['filter.service', 'type', { service: null }],
  ['filter.service', 'type', { service: 'tcp 10.0.0.1:80' }],
  ['filter.service', 'value', { service: { fwmark: 7 } }],
  ['filter.service.port', 'type', { service: { protocol: 'tcp', address: '10.0.0.1' } }],
  ['filter.service.port', 'range', { service: { ...tcpKey, port: 65_536 } }],
  ['filter.service.protocol', 'value', { service: { ...tcpKey, protocol: 'TCP' } }],
  ['filter.service.address', 'value', { service: { ...tcpKey, address: 'web' } }],
  ['filter.service.prot', 'value', { service: { ...tcpKey, prot: 1 } }],
  ['filter.destination', 'type', { destination: null }],
  ['filter.destination', 'type', { destination: '10.0.0.2' }],
  ['filter.destination.address', 'type', { destination: {} }],
  ['filter.destination.address', 'value', { destination: { address: '10.0.0.2:80' } }],
  ['filter.destination.port', 'type', { destination: { address: '::1', port: null } }],
  ['filter.destination.port', 'range', { destination: { address: '::1', port: -1 } }],
  ['filter.destination.adress', 'value', { destination: { address: '::1', adress: 1 } }],
  ['filter.state', 'type', { state: null }],
  ['filter.state', 'type', { state: 1 }],
  ['filter.state', 'value', { state: '' }],
  ['filter.state', 'value', { state: [] }],
  ['filter.state[1]', 'type', { state: ['NONE', undefined] }],
  ['filter.state[1]', 'value', { state: ['NONE', ''] }],
  ['filter.signal', 'type', { signal: 'now' }],
  ['filter.signal', 'type', { signal: null }],
  ['filter.signal', 'type', { signal: {} }],
]

// The cursor.

interface Failure {
  readonly stage: number
  readonly errno: number
  readonly text: string
}

const refusal = (errno: number): Failure => ({ stage: 6, errno, text: '' })

interface Gate {
  readonly opened: Promise<void>
  readonly open: () => void
}

const makeGate = (): Gate => {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

/** A table in pieces, and what was done with it. */
class FakeConnection {
  readonly events: string[] = []
  /** What a cursor reads, one after the other. */
  pieces: (Buffer | Failure | Error)[] = []
  openFailures: Failure[] = []
  /** What openTable() and readTable() wait for. */
  gates: { open?: Promise<void>; read?: Promise<void> } = {}
  info: Failure | undefined
  totals: Buffer | Failure = Buffer.alloc(0)

  async open(): Promise<undefined> {
    return undefined
  }

  async openTable(): Promise<object> {
    this.events.push('open')
    await this.gates.open
    const failure = this.openFailures.shift()
    return { failure, table: { table: true, pieces: [...this.pieces] } }
  }

  async readTable(table: { readonly pieces: FakeConnection['pieces'] }): Promise<object> {
    this.events.push('table' in table ? 'read' : 'read of something else')
    await this.gates.read
    const piece = table.pieces.shift() ?? Buffer.alloc(0)
    if (piece instanceof Error) throw piece
    return reply(piece)
  }

  closeTable(table: object): void {
    this.events.push('table' in table ? 'close' : 'close of something else')
  }

  async readInfo(): Promise<object> {
    this.events.push('info')
    return { failure: this.info, records: new ArrayBuffer(0) }
  }

  async readTotals(): Promise<object> {
    return reply(this.totals)
  }

  close(): void {
    this.events.push('close handle')
  }
}

const reply = (bytes: Buffer | Failure): object =>
  Buffer.isBuffer(bytes)
    ? { failure: undefined, records: Uint8Array.from(bytes).buffer }
    : { failure: bytes, records: new ArrayBuffer(0) }

let latest = new FakeConnection()

const addon = loadAddon() as unknown as Record<string, unknown>
addon['Connection'] = function Connection(): FakeConnection {
  latest = new FakeConnection()
  return latest
}

const makeBed = async (
  pieces: readonly (string | Buffer | Failure | Error)[] = [],
): Promise<{ ipvs: Ipvs; fake: FakeConnection }> => {
  const ipvs = await openIpvs()
  latest.pieces = pieces.map((piece) =>
    typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece,
  )
  return { ipvs, fake: latest }
}

const collect = async (from: AsyncIterable<ConnectionEntry>): Promise<ConnectionEntry[]> => {
  const all: ConnectionEntry[] = []
  for await (const entry of from) all.push(entry)
  return all
}

const table = `${header}${entries.map(lineOf).join('')}`

t.test('wrong filters are refused before the table is opened', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  for (const [path, kind, filter] of wrongFilters) {
    const message = new RegExp(`"${path.replaceAll(/[.[\]]/g, '\\$&')}"`)
    const call = collect(ipvs.connections(filter as never))
    await t.rejects(call, { code: codes[kind], message }, inspect(filter))
  }
  t.same(fake.events, [])
})

t.test('entries come in their order, and the cursor is closed at the end', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  t.same(await collect(ipvs.connections()), entries)
  t.same(fake.events, ['open', 'read', 'read', 'close'])
})

t.test('an empty table, with and without its header', async (t) => {
  for (const pieces of [[], [header]]) {
    const { ipvs, fake } = await makeBed(pieces)
    t.same(await collect(ipvs.connections()), [])
    t.equal(fake.events.at(-1), 'close')
  }
})

t.test('a line may be cut anywhere', async (t) => {
  for (let cut = 1; cut < table.length; ++cut) {
    const { ipvs } = await makeBed([table.slice(0, cut), table.slice(cut)])
    const read = await collect(ipvs.connections())
    if (read.length !== entries.length) t.same(read, entries, `cut at ${cut}`)
  }
  const { ipvs } = await makeBed(Array.from(table))
  t.same(await collect(ipvs.connections()), entries, 'after every byte')
})

t.test('many entries in pieces of any size', async (t) => {
  const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 20 })
  await fc.assert(
    fc.asyncProperty(fc.array(anyEntry, { maxLength: 30 }), cuts, async (some, sizes) => {
      const bytes = Buffer.from(`${header}${some.map(lineOf).join('')}`, 'latin1')
      const pieces: Buffer[] = []
      for (let start = 0, n = 0; start < bytes.length; ++n) {
        const end = start + (sizes[n % sizes.length] ?? 1)
        pieces.push(bytes.subarray(start, end))
        start = end
      }
      const { ipvs } = await makeBed(pieces)
      t.same(await collect(ipvs.connections()), some)
    }),
    { numRuns: 50 },
  )
})

t.test('the next piece is read when the entries of the last one are taken', async (t) => {
  const { ipvs, fake } = await makeBed([header + lineOf(entry4) + lineOf(entry6), lineOf(template)])
  const iterator = ipvs.connections()[Symbol.asyncIterator]()
  t.same(fake.events, [], 'nothing before it is iterated')
  t.same((await iterator.next()).value, entry4)
  t.same((await iterator.next()).value, entry6)
  t.same(fake.events, ['open', 'read'])
  t.same((await iterator.next()).value, template)
  t.same(fake.events, ['open', 'read', 'read'])
  t.equal((await iterator.next()).done, true)
  t.same(fake.events, ['open', 'read', 'read', 'read', 'close'])
  t.equal((await iterator.next()).done, true)
})

t.test('what an engine keeps comes to its last character', async (t) => {
  for (const data of ['', 'a ', 'a  ', 'a\t']) {
    const entry = { ...template, persistence: { engine: 'sip', data } }
    const { ipvs } = await makeBed([header + lineOf(entry)])
    t.same(await collect(ipvs.connections()), [entry], inspect(data))
  }
})

t.test('only wanted entries come', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  t.same(await collect(ipvs.connections({ state: 'ASSURED' })), [template])
  t.equal(fake.events.at(-1), 'close')
})

t.test('ending the loop early closes the cursor', async (t) => {
  const { ipvs, fake } = await makeBed([table, table])
  for await (const entry of ipvs.connections()) {
    t.same(entry, entry4)
    break
  }
  t.same(fake.events, ['open', 'read', 'close'])
})

t.test('an error in the loop closes the cursor', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  const loop = async (): Promise<void> => {
    for await (const entry of ipvs.connections()) throw new Error(entry.state)
  }
  await t.rejects(loop(), { message: 'ESTABLISHED' })
  t.same(fake.events, ['open', 'read', 'close'])
})

t.test('an iterator that was never started opens nothing', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  const iterator = ipvs.connections()[Symbol.asyncIterator]()
  await iterator.return?.()
  t.equal((await iterator.next()).done, true)
  t.same(fake.events, [])
})

t.test('a failure to read closes the cursor', async (t) => {
  const failures = [
    [refusal(EACCES), { code: 'ERR_IPVS_PERMISSION', errno: -EACCES }],
    [refusal(ENOMEM), { code: 'ERR_IPVS_REFUSED', errno: -ENOMEM }],
    [new Error('the worker is gone'), { message: 'the worker is gone' }],
  ] as const
  for (const [failure, error] of failures) {
    const { ipvs, fake } = await makeBed([header + lineOf(entry4), failure])
    const read: ConnectionEntry[] = []
    const loop = async (): Promise<void> => {
      for await (const entry of ipvs.connections()) read.push(entry)
    }
    await t.rejects(loop(), error)
    t.same(read, [entry4], 'what came before')
    t.same(fake.events, ['open', 'read', 'read', 'close'])
  }
})

t.test('without the module it is loaded, and without IPVS the call says so', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  fake.openFailures = [refusal(ENOENT)]
  t.same(await collect(ipvs.connections()), entries)
  t.same(fake.events.slice(0, 3), ['open', 'info', 'open'])

  const none = await makeBed([table])
  none.fake.openFailures = [refusal(ENOENT), refusal(ENOENT)]
  await t.rejects(collect(none.ipvs.connections()), { code: 'ERR_IPVS_NOT_AVAILABLE' })
  t.same(none.fake.events, ['open', 'info', 'open'], 'no cursor, so none is closed')
})

const abortion = { name: 'AbortError', code: 'ABORT_ERR' }

t.test('a signal that was given before opens nothing', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  await t.rejects(collect(ipvs.connections({ signal: AbortSignal.abort() })), abortion)
  t.same(fake.events, [])
})

t.test('an abort between two entries ends the reading at the next piece', async (t) => {
  const { ipvs, fake } = await makeBed([header + lineOf(entry4), lineOf(entry6)])
  const controller = new AbortController()
  const loop = async (): Promise<void> => {
    for await (const entry of ipvs.connections({ signal: controller.signal })) {
      t.same(entry, entry4)
      controller.abort()
    }
  }
  await t.rejects(loop(), abortion)
  t.same(fake.events, ['open', 'read', 'close'])
})

t.test('an abort while a piece is read rejects at once and closes the cursor', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  const gate = makeGate()
  fake.gates.read = gate.opened
  const controller = new AbortController()
  const reading = collect(ipvs.connections({ signal: controller.signal }))
  reading.catch(() => {})
  await until(t, fake, 'read')
  controller.abort(new Error('enough'))
  await t.rejects(reading, { ...abortion, cause: { message: 'enough' } })
  t.same(fake.events, ['open', 'read', 'close'])
  gate.open()
  await tick()
  t.same(fake.events, ['open', 'read', 'close'], 'once')
})

t.test('an abort while the table is opened closes it as soon as it is open', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  const gate = makeGate()
  fake.gates.open = gate.opened
  const controller = new AbortController()
  const reading = collect(ipvs.connections({ signal: controller.signal }))
  reading.catch(() => {})
  await until(t, fake, 'open')
  controller.abort()
  await t.rejects(reading, abortion)
  t.same(fake.events, ['open'])
  gate.open()
  await tick()
  await tick()
  t.same(fake.events, ['open', 'close'])
})

/** Waits for an event. */
async function until(t: Test, fake: FakeConnection, event: string): Promise<void> {
  for (let i = 0; i < 100 && fake.events.at(-1) !== event; ++i) await tick()
  t.equal(fake.events.at(-1), event)
}

t.test('a handle that is closed meanwhile ends the loop, and the cursor', async (t) => {
  const { ipvs, fake } = await makeBed([header + lineOf(entry4), lineOf(entry6)])
  const loop = async (): Promise<void> => {
    for await (const entry of ipvs.connections()) {
      t.same(entry, entry4)
      await ipvs.close()
    }
  }
  await t.rejects(loop(), { code: 'ERR_IPVS_CLOSED' })
  t.equal(fake.events.filter((event) => event === 'close').length, 1)
})

t.test('two loops at once have a cursor each', async (t) => {
  const { ipvs, fake } = await makeBed([table])
  const [one, other] = await Promise.all([collect(ipvs.connections()), collect(ipvs.connections())])
  t.same([one, other], [entries, entries])
  for (const event of ['open', 'close']) {
    t.equal(fake.events.filter((each) => each === event).length, 2)
  }
})

// Totals.

const totalsText = (numbers: readonly bigint[]): string => {
  const hex = (number = 0n, width: number): string =>
    number.toString(16).toUpperCase().padStart(width)
  const row = (five: readonly bigint[]): string =>
    five.map((number, index) => hex(number, index < 3 ? 8 : 16)).join(' ')
  return [
    '   Total Incoming Outgoing         Incoming         Outgoing',
    '   Conns  Packets  Packets            Bytes            Bytes',
    row(numbers.slice(0, 5)),
    '',
    ' Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s',
    row(numbers.slice(5)),
    '',
  ].join('\n')
}

const names = [
  'connections',
  'packetsIn',
  'packetsOut',
  'bytesIn',
  'bytesOut',
  'connectionsPerSecond',
  'packetsInPerSecond',
  'packetsOutPerSecond',
  'bytesInPerSecond',
  'bytesOutPerSecond',
]

const asRecords = (text: string): ArrayBuffer => Uint8Array.from(Buffer.from(text)).buffer

const statsOf = (numbers: readonly bigint[], bigint: boolean): object =>
  Object.fromEntries(
    names.map((name, index) => {
      const number = numbers[index] ?? 0n
      return [name, bigint && index < 5 ? number : Number(number)]
    }),
  )

t.test('totals of any size, as number and as bigint', async (t) => {
  const total = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.constantFrom(0n, 2n ** 64n - 1n),
  )
  const rate = fc.bigInt({ min: 0n, max: 2n ** 32n - 1n })
  const ten = fc
    .tuple(
      fc.array(total, { minLength: 5, maxLength: 5 }),
      fc.array(rate, { minLength: 5, maxLength: 5 }),
    )
    .map((pair) => pair.flat())
  fc.assert(
    fc.property(ten, (numbers) => {
      const records = asRecords(totalsText(numbers))
      t.strictSame(totalsFrom(records, true), statsOf(numbers, true))
      t.strictSame(totalsFrom(records, false), statsOf(numbers, false))
    }),
    { numRuns: 300 },
  )
})

t.test('totals through the handle, which loads the module first', async (t) => {
  const { ipvs, fake } = await makeBed()
  const numbers = names.map((_, index) => 10n ** BigInt(index))
  fake.totals = Buffer.from(totalsText(numbers))
  t.strictSame(await ipvs.totals(), statsOf(numbers, false))
  t.strictSame(await ipvs.totals({ bigint: true }), statsOf(numbers, true))
  t.same(fake.events, ['info', 'info'])

  fake.totals = refusal(ENOENT)
  await t.rejects(ipvs.totals(), { code: 'ERR_IPVS_NOT_AVAILABLE' })
  fake.info = { stage: 3, errno: ENOENT, text: '' }
  await t.rejects(ipvs.totals(), { code: 'ERR_IPVS_NOT_AVAILABLE' })
})

t.test('totals that are not understood are an error, never zeros', async (t) => {
  const whole = totalsText(names.map(() => 1n))
  const wrong = [
    '',
    whole.split('\n').slice(0, 4).join('\n'),
    whole.replaceAll('1', 'x'),
    '\0\0\0\0',
  ]
  for (const text of wrong) {
    t.throws(() => totalsFrom(asRecords(text), false), { code: 'ERR_IPVS_MALFORMED_REPLY' })
    const { ipvs, fake } = await makeBed()
    fake.totals = Buffer.from(text)
    await t.rejects(ipvs.totals(), { code: 'ERR_IPVS_MALFORMED_REPLY', command: 'proc' })
  }
})
