// The public verbs of a virtual server table.

import { ChangeQueue, recordFormat } from './batch.js'
import type { Command } from './commands.js'
import { abortError, errorFor, isAmbiguous, missingAfterProbe } from './errors.js'
import type { IpvsError, Request } from './errors.js'
import { Handle, takeOpenOptions, withSignal } from './handle.js'
import { prepare, prepareOperation, probeScheduler } from './operations.js'
import type { Verb } from './operations.js'
import { destinationsFrom, infoFrom, servicesFrom, snapshotFrom } from './snapshot.js'
import { nameService, takeServiceKey } from './service.js'
import { signalOf, takeBoolean, takeOptions, wrongType } from './validate.js'
import type { Properties } from './validate.js'
import type { Connection, Failure } from '../types/addon.js'
import type { DestinationConfig, DestinationKey } from '../types/destination.js'
import type {
  CallOptions,
  Ipvs,
  OpenOptions,
  Operation,
  OperationOutcome,
  ReadOptions,
  SnapshotOptions,
} from '../types/ipvs.js'
import type { Destination, Info, Service, VirtualServerState } from '../types/observed.js'
import type { ServiceConfig, ServiceKey } from '../types/service.js'

const okay = { ok: true } as const

const flagOf = (options: Properties, name: string): boolean =>
  options[name] === undefined ? false : takeBoolean(options[name], `options.${name}`)

interface Reading {
  readonly command: Command
  readonly what: string
  readonly service?: ServiceKey
}

class IpvsHandle implements Ipvs {
  readonly #handle: Handle<Connection>
  readonly #changes: ChangeQueue

  constructor(options: unknown) {
    const { netns, timeout } = takeOpenOptions(options)
    this.#handle = new Handle(netns, (addon) => new addon.Connection(netns, timeout))
    this.#changes = new ChangeQueue(this.#handle)
  }

  async open(): Promise<this> {
    await this.#handle.open()
    return this
  }

  async addService(config: ServiceConfig, options?: CallOptions): Promise<void> {
    return this.#change('addService', options, config)
  }

  async editService(config: ServiceConfig, options?: CallOptions): Promise<void> {
    return this.#change('editService', options, config)
  }

  async deleteService(key: ServiceKey, options?: CallOptions): Promise<void> {
    return this.#change('deleteService', options, key)
  }

  async addDestination(
    key: ServiceKey,
    config: DestinationConfig | Destination,
    options?: CallOptions,
  ): Promise<void> {
    return this.#change('addDestination', options, key, config)
  }

  async editDestination(
    key: ServiceKey,
    config: DestinationConfig | Destination,
    options?: CallOptions,
  ): Promise<void> {
    return this.#change('editDestination', options, key, config)
  }

  async deleteDestination(
    key: ServiceKey,
    destinationKey: DestinationKey,
    options?: CallOptions,
  ): Promise<void> {
    return this.#change('deleteDestination', options, key, destinationKey)
  }

  async clear(options?: CallOptions): Promise<void> {
    return this.#change('clear', options)
  }

  async batch(
    operations: readonly Operation[],
    options?: CallOptions,
  ): Promise<OperationOutcome[]> {
    const signal = signalOf(takeOptions(options))
    if (!Array.isArray(operations)) throw wrongType('operations', 'an array', operations)
    const changes = operations.map((operation, index) =>
      prepareOperation(operation, `operations[${index}]`),
    )
    const outcomes = await this.#changes.add('batch', changes, signal)
    return Promise.all(
      changes.map(async ({ request }, index) => {
        const failure = outcomes[index]
        return failure ? { ok: false, error: await this.#errorFor(failure, request) } : okay
      }),
    )
  }

  // The overloads of the interface say which of the two a caller gets.
  async getService(key: ServiceKey, options?: ReadOptions): Promise<Service<never>> {
    const given = takeOptions(options, ['bigint'])
    const bigint = flagOf(given, 'bigint')
    const identity = takeServiceKey(key, 'service')
    const name = nameService(identity.key)
    const reading = {
      command: 'GET_SERVICE',
      what: `read service ${name}`,
      service: identity.key,
    } as const
    const { records } = await this.#read(reading, given, (native) =>
      native.readService(recordFormat().serviceKey(identity.fields)),
    )
    return servicesFrom(records, bigint)[0] as Service<never>
  }

