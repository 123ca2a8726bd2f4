// The way of every verb that changes something, alone and in a batch: what it sends, what it refuses
// before anything is sent, and what it makes of the outcome. The addon's class is replaced, so that
// nothing reaches a kernel.

import { constants } from 'node:os'
import { inspect } from 'node:util'

import t from 'tap'
import type { Test } from 'tap'

import { IpvsError, openIpvs } from 'ipvs-netlink'
import { commands } from '#lib/commands'
import { Memory } from '#lib/memory'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'

const { EEXIST, ENOENT, ESRCH, EINVAL } = constants.errno
const { operation, service, destination, daemon, config } = recordFormat()

/** All operations of each sending. */
const sendings: Buffer[] = []

interface Answer {
  readonly outcomes: ArrayBuffer
  readonly texts: Readonly<Record<number, string>>
}

const kernel = 6

/** Success for every operation, but for those whose errno is given. */
const answerTo = (count: number, errnos: readonly number[]): Answer => {
  const pairs = new Int32Array(2 * count)
  errnos.forEach((errno, index) => {
    if (errno !== 0) pairs.set([kernel, errno], 2 * index)
  })
  return { outcomes: pairs.buffer, texts: {} }
}

/** For the next sendings; success when there are no more. */
let answers: number[][] = []

class FakeConnection {
  async open(): Promise<undefined> {
    return undefined
  }

  async apply(operations: Uint8Array): Promise<Answer> {
    sendings.push(Buffer.from(operations))
    return answerTo(operations.length / operation.size, answers.shift() ?? [])
  }

  close(): void {}
}

const addon = loadAddon() as unknown as Record<string, unknown>
addon['Connection'] = FakeConnection

// As a program without types would call them.
type Verbs = Readonly<Record<string, (...given: unknown[]) => Promise<unknown>>>
const ipvs = (await openIpvs()) as unknown as Verbs

const call = async (verb: string, ...given: unknown[]): Promise<unknown> => {
  const method = ipvs[verb]
  if (!method) throw new Error(`there is no verb ${verb}`)
  return method.apply(ipvs, given)
}

/** What is sent while something is done, each operation by itself. */
const sentBy = async (work: () => Promise<unknown>, errnos: number[][] = []): Promise<Buffer[]> => {
  const first = sendings.length
  answers = errnos
  await work()
  return sendings
    .slice(first)
    .flatMap((bytes) =>
      Array.from({ length: bytes.length / operation.size }, (_, index) =>
        bytes.subarray(index * operation.size, (index + 1) * operation.size),
      ),
    )
}

/** Which command it is, and whether it is a patch. */
const headOf = (bytes: Buffer): { command: string; isPatch: boolean } => {
  const memory = new Memory(Uint8Array.from(bytes).buffer)
  const [command = ''] =
    Object.entries(commands).find(([, number]) => number === memory.word(0)) ?? []
  return { command, isPatch: memory.word(4) === 1 }
}

const recordsOf = (bytes: Buffer): Readonly<Record<string, object>> => {
  const memory = new Memory(Uint8Array.from(bytes).buffer)
  return {
    service: service.read(memory, operation.service),
    destination: destination.read(memory, operation.destination),
    // These take the service's place.
    daemon: daemon.read(memory, operation.service),
    config: config.read(memory, operation.service),
  }
}

const tcp = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
const mark = { fwmark: 7, family: 'ipv6' }
const server = { address: '10.0.0.2', forwarding: 'nat', port: 8080 }
const master = { role: 'master', interface: 'eth0' }

interface Example {
  readonly verb: string
  /** Its arguments, by their names in a batch. */
  readonly given: Readonly<Record<string, unknown>>
  readonly command: string
  /** Fields that have to arrive, by record. */
  readonly fields?: Readonly<Record<string, object>>
}

const asMark = { family: 10, fwmark: 7 }
const asTcp = { family: 2, protocol: 6, port: 80 }
const asServer = { family: 2, port: 8080 }

