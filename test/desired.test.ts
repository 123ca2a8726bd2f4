// A desired state on its way: what is refused before anything is read, and what is done about changes
// that fail. The verbs that it is made of are played by a table that answers what it is told to.

import t from 'tap'

import { IpvsError } from 'ipvs-netlink'
import type {
  DesiredStateOptions,
  IpvsErrorCode,
  Operation,
  OperationOutcome,
  VirtualServer,
  VirtualServerState,
} from 'ipvs-netlink'
import { Controller } from '#lib/controller'

import { text } from './fixtures/tables.js'

/** Answers the same table each time, or the next one of a list. */
class Played extends Controller {
  readonly batches: (readonly Operation[])[] = []
  reads = 0
  codes: IpvsErrorCode[][] = []
  /** A reading that fails, by its number. */
  unreadable: Readonly<Record<number, Error>> = {}
  tables: VirtualServerState[][] = [[]]
  signals: unknown[] = []

  async snapshot({ signal }: { signal?: AbortSignal } = {}): Promise<VirtualServerState[]> {
    this.signals.push(signal)
    const failure = this.unreadable[this.reads]
    if (failure) throw failure
    return this.tables[this.reads++] ?? this.tables.at(-1) ?? []
  }

  async batch(
    operations: readonly Operation[],
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<OperationOutcome[]> {
    this.signals.push(signal)
    this.batches.push(operations)
    const codes = this.codes.shift() ?? []
    return operations.map((_, index) => {
      const code = codes[index]
      if (code === undefined) return { ok: true }
      return { ok: false, error: new IpvsError(code, { code, errno: -1, command: 'NEW_SERVICE' }) }
    })
  }
}

type Verb = (desired: unknown, options?: unknown) => Promise<unknown>

/** As a program without types would call them. */
const verbsOf = (played: Played): { readonly plan: Verb; readonly apply: Verb } =>
  ({
    plan: async (...given: [never]) => Controller.prototype.plan.apply(played as never, given),
    apply: async (...given: [never]) => Controller.prototype.apply.apply(played as never, given),
  }) as unknown as { readonly plan: Verb; readonly apply: Verb }

const apply = async (
  played: Played,
  desired: readonly VirtualServer[],
  options?: DesiredStateOptions,
) => Controller.prototype.apply.call(played as never, desired, options)

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const dns = { protocol: 'udp', address: '2001:db8::1', port: 53 } as const
const server = (n: number) => ({ address: `10.0.1.${n}` }) as const
const good = { ...web, destinations: [server(1)] } as const

const type = 'ERR_INVALID_ARG_TYPE'
const value = 'ERR_INVALID_ARG_VALUE'
const range = 'ERR_OUT_OF_RANGE'

interface Faulty {
  readonly desired: unknown
  /** Where, in order. */
  readonly paths: readonly string[]
  readonly code: string
  readonly options?: unknown
}

const holed: unknown[] = [good]
holed[2] = { ...dns, destinations: [] }

const faulty: Readonly<Record<string, Faulty>> = {
  nothing: { desired: undefined, paths: ['desired'], code: type },
  'a service alone': { desired: good, paths: ['desired'], code: type },
  'a hole': { desired: holed, paths: ['[1]'], code: type },
  'no destinations': { desired: [web], paths: ['[0].destinations'], code: type },
  'destinations that are no list': {
    desired: [good, { ...dns, destinations: { 0: server(1) } }],
    paths: ['[1].destinations'],
    code: type,
  },
  'a hole among destinations': {
    desired: [{ ...web, destinations: [server(1), , server(2)] }], // eslint-disable-line no-sparse-arrays
    paths: ['[0].destinations[1]'],
    code: type,
  },
  'one weight': {
    desired: [good, good, good, { ...dns, destinations: [] }].map((each, index) => ({
      ...each,
      port: index + 1,
      destinations: index === 3 ? [{ address: '::2' }, { address: '::3', weight: -1 }] : [],
    })),
    paths: ['[3].destinations[1].weight'],
    code: range,
  },
  'a misspelt property': {
    desired: [{ ...good, sheduler: 'rr' }],
    paths: ['[0].sheduler'],
    code: value,
  },
  'one in every service and destination': {
    desired: [
      { ...web, scheduler: '', destinations: [{ ...server(1), weight: 'x' }, { address: 'x' }] },
      { ...dns, destinations: [server(1), { address: '::2', port: 54 }] },
      { fwmark: 0, destinations: [] },
      { fwmark: 1, persistence: { timeout: 0 }, destinations: [{ ...server(1), forwarding: 'x' }] },
    ],
    paths: [
      '[0].scheduler',
      '[0].destinations[0].weight',
      '[0].destinations[1].address',
      '[1].destinations[0].address',
      '[1].destinations[1].port',
      '[2].fwmark',
      '[3].persistence.timeout',
      '[3].destinations[0].forwarding',
    ],
    code: value,
  },
  'a service twice': {
    desired: [
      { ...dns, destinations: [] },
      good,
      { ...dns, address: '2001:0DB8::0.0.0.1', scheduler: 'rr', destinations: [] },
    ],
    paths: ['[2]'],
    code: value,
  },
  'a mark twice': {
    desired: [
      { fwmark: 1, destinations: [] },
      { fwmark: 1, family: 'ipv6', destinations: [] },
      { fwmark: 1, family: 'ipv4', destinations: [] },
    ],
    paths: ['[2]'],
    code: value,
  },
  'a destination twice': {
    desired: [{ ...web, destinations: [server(1), server(2), { ...server(1), port: 80 }] }],
    paths: ['[0].destinations[2]'],
    code: value,
  },
  'local forwarding': {
    desired: [{ ...web, destinations: [{ ...server(1), forwarding: 'local' }] }],
    paths: ['[0].destinations[0].forwarding'],
    code: value,
  },
  'an unknown option': {
    desired: [],
    options: { purge: true },
    paths: ['options.purge'],
    code: value,
  },
  'prune as text': { desired: [], options: { prune: 'yes' }, paths: ['options.prune'], code: type },
  'owns as a list': { desired: [], options: { owns: [] }, paths: ['options.owns'], code: type },
  'keepWeights as a number': {
    desired: [],
    options: { keepWeights: 1 },
    paths: ['options.keepWeights'],
    code: type,
  },
  'a signal that is none': {
    desired: [],
    options: { signal: 1 },
    paths: ['options.signal'],
    code: type,
  },
}

for (const [title, { desired, options, paths, code }] of Object.entries(faulty)) {
  t.test(`${title} is refused before the table is read`, async (t) => {
    for (const verb of ['plan', 'apply'] as const) {
      const played = new Played()
      const { [verb]: call } = verbsOf(played)
      const error = await call(desired, options).then(
        () => t.fail(`${verb} accepted it`),
        (reason: unknown) => reason as Error & { code: string; errors?: Error[] },
      )
      if (typeof error === 'boolean') return
      t.equal(error.code, code)
      t.equal(error.name, code === range ? 'RangeError' : 'TypeError')
      const named = [...error.message.matchAll(/The property "([^"]+)"/g)].map(([, path]) => path)
      t.same(named, paths)
      if (paths[0]?.startsWith('[') === true) {
        t.same(
          error.errors?.map(({ message }) => /"([^"]+)"/.exec(message)?.[1]),
          paths,
        )
      }
      t.equal(played.reads, 0)
      t.equal(played.batches.length, 0)
    }
  })
}

