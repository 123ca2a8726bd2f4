// Tells whoever listens on the channel `ipvs-netlink:request` of each request to the kernel. While
// nobody listens, nothing is measured or made, and a call is the addon's own.

import { channel } from 'node:diagnostics_channel'

import { commands } from './commands.js'
import { Stage } from './meanings.js'
import { recordFormat } from './records.js'
import { failureOfRejection } from './rejection.js'
import type { Connection, Failure } from '../types/addon.js'
import type { RequestTrace } from '../types/tracing.js'

const requests = channel('ipvs-netlink:request')

/** Calls that ask the kernel nothing, or make changes. */
type Other = 'open' | 'close' | 'openTable' | 'closeTable' | 'apply'

/** The command of each call that reads. */
const reading: Readonly<Record<Exclude<keyof Connection, Other>, string>> = {
  readService: 'GET_SERVICE',
  readServices: 'GET_SERVICE',
  readDestinations: 'GET_DEST',
  readAll: 'GET_SERVICE',
  readPart: 'GET_DEST',
  readColumns: 'GET_SERVICE',
  readConfig: 'GET_CONFIG',
  readDaemons: 'GET_DAEMON',
  readInfo: 'GET_INFO',
  readTotals: 'proc',
  readTable: 'proc',
}

type Call = (...given: unknown[]) => Promise<unknown>

/** Of everything in a value. */
const bytesIn = (value: unknown): number => {
  if (typeof value !== 'object' || value === null) return 0
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return value.byteLength
  return Object.values<unknown>({ ...value }).reduce<number>((sum, each) => sum + bytesIn(each), 0)
}

/** Stages of what did not succeed. */
const stagesOf = (reply: object): number[] => {
  if ('outcomes' in reply && reply.outcomes instanceof ArrayBuffer) {
    const pairs = new Int32Array(reply.outcomes)
    return [...pairs.filter((stage, index) => index % 2 === 0 && stage !== Stage.none)]
  }
  const { failure } = reply as { readonly failure?: Failure }
  return failure ? [failure.stage] : []
}

const outcomeOf = (stages: readonly number[], changes: boolean): RequestTrace['outcome'] => {
  if (stages.length === 0) return 'ok'
  if (changes && stages.includes(Stage.reply)) return 'unknown'
  return stages.every((stage) => stage === Stage.kernel) ? 'refused' : 'failed'
}

const nameOf = (number = 0): string =>
  Object.entries(commands).find(([, each]) => each === number)?.[0] ?? String(number)

/** Of the changes that a request carries; each record begins with its command. */
const changesOf = (operations: Uint8Array): { command: string; count: number } => {
  const { size } = recordFormat().operation
  const count = operations.byteLength / size
  const { buffer, byteOffset } = operations
  const words = new Uint32Array(buffer, byteOffset, operations.byteLength / 4)
  const numbers = new Set(Array.from({ length: count }, (_, index) => words[(index * size) / 4]))
  const [first] = numbers
  return { command: numbers.size === 1 ? nameOf(first) : 'mixed', count }
}

const isReading = (name: string | symbol): name is keyof typeof reading => name in reading

const trace = async (
  name: 'apply' | keyof typeof reading,
  call: Call,
  given: unknown[],
): Promise<unknown> => {
  const [operations] = given
  const changes = name === 'apply'
  const { command, count } = changes
    ? changesOf(operations as Uint8Array)
    : { command: reading[name], count: 1 }
  const start = performance.now()
  const tell = (stages: readonly number[], reply?: object): void => {
    const message: RequestTrace = {
      command,
      count,
      bytes: bytesIn([given, reply]),
      start,
      duration: performance.now() - start,
      outcome: outcomeOf(stages, changes),
      failures: stages.length,
    }
    requests.publish(message)
  }
  try {
    const reply = (await call(...given)) as object | undefined
    tell(reply ? stagesOf(reply) : [], reply)
    return reply
  } catch (error) {
    tell(Array<number>(count).fill(failureOfRejection(error).stage))
    throw error
  }
}

/** The same connection, whose requests are told. */
export const traced = (native: Connection): Connection => {
  const calls = new Map<string | symbol, unknown>()
  const wrap = (name: string | symbol): unknown => {
    const value = Reflect.get(native, name) as unknown
    if (typeof value !== 'function') return value
    const call = (value as Call).bind(native)
    if (name !== 'apply' && !isReading(name)) return call
    return (...given: unknown[]) =>
      requests.hasSubscribers ? trace(name, call, given) : call(...given)
  }
  return new Proxy(native, {
    get: (_, name) => {
      if (!calls.has(name)) calls.set(name, wrap(name))
      return calls.get(name)
    },
  })
}