const examples: readonly Example[] = [
  {
    verb: 'addService',
    given: { service: { ...mark, scheduler: 'sh' } },
    command: 'NEW_SERVICE',
    fields: { service: { ...asMark, scheduler: 'sh', flags: 0, timeout: 0 } },
  },
  {
    verb: 'editService',
    given: { service: { ...tcp, persistence: { timeout: 9 } } },
    command: 'SET_SERVICE',
    fields: { service: { ...asTcp, scheduler: 'wlc', flags: 1, timeout: 9 } },
  },
  {
    verb: 'deleteService',
    given: { service: tcp },
    command: 'DEL_SERVICE',
    fields: { service: asTcp },
  },
  {
    verb: 'patchService',
    given: { service: mark, changes: { onePacket: true } },
    command: 'SET_SERVICE',
    fields: { service: { ...asMark, flags: 4 } },
  },
  {
    verb: 'addDestination',
    given: { service: tcp, destination: { ...server, weight: 3 } },
    command: 'NEW_DEST',
    fields: { service: asTcp, destination: { ...asServer, forwarding: 0, weight: 3 } },
  },
  {
    verb: 'editDestination',
    given: { service: tcp, destination: server },
    command: 'SET_DEST',
    fields: { service: asTcp, destination: { ...asServer, weight: 1 } },
  },
  {
    verb: 'patchDestination',
    given: { service: tcp, destination: server, changes: { weight: 0 } },
    command: 'SET_DEST',
    fields: { service: asTcp, destination: { ...asServer, weight: 0 } },
  },
  {
    verb: 'deleteDestination',
    given: { service: tcp, destination: server },
    command: 'DEL_DEST',
    fields: { service: asTcp, destination: asServer },
  },
  { verb: 'zero', given: { service: tcp }, command: 'ZERO', fields: { service: asTcp } },
  { verb: 'zero', given: {}, command: 'ZERO' },
  {
    verb: 'setTimeouts',
    given: { timeouts: { tcp: 1, udp: 21_474_836 } },
    command: 'SET_CONFIG',
    fields: { config: { tcp: 1, udp: 21_474_836 } },
  },
  {
    verb: 'startSyncDaemon',
    given: { daemon: master },
    command: 'NEW_DAEMON',
    fields: { daemon: { state: 1, interface: 'eth0', syncId: 0 } },
  },
  {
    verb: 'stopSyncDaemon',
    given: { role: 'backup' },
    command: 'DEL_DAEMON',
    fields: { daemon: { state: 2 } },
  },
  { verb: 'clear', given: {}, command: 'FLUSH' },
]

const patches = ['patchService', 'patchDestination']
// Nothing is filled in for these.
const exact = ['deleteService', 'deleteDestination', 'stopSyncDaemon', 'setTimeouts']

// The verbs that are in no batch.
const readers = [
  'getService',
  'listServices',
  'listDestinations',
  'snapshot',
  'stream',
  'columns',
  'batch',
  'timeouts',
  'syncDaemons',
  'connections',
  'totals',
  'info',
  'close',
  'open',
  'constructor',
]

t.test('every verb that changes something has its example', async (t) => {
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(ipvs) as object)
  const changing = methods.filter((name) => !readers.includes(name))
  t.same(changing.sort(), [...new Set(examples.map(({ verb }) => verb))].sort())
})

for (const { verb, given, command, fields = {} } of examples) {
  const title = `${verb}(${Object.keys(given).join(', ')})`

  t.test(`${title} sends one ${command} with what it was given`, async (t) => {
    const [bytes, ...more] = await sentBy(async () => call(verb, ...Object.values(given)))
    if (!bytes) return t.fail('nothing was sent')
    t.same(more, [])
    t.same(headOf(bytes), { command, isPatch: patches.includes(verb) })
    for (const [record, expected] of Object.entries(fields)) {
      const actual = recordsOf(bytes)[record]
      t.match(actual, expected)
      // Nothing beside what was named.
      if (exact.includes(verb)) {
        const names = Object.keys(actual ?? {}).filter((name) => name !== 'address')
        t.same(names.sort(), Object.keys(expected).sort())
      }
    }
    if (Object.keys(fields).length === 0) {
      t.ok(
        bytes.subarray(4).every((byte) => byte === 0),
        'nothing but the command',
      )
    }
    return undefined
  })

  t.test(
    `${title} sends the same in a batch, with undefined options, and with a signal`,
    async (t) => {
      const alone = await sentBy(async () => call(verb, ...Object.values(given)))
      const inBatch = await sentBy(async () => call('batch', [{ op: verb, ...given }]))
      t.same(inBatch, alone)
      if (Object.keys(given).length === 0) return
      const { signal } = new AbortController()
      for (const options of [undefined, {}, { signal }, { signal: undefined }]) {
        t.same(await sentBy(async () => call(verb, ...Object.values(given), options)), alone)
      }
    },
  )
}