/** A table as it is read, of what is declared. */
const readOf = async (desired: readonly VirtualServer[]): Promise<VirtualServerState[]> => {
  const { changes } = await Controller.prototype.plan.call(new Played() as never, desired)
  const services: Record<string, unknown>[] = []
  for (const { op, after } of changes) {
    if (op === 'addService') services.push({ ...after, destinations: [] })
    else (services.at(-1)?.['destinations'] as unknown[]).unshift(after)
  }
  return services as unknown as VirtualServerState[]
}

t.test('where nothing differs, nothing is sent', async (t) => {
  const played = new Played()
  const desired = [good, { ...dns, destinations: [{ address: '::2' }] }]
  played.tables = [await readOf(desired)]
  t.same(await apply(played, desired, { prune: true }), { changes: [], failed: [] })
  t.equal(played.reads, 1)
  t.same(played.batches, [])
})

t.test('the changes of a plan are what a batch takes', async (t) => {
  const played = new Played()
  const { changes, failed } = await apply(played, [good])
  t.same(failed, [])
  t.same(played.batches, [changes])
  t.same(
    changes.map(({ op }) => op),
    ['addService', 'addDestination'],
  )
})

const lostCodes = [
  'ERR_IPVS_SERVICE_EXISTS',
  'ERR_IPVS_NO_SERVICE',
  'ERR_IPVS_DESTINATION_EXISTS',
  'ERR_IPVS_NO_DESTINATION',
  'ERR_IPVS_OUTCOME_UNKNOWN',
] as const

