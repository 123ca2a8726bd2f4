// What a test says of a fake, checked.

import { constants } from 'node:os'

import type { Counters, FakeMachine } from './fake-kernel.js'
import { meaningOf, Stage } from './meanings.js'
import type { KnownFailure } from './meanings.js'
import type { ObservedFields } from './records.js'
import {
  orDefault,
  takeInteger,
  takeName,
  takeNumericAddress,
  takeObject,
  takeOneOf,
  wrongType,
  wrongValue,
} from './validate.js'
import type { Properties } from './validate.js'
import type { Failure } from '../types/addon.js'
import type { ConnectionEntry, Endpoint } from '../types/connection.js'
import type { IpvsErrorCode } from '../types/error.js'
import type { FakeVerb } from '../types/testing.js'

const { errno } = constants

const everyScheduler = 'rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos'.split(' ')

const takeNames = (
  value: unknown,
  path: string,
  most: number,
  fallback: readonly string[],
): ReadonlySet<string> => {
  const names = orDefault(value, fallback)
  if (!Array.isArray(names)) throw wrongType(path, 'an array', names)
  return new Set(
    Array.from(names, (name: unknown, index) => takeName(name, `${path}[${index}]`, most)),
  )
}

export const takeMachine = (value: unknown): FakeMachine => {
  const options =
    value === undefined ? {} : takeObject(value, 'options', ['schedulers', 'engines', 'devices'])
  return {
    schedulers: takeNames(options['schedulers'], 'options.schedulers', 15, everyScheduler),
    engines: takeNames(options['engines'], 'options.engines', 16, ['sip']),
    devices: takeNames(options['devices'], 'options.devices', 15, ['eth0']),
  }
}

const totals = ['connections', 'packetsIn', 'packetsOut', 'bytesIn', 'bytesOut'] as const
const rates = totals.map((name) => `${name}PerSecond`)
const observed = ['activeConnections', 'inactiveConnections', 'persistentConnections']

const most64 = 2n ** 64n - 1n

const takeTotal = (value: unknown, path: string): bigint => {
  if (typeof value !== 'bigint') {
    return BigInt(takeInteger(value, path, 0, Number.MAX_SAFE_INTEGER))
  }
  if (value < 0n || value > most64) throw wrongValue(path, `0 to ${String(most64)}`, value)
  return value
}

const takeAll = <T>(
  properties: Properties,
  names: readonly string[],
  take: (value: unknown, path: string) => T,
): Record<string, T> => {
  const named = names.filter((name) => properties[name] !== undefined)
  return Object.fromEntries(
    named.map((name) => [name, take(properties[name], `counters.${name}`)] as const),
  )
}

/** Counters, and of a destination its connections. */
export const takeCounters = (
  value: unknown,
  ofDestination: boolean,
): { readonly counters: Partial<Counters>; readonly observed: Partial<ObservedFields> } => {
  const more = ofDestination ? observed : []
  const properties = takeObject(value, 'counters', [...totals, ...rates, ...more])
  return {
    counters: {
      ...takeAll(properties, totals, takeTotal),
      ...takeAll(properties, rates, (each, path) =>
        takeInteger(each, path, 0, Number.MAX_SAFE_INTEGER),
      ),
    },
    observed: takeAll(properties, more, (each, path) => takeInteger(each, path, 0, 2 ** 32 - 1)),
  }
}

const takeEndpoint = (value: unknown, path: string): Endpoint => {
  const { address, port } = takeObject(value, path, ['address', 'port'])
  takeNumericAddress(address, `${path}.address`)
  return { address: address as string, port: takeInteger(port, `${path}.port`, 0, 65535) }
}

const takeWord = (value: unknown, path: string): string => {
  const allowed = 'a word without blanks'
  if (typeof value !== 'string') throw wrongType(path, allowed, value)
  if (!/^[\x21-\x7e]+$/.test(value)) throw wrongValue(path, allowed, value)
  return value
}

const takePersistence = (value: unknown, path: string): ConnectionEntry['persistence'] => {
  if (value === undefined) return undefined
  const { engine, data } = takeObject(value, path, ['engine', 'data'])
  const allowed = 'text of one line'
  if (typeof data !== 'string') throw wrongType(`${path}.data`, allowed, data)
  if (data.includes('\n')) throw wrongValue(`${path}.data`, allowed, data)
  return { engine: takeWord(engine, `${path}.engine`), data }
}

const entryNames = ['protocol', 'client', 'virtual', 'destination', 'state', 'expires']