// Wrong calls.

const codes = { type: 'ERR_INVALID_ARG_TYPE', value: 'ERR_INVALID_ARG_VALUE' } as const

/** It rejects so, and nothing is sent. */
const refuses = async (
  t: Test,
  what: string,
  work: () => Promise<unknown>,
  code: string,
  path: string,
): Promise<void> => {
  const sent = await sentBy(async () => {
    const error: unknown = await work().then(
      () => undefined,
      (reason: unknown) => reason,
    )
    t.match(error, { code, message: new RegExp(`"${path.replaceAll(/[.[\]]/g, '\\$&')}"`) }, what)
    t.notOk(IpvsError.is(error))
  })
  t.same(sent, [], `${what}: nothing was sent`)
}

const noObjects = [null, 1, 'x', true, [], [tcp], () => {}, Symbol('s'), 1n]

for (const { verb, given } of examples) {
  for (const [place, name] of Object.keys(given).entries()) {
    if (name === 'role') continue
    t.test(`the ${name} of ${verb} is an object`, async (t) => {
      for (const value of noObjects) {
        const values = Object.values({ ...given, [name]: value })
        await refuses(t, inspect(value), async () => call(verb, ...values), codes.type, name)
        const operations = [{ op: 'clear' }, { op: verb, ...given, [name]: value }]
        const path = `operations[1].${name}`
        await refuses(t, 'batch', async () => call('batch', operations), codes.type, path)
      }
      // Only the service of zero() may be left out.
      if (verb === 'zero') return
      const values = Object.values(given).with(place, undefined)
      await refuses(t, 'absent', async () => call(verb, ...values), codes.type, name)
      const { [name]: _absent, ...others } = given
      t.not(_absent, undefined)
      const path = `operations[0].${name}`
      const operations = [{ op: verb, ...others }]
      await refuses(t, 'absent', async () => call('batch', operations), codes.type, path)
    })

    t.test(`the ${name} of ${verb} has no unknown properties`, async (t) => {
      const value = { ...(given[name] as object), sheduler: 'rr' }
      const values = Object.values({ ...given, [name]: value })
      const path = `${name}.sheduler`
      await refuses(t, verb, async () => call(verb, ...values), codes.value, path)
      const operations = [{ op: verb, ...given, [name]: value }]
      const inBatch = `operations[0].${path}`
      await refuses(t, 'batch', async () => call('batch', operations), codes.value, inBatch)
    })
  }

  t.test(`${verb} takes no arguments of others (${Object.keys(given).join(', ')})`, async (t) => {
    const all = { service: tcp, destination: server, changes: {}, timeouts: {}, daemon: master }
    for (const [name, value] of Object.entries({ ...all, role: 'master', options: {} })) {
      if (name in given || (verb === 'zero' && name === 'service')) continue
      const operations = [{ op: verb, ...given, [name]: value }]
      const path = `operations[0].${name}`
      await refuses(t, name, async () => call('batch', operations), codes.value, path)
    }
  })

  t.test(`the options of ${verb} are checked (${Object.keys(given).join(', ')})`, async (t) => {
    const values = Object.values(given)
    // A verb without a key has its options in the same place as with one.
    if (verb === 'zero' && values.length === 0) values.push(undefined)
    for (const options of [null, 1, 'x', []]) {
      const work = async (): Promise<unknown> => call(verb, ...values, options)
      await refuses(t, String(options), work, codes.type, 'options')
    }
    const misspelt = async (): Promise<unknown> => call(verb, ...values, { singal: undefined })
    await refuses(t, 'misspelt', misspelt, codes.value, 'options.singal')
    const wrong = async (): Promise<unknown> => call(verb, ...values, { signal: 'now' })
    await refuses(t, 'no signal', wrong, codes.type, 'options.signal')
    const aborted = { signal: AbortSignal.abort() }
    const sent = await sentBy(async () =>
      t.rejects(call(verb, ...values, aborted), { name: 'AbortError', code: 'ABORT_ERR' }),
    )
    t.same(sent, [])
  })
}