  async listServices(options?: ReadOptions): Promise<Service<never>[]> {
    const given = takeOptions(options, ['bigint'])
    const bigint = flagOf(given, 'bigint')
    const reading = { command: 'GET_SERVICE', what: 'list the services' } as const
    const { records } = await this.#read(reading, given, (native) => native.readServices())
    return servicesFrom(records, bigint) as Service<never>[]
  }

  async listDestinations(key: ServiceKey, options?: ReadOptions): Promise<Destination<never>[]> {
    const given = takeOptions(options, ['bigint'])
    const bigint = flagOf(given, 'bigint')
    const identity = takeServiceKey(key, 'service')
    const what = `list the destinations of service ${nameService(identity.key)}`
    const reading = { command: 'GET_DEST', what, service: identity.key } as const
    const { records } = await this.#read(reading, given, (native) =>
      native.readDestinations(recordFormat().serviceKey(identity.fields)),
    )
    return destinationsFrom(records, identity.fields.family, bigint) as Destination<never>[]
  }

  async snapshot(options?: SnapshotOptions): Promise<VirtualServerState<never>[]> {
    const given = takeOptions(options, ['bigint', 'consistent'])
    const bigint = flagOf(given, 'bigint')
    const consistent = flagOf(given, 'consistent')
    const reading = { command: 'GET_SERVICE', what: 'read the table' } as const
    const reply = await this.#read(reading, given, (native) => native.readAll(consistent))
    return snapshotFrom(reply, bigint) as VirtualServerState<never>[]
  }

  async info(options?: CallOptions): Promise<Info> {
    const reading = { command: 'GET_INFO', what: 'read the version of IPVS' } as const
    const { records } = await this.#read(reading, takeOptions(options), (native) =>
      native.readInfo(),
    )
    return infoFrom(records)
  }

  async close(): Promise<void> {
    return this.#handle.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #change(
    verb: Verb,
    options: unknown,
    service?: unknown,
    destination?: unknown,
  ): Promise<void> {
    const signal = signalOf(takeOptions(options))
    const change = prepare(verb, service, destination)
    const [failure] = await this.#changes.add(verb, [change], signal)
    if (failure) throw await this.#errorFor(failure, change.request)
  }

  async #errorFor(failure: Failure, request: Request): Promise<IpvsError> {
    if (!isAmbiguous(failure, request)) return errorFor(failure, request)
    const probe = probeScheduler(request.scheduler ?? '')
    const [found] = await this.#changes.add('probe', [probe], undefined).catch(() => [failure])
    return errorFor(failure, { ...request, missing: missingAfterProbe(found) })
  }

  async #read<Reply extends { readonly failure: Failure | undefined }>(
    { command, what, service }: Reading,
    options: Properties,
    read: (native: Connection) => Promise<Reply>,
  ): Promise<Reply> {
    const signal = signalOf(options)
    this.#handle.checkOpen(what)
    if (signal?.aborted === true) throw abortError(signal, false)
    const work = this.#handle.run(what, async (native) => {
      await this.#changes.settled()
      return read(native)
    })
    const reply = await withSignal(work, signal, () => false)
    if (!reply.failure) return reply
    throw errorFor(reply.failure, {
      command,
      what: () => what,
      ...(service && { service }),
      changes: false,
    })
  }
}

/** The virtual server table of another network namespace, or of the own with other options. */
export const openIpvs = async (options?: OpenOptions): Promise<Ipvs> =>
  new IpvsHandle(options).open()

/** The virtual server table of the process's own network namespace, opened at its first use. */
export const ipvs: Ipvs = new IpvsHandle(undefined)