const takeEntry = (value: unknown, path: string): ConnectionEntry => {
  const names = [...entryNames, 'template', 'persistence']
  const properties = takeObject(value, path, names)
  const client = takeEndpoint(properties['client'], `${path}.client`)
  const template = client.port === 0
  const said = orDefault(properties['template'], template)
  if (said !== template) {
    throw wrongValue(
      `${path}.template`,
      `${template}, since the client's port is ${client.port}`,
      said,
    )
  }
  const persistence = takePersistence(properties['persistence'], `${path}.persistence`)
  return {
    protocol: takeWord(properties['protocol'], `${path}.protocol`),
    client,
    virtual: takeEndpoint(properties['virtual'], `${path}.virtual`),
    destination: takeEndpoint(properties['destination'], `${path}.destination`),
    state: takeWord(properties['state'], `${path}.state`),
    expires: takeInteger(properties['expires'], `${path}.expires`, 0, 2 ** 32 - 1),
    template,
    ...(persistence && { persistence }),
  }
}

export const takeEntries = (value: unknown): ConnectionEntry[] => {
  if (!Array.isArray(value)) throw wrongType('entries', 'an array', value)
  return Array.from(value, (entry: unknown, index) => takeEntry(entry, `entries[${index}]`))
}

/** The kernel's command of each verb, and whether it changes something. */
const verbs = {
  addService: ['NEW_SERVICE', true],
  editService: ['SET_SERVICE', true],
  patchService: ['SET_SERVICE', true],
  deleteService: ['DEL_SERVICE', true],
  getService: ['GET_SERVICE', false],
  listServices: ['GET_SERVICE', false],
  addDestination: ['NEW_DEST', true],
  editDestination: ['SET_DEST', true],
  patchDestination: ['SET_DEST', true],
  deleteDestination: ['DEL_DEST', true],
  listDestinations: ['GET_DEST', false],
  snapshot: ['GET_SERVICE', false],
  stream: ['GET_SERVICE', false],
  columns: ['GET_SERVICE', false],
  clear: ['FLUSH', true],
  zero: ['ZERO', true],
  timeouts: ['GET_CONFIG', false],
  setTimeouts: ['SET_CONFIG', true],
  syncDaemons: ['GET_DAEMON', false],
  startSyncDaemon: ['NEW_DAEMON', true],
  stopSyncDaemon: ['DEL_DAEMON', true],
  connections: ['proc', false],
  totals: ['proc', false],
  info: ['GET_INFO', false],
} as const satisfies Readonly<Record<FakeVerb, readonly [command: string, changes: boolean]>>

const kernel = (number: number): Failure => ({ stage: Stage.kernel, errno: number, text: '' })
const before = (number: number): Failure => ({ stage: Stage.family, errno: number, text: '' })
const after = (number: number): Failure => ({ stage: Stage.reply, errno: number, text: '' })

/** What may have happened for each code. */
const causes: Readonly<Partial<Record<IpvsErrorCode, KnownFailure>>> = {
  ERR_IPVS_SERVICE_EXISTS: kernel(errno.EEXIST),
  ERR_IPVS_NO_SERVICE: kernel(errno.ESRCH),
  ERR_IPVS_DESTINATION_EXISTS: kernel(errno.EEXIST),
  ERR_IPVS_NO_DESTINATION: kernel(errno.ENOENT),
  ERR_IPVS_NO_SCHEDULER: { ...kernel(errno.ENOENT), missing: 'scheduler' },
  ERR_IPVS_NO_PERSISTENCE_ENGINE: { ...kernel(errno.ENOENT), missing: 'engine' },
  ERR_IPVS_DAEMON_RUNNING: kernel(errno.EEXIST),
  ERR_IPVS_NO_DAEMON: kernel(errno.ESRCH),
  ERR_IPVS_REFUSED: kernel(errno.ENOMEM),
  ERR_IPVS_PERMISSION: kernel(errno.EPERM),
  ERR_IPVS_NOT_AVAILABLE: before(errno.ENOENT),
  ERR_IPVS_OUTCOME_UNKNOWN: after(errno.ENOBUFS),
  ERR_IPVS_TIMEOUT: before(errno.ETIMEDOUT),
  ERR_IPVS_MALFORMED_REPLY: before(errno.EBADMSG),
}

/** The code of a verb's failure; only a call that names an engine can miss it. */
const codeOf = (verb: FakeVerb, failure: KnownFailure): IpvsErrorCode => {
  const [command, changes] = verbs[verb]
  const named = failure.missing === 'engine' && { engine: '' }
  return meaningOf(failure, { command, changes, what: () => '', ...named }).code
}

/** A verb, and what has to happen so that it rejects with the code. */
export const takeFault = (
  verb: unknown,
  code: unknown,
): { readonly verb: FakeVerb; readonly failure: KnownFailure } => {
  const name = takeOneOf(verb, 'verb', Object.keys(verbs) as FakeVerb[])
  const known = Object.entries(causes) as [IpvsErrorCode, KnownFailure][]
  const wanted = takeOneOf(
    code,
    'code',
    known.map(([each]) => each),
  )
  const possible = new Map(known.filter(([each, failure]) => codeOf(name, failure) === each))
  const failure = possible.get(wanted)
  if (!failure) {
    const list = [...possible.keys()].join(', ')
    throw wrongValue('code', `one that ${name} can have: ${list}`, code)
  }
  return { verb: name, failure }
}