t.test('options in the place of the key are no way to zero everything', async (t) => {
  const { signal } = new AbortController()
  await refuses(t, 'signal', async () => call('zero', { signal }), codes.value, 'service.signal')
  await refuses(t, 'empty', async () => call('zero', {}), codes.type, 'service.protocol')
})

t.test('an operation is an object with a known op', async (t) => {
  for (const value of [...noObjects, undefined]) {
    const operations = [{ op: 'clear' }, value]
    const work = async (): Promise<unknown> => call('batch', operations)
    await refuses(t, inspect(value), work, codes.type, 'operations[1]')
  }
  for (const value of [undefined, null, 1, ['clear'], {}]) {
    const work = async (): Promise<unknown> => call('batch', [{ op: value }])
    await refuses(t, inspect(value), work, codes.type, 'operations[0].op')
  }
  for (const value of ['', 'Clear', 'getService', 'batch', '__proto__', 'hasOwnProperty']) {
    const work = async (): Promise<unknown> => call('batch', [{ op: value }])
    await refuses(t, value, work, codes.value, 'operations[0].op')
  }
  for (const value of [undefined, null, { op: 'clear' }, 'clear', new Set([{ op: 'clear' }])]) {
    await refuses(t, inspect(value), async () => call('batch', value), codes.type, 'operations')
  }
})

// Outcomes.

t.test('a batch sends all at once, in order, and answers each in its place', async (t) => {
  const operations = examples.map(({ verb, given }) => ({ op: verb, ...given }))
  const errnos = examples.map((_, index) => (index % 2 === 1 ? ESRCH : 0))
  let outcomes: unknown
  const before = sendings.length
  const sent = await sentBy(async () => (outcomes = await call('batch', operations)), [errnos])
  t.equal(sendings.length, before + 1)
  t.same(
    sent.map((bytes) => headOf(bytes).command),
    examples.map(({ command }) => command),
  )
  examples.forEach(({ command }, index) => {
    const outcome = (outcomes as unknown[])[index]
    if (index % 2 === 0) return t.same(outcome, { ok: true })
    return t.match(outcome, { ok: false, error: { name: 'IpvsError', command, errno: -ESRCH } })
  })
  t.equal((outcomes as unknown[]).length, examples.length)
})

t.test('an error of a batch says what it was about', async (t) => {
  const operations = [
    { op: 'addDestination', service: mark, destination: { address: '2001:DB8:0::2' } },
    { op: 'deleteService', service: { ...tcp, scheduler: 'rr' } },
    { op: 'stopSyncDaemon', role: 'master' },
  ]
  let outcomes: unknown
  await sentBy(async () => (outcomes = await call('batch', operations)), [[EEXIST, ESRCH, ESRCH]])
  t.match(outcomes, [
    {
      error: {
        code: 'ERR_IPVS_DESTINATION_EXISTS',
        message: /add destination \[2001:db8::2\]:0 of service fwmark 7 \(ipv6\)/,
        service: mark,
        destination: { address: '2001:db8::2', port: 0 },
      },
    },
    { error: { code: 'ERR_IPVS_NO_SERVICE', message: /service tcp 10\.0\.0\.1:80/, service: tcp } },
    { error: { code: 'ERR_IPVS_NO_DAEMON', message: /stop the master daemon/ } },
  ])
  const [, , last] = outcomes as { error: object }[]
  t.notOk('service' in (last?.error ?? {}) || 'destination' in (last?.error ?? {}))
})

t.test('a batch of nothing sends nothing', async (t) => {
  t.same(await sentBy(async () => t.same(await call('batch', []), [])), [])
})