for (const code of lostCodes) {
  t.test(`${code}: the table is read again`, async (t) => {
    const played = new Played()
    played.tables = [[], await readOf([good])]
    played.codes = [[code]]
    const { changes, failed } = await apply(played, [good])
    t.same(failed, [])
    t.equal(played.reads, 2)
    t.equal(played.batches.length, 1)
    // Where nobody knew, the table shows that it was made; else somebody else was quicker.
    const first = code === 'ERR_IPVS_OUTCOME_UNKNOWN' ? ['addService'] : []
    t.same(
      changes.map(({ op }) => op),
      [...first, 'addDestination'],
    )
  })

  t.test(`${code}: up to five times, then it is reported`, async (t) => {
    const played = new Played()
    played.codes = Array.from({ length: 9 }, () => [code, code])
    const { changes, failed } = await apply(played, [good])
    t.same(changes, [])
    t.equal(played.reads, 5)
    t.equal(played.batches.length, 5)
    t.match(failed, [
      { change: { op: 'addService' }, error: { code } },
      { change: { op: 'addDestination' }, error: { code } },
    ])
    t.equal(failed.length, 2)
  })
}

t.test('a change of unknown outcome that is needed again was not made before', async (t) => {
  const played = new Played()
  played.codes = [['ERR_IPVS_OUTCOME_UNKNOWN']]
  const { changes, failed } = await apply(played, [good])
  t.same(failed, [])
  t.same(
    changes.map(({ op }) => op),
    ['addDestination', 'addService', 'addDestination'],
    'each once as often as it was made',
  )
})

t.test('of an unknown change that depends on a refused one nothing is claimed', async (t) => {
  const played = new Played()
  const [refused, unknown] = ['ERR_IPVS_NO_SCHEDULER', 'ERR_IPVS_OUTCOME_UNKNOWN'] as const
  played.codes = [[refused, unknown, unknown]]
  const { changes, failed } = await apply(played, [good, { ...dns, destinations: [] }])
  t.match(played.batches[0], [{ op: 'addService' }, { op: 'addDestination' }, { op: 'addService' }])
  t.match(changes, [{ op: 'addService', service: dns }], 'the second time')
  t.equal(changes.length, 1)
  t.match(failed, [{ change: { op: 'addService', service: web } }])
  t.equal(failed.length, 1)
})

t.test('an error of a predicate in a later round is told with what was made', async (t) => {
  const played = new Played()
  const table = await readOf([good])
  played.tables = [table, table]
  played.codes = [['ERR_IPVS_NO_DESTINATION']]
  const mine = new Error('mine')
  Object.freeze(mine)
  let asked = 0
  const keepWeights = (): boolean => {
    if (++asked > 1) throw mine
    return false
  }
  const desired = [{ ...good, destinations: [{ ...server(1), weight: 7 }, server(2)] }]
  await t.rejects(apply(played, desired, { keepWeights }), {
    name: 'Error',
    message: /^1 change was made, .* 1 change was not made, .* Of the rest: Error: mine$/,
    cause: mine,
    changes: [{}],
    failed: [{ error: { code: 'ERR_IPVS_NO_DESTINATION' } }],
  })
})

t.test('the options are read when it is called', async (t) => {
  const played = new Played()
  const [first, second] = [new AbortController().signal, new AbortController().signal]
  const many = Array.from({ length: 20_000 }, (_, n) => ({ fwmark: n + 1, destinations: [] }))
  const options = { signal: first }
  const planning = verbsOf(played).plan(many, options)
  t.same(played.signals, [], 'it is still being checked')
  options.signal = second
  await planning
  t.ok(played.signals[0] === first)
})

const read = (code: IpvsErrorCode): IpvsError =>
  new IpvsError(`Cannot read: ${code}; nothing was changed`, {
    code,
    errno: -110,
    command: 'GET_SERVICE',
  })

t.test('what ends it early does not hide what was made, refused, or is unknown', async (t) => {
  const codes = [undefined, 'ERR_IPVS_REFUSED', 'ERR_IPVS_OUTCOME_UNKNOWN'] as IpvsErrorCode[]
  const desired = [{ ...good, destinations: [server(1), server(2)] }]
  const played = new Played()
  played.codes = [codes]
  played.unreadable = { 1: read('ERR_IPVS_TIMEOUT') }
  await t.rejects(apply(played, desired), {
    name: 'IpvsError',
    code: 'ERR_IPVS_OUTCOME_UNKNOWN',
    errno: -110,
    message:
      /^1 change was made, .* 1 change may have been made, .* 1 change was not made, .*rest:/,
    cause: { code: 'ERR_IPVS_TIMEOUT' },
    changes: [{ op: 'addService' }],
    failed: [
      { change: { destination: { address: '10.0.1.1' } }, error: { code: 'ERR_IPVS_REFUSED' } },
      {
        change: { destination: { address: '10.0.1.2' } },
        error: { code: 'ERR_IPVS_OUTCOME_UNKNOWN' },
      },
    ],
  })

  const aborted = new Played()
  aborted.codes = [['ERR_IPVS_OUTCOME_UNKNOWN']]
  const abort = Object.assign(new Error('The call was aborted before it was sent'), {
    name: 'AbortError',
    code: 'ABORT_ERR',
  })
  aborted.unreadable = { 1: abort }
  await t.rejects(apply(aborted, [{ ...web, destinations: [] }]), {
    name: 'AbortError',
    message: /^1 change may have been made, and is in its failed\. Of the rest: The call was/,
    changes: [],
    failed: [{ change: { op: 'addService' } }],
  })

  const untouched = new Played()
  const failure = read('ERR_IPVS_TIMEOUT')
  untouched.unreadable = { 0: failure }
  await t.rejects(apply(untouched, desired), failure)
  const lost = new Played()
  lost.codes = [['ERR_IPVS_SERVICE_EXISTS', 'ERR_IPVS_NO_SERVICE', 'ERR_IPVS_NO_SERVICE']]
  lost.unreadable = { 1: failure }
  await t.rejects(apply(lost, desired), {
    code: 'ERR_IPVS_TIMEOUT',
    message: /^3 changes were not made, .* Of the rest: .*nothing was changed$/,
  })
})