t.test('what a verb was given can be changed after the call', async (t) => {
  const given = { ...tcp }
  const operations = [{ op: 'deleteService', service: given }]
  const sent = await sentBy(async () => {
    const calls = [call('deleteService', given), call('batch', operations)]
    given.port = 81
    operations.length = 0
    await Promise.all(calls)
  })
  t.equal(sent.length, 2)
  for (const bytes of sent) t.match(recordsOf(bytes)['service'], { port: 80 })
})

t.test('what exists already is replaced, or left, where the caller says so', async (t) => {
  const commandsOf = (sent: readonly Buffer[]): string[] =>
    sent.map((bytes) => headOf(bytes).command)
  const added = { ...tcp, scheduler: 'rr' }
  // The addon edits what is there in the same place of the order (native/ipvs/codec.h).
  const kindOf = ([bytes]: readonly Buffer[]): number | undefined => bytes?.readUInt32LE(4)
  const replaced = await sentBy(async () => call('addService', added, { ifExists: 'edit' }))
  t.same(commandsOf(replaced), ['NEW_SERVICE'])
  t.equal(kindOf(replaced), 2)
  const edited = await sentBy(async () => call('addDestination', tcp, server, { ifExists: 'edit' }))
  t.same(commandsOf(edited), ['NEW_DEST'])
  t.equal(kindOf(edited), 2)
  const left = await sentBy(
    async () => call('addDestination', tcp, server, { ifExists: 'ignore' }),
    [[EEXIST]],
  )
  t.same(commandsOf(left), ['NEW_DEST'])
  t.equal(kindOf(left), 0)
  const refused = { code: 'ERR_IPVS_SERVICE_EXISTS' }
  for (const options of [undefined, { ifExists: 'refuse' }, { ifExists: undefined }]) {
    await sentBy(async () => t.rejects(call('addService', added, options), refused), [[EEXIST]])
  }
})

t.test('no other failure is taken for what exists or is missing', async (t) => {
  for (const ifExists of ['edit', 'ignore']) {
    const sent = await sentBy(
      async () =>
        t.rejects(call('addDestination', tcp, server, { ifExists }), {
          code: 'ERR_IPVS_NO_SERVICE',
        }),
      [[ESRCH]],
    )
    t.equal(sent.length, 1)
  }
  const options = { ifMissing: 'ignore' }
  const invalid = { code: 'ERR_IPVS_REFUSED' }
  await sentBy(async () => t.rejects(call('deleteService', tcp, options), invalid), [[EINVAL]])
  // Gone whenever it was to be edited.
  const exists = { code: 'ERR_IPVS_SERVICE_EXISTS' }
  await sentBy(
    async () => t.rejects(call('addService', tcp, { ifExists: 'edit' }), exists),
    [[EEXIST]],
  )
})

t.test('what is missing already is as good as deleted, where the caller says so', async (t) => {
  const options = { ifMissing: 'ignore' }
  await sentBy(async () => call('deleteService', tcp, options), [[ESRCH]])
  await sentBy(async () => call('deleteDestination', tcp, server, options), [[ENOENT]])
  await sentBy(async () => call('deleteDestination', tcp, server, options), [[ESRCH]])
  const missing = { code: 'ERR_IPVS_NO_DESTINATION' }
  await sentBy(async () => t.rejects(call('deleteDestination', tcp, server), missing), [[ENOENT]])
})

t.test('choices are checked before anything is sent', async (t) => {
  for (const value of ['', 'replace', 'EDIT', 'toString']) {
    const work = async (): Promise<unknown> => call('addService', tcp, { ifExists: value })
    await refuses(t, value, work, codes.value, 'options.ifExists')
  }
  for (const value of [null, true, ['edit']]) {
    const work = async (): Promise<unknown> => call('deleteService', tcp, { ifMissing: value })
    await refuses(t, inspect(value), work, codes.type, 'options.ifMissing')
  }
  for (const [verb, name] of [
    ['editService', 'ifExists'],
    ['addService', 'ifMissing'],
    ['deleteService', 'ifExists'],
  ] as const) {
    const work = async (): Promise<unknown> => call(verb, tcp, { [name]: 'ignore' })
    await refuses(t, verb, work, codes.value, `options.${name}`)
  }
})