t.test('what the kernel refuses is not tried again, nor what depends on it', async (t) => {
  const played = new Played()
  const desired = [
    { ...good, destinations: [server(1), server(2)] },
    { ...dns, destinations: [{ address: '::2' }] },
  ]
  const [refused, missing] = ['ERR_IPVS_NO_SCHEDULER', 'ERR_IPVS_NO_SERVICE'] as const
  // The first service, its two destinations; of the second the destination is lost once.
  played.codes = [[refused, missing, missing, undefined as never, missing]]
  const { failed } = await apply(played, desired)
  t.match(failed, [{ change: { op: 'addService', service: web }, error: { code: refused } }])
  t.equal(failed.length, 1)
  const [, second = [], third] = played.batches
  t.equal(third, undefined)
  t.same(
    second.map(({ op }) => op),
    ['addService', 'addDestination'],
  )
  t.ok(second.every((operation) => text(operation).includes('2001:db8::1')))
})

t.test('predicates have to answer a boolean at once', async (t) => {
  const played = new Played()
  played.tables = [await readOf([good])]
  const { apply: call } = verbsOf(played)
  const late = async (): Promise<boolean> => false
  await t.rejects(call([], { prune: true, owns: late }), {
    name: 'TypeError',
    code: type,
    message: /"options\.owns\(\)" must be a boolean/,
  })
  await t.rejects(call([good], { keepWeights: late }), {
    code: type,
    message: /"options\.keepWeights\(\)" must be a boolean/,
  })
  const own = new Error('mine')
  await t.rejects(
    call([], {
      prune: true,
      owns: () => {
        throw own
      },
    }),
    own,
  )
  t.same(played.batches, [])
})

t.test('the signal goes with every call', async (t) => {
  const played = new Played()
  const { signal } = new AbortController()
  await apply(played, [good], { signal })
  t.same(played.signals.length, 2)
  t.ok(played.signals.every((each) => each === signal))
})

t.test('what is applied is what was declared when the call was made', async (t) => {
  // So that every 64 entries wait for a turn of the event loop.
  let time = 0
  t.intercept(performance, 'now', { value: () => (time += 100), configurable: true })
  const destinations = Array.from({ length: 200 }, (_, index) => ({
    ...server(index),
    forwarding: 'tun' as const,
    weight: 1,
    tunnel: { type: 'gue' as const, port: 6080 },
  }))
  const last = {
    ...dns,
    port: 54,
    persistence: { timeout: 60 },
    schedulerFlags: ['flag-1' as const],
  }
  const desired: unknown[] = [
    { ...web, destinations },
    { ...last, destinations: [] },
  ]
  const before = structuredClone(desired)
  const played = new Played()
  const applying = apply(played, desired as VirtualServer[])
  // What stands there is read late: all that can be changed is.
  destinations.push({
    ...server(250),
    forwarding: 'tun',
    weight: 1,
    tunnel: { type: 'gue', port: 1 },
  })
  for (const each of destinations) {
    each.weight = -1
    each.tunnel.port = 0
  }
  last.persistence.timeout = 0
  last.schedulerFlags.length = 0
  desired.push({ ...dns, destinations: [] })
  const { changes } = await applying
  const expected = new Played()
  t.same(changes, (await apply(expected, before as VirtualServer[])).changes)
  t.equal(changes.length, 202)
  t.same(played.batches, expected.batches)
})

t.test('instances of classes can be declared', async (t) => {
  class Server {
    readonly #number: number
    constructor(number: number) {
      this.#number = number
    }
    get address(): string {
      return `10.0.1.${this.#number}`
    }
  }
  const declared = [{ ...web, destinations: [new Server(1)] }]
  const { changes } = await apply(new Played(), declared)
  t.match(changes, [{ op: 'addService' }, { op: 'addDestination', destination: server(1) }])
})
