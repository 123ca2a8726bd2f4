// The public verbs of a virtual server table.

import { ChangeQueue } from './batch.js'
import { announceClosing } from './closing.js'
import { abortError } from './errors.js'
import { Changes } from './changes.js'
import { readConnections, takeConnectionFilter, totalsFrom } from './connections.js'
import type { Run } from './connections.js'
import { Controller } from './controller.js'
import { Group } from './group.js'
import { connect, Handle, takeOpenOptions, withSignal } from './handle.js'
import { Memory } from './memory.js'
import { addOperations, groupForBatch } from './operations.js'
import { unlessFailed } from './reading.js'
import type { Answer, Reading } from './reading.js'
import { recordFormat } from './records.js'
import { destinationsFrom, infoFrom, servicesFrom, snapshotFrom } from './snapshot.js'
import { streamTable } from './stream.js'
import type { ReadReply } from './stream.js'
import { keyOfFields, nameService, takeServiceKey } from './service.js'
import { describeDaemon, describeTimeouts } from './sync.js'
import { stepInTurns } from './turns.js'
import { flagOf, signalOf, takeOptions, takeSignal, wrongType } from './validate.js'
import type { Properties } from './validate.js'
import type { Connection } from '../types/addon.js'
import type { ColumnOptions, TableColumns } from '../types/columns.js'
import type { ConnectionEntry, ConnectionFilter } from '../types/connection.js'
import type { DestinationChanges, DestinationConfig, DestinationKey } from '../types/destination.js'
import type {
  AddOptions,
  CallOptions,
  DeleteOptions,
  Ipvs,
  OpenOptions,
  Operation,
  OperationOutcome,
  ReadOptions,
  SnapshotOptions,
} from '../types/ipvs.js'
import type { Destination, Info, Service, Stats, VirtualServerState } from '../types/observed.js'
import type { ServiceChanges, ServiceConfig, ServiceKey } from '../types/service.js'
import type { SyncDaemon, SyncDaemonConfig, SyncRole, Timeouts } from '../types/sync.js'

const wholeTable = { command: 'GET_SERVICE', what: 'read the table' } as const

/** A handle on a table: the kernel's, or what `makeConnection` answers for. */
export class IpvsHandle extends Controller implements Ipvs {
  readonly #handle: Handle<Connection>
  readonly #queue: ChangeQueue
  readonly #changes: Changes

  constructor(options: unknown, makeConnection = connect) {
    super()
    const { netns, timeout } = takeOpenOptions(options)
    this.#handle = new Handle('ipvs', netns, () => makeConnection(netns, timeout))
    this.#queue = new ChangeQueue(this.#handle)
    this.#changes = new Changes(this.#queue)
    announceClosing(this, this.#handle.closing)
  }

  async open(): Promise<this> {
    await this.#handle.open()
    return this
  }

  addService(config: ServiceConfig, options?: AddOptions): Promise<void> {
    return this.#changes.add('addService', { service: config }, options)
  }

  editService(config: ServiceConfig, options?: CallOptions): Promise<void> {
    return this.#changes.change('editService', { service: config }, options)
  }

  patchService(key: ServiceKey, changes: ServiceChanges, options?: CallOptions): Promise<void> {
    return this.#changes.change('patchService', { service: key, changes }, options)
  }

  deleteService(key: ServiceKey, options?: DeleteOptions): Promise<void> {
    return this.#changes.delete('deleteService', { service: key }, options)
  }

  addDestination(
    key: ServiceKey,
    config: DestinationConfig | Destination<number | bigint>,
    options?: AddOptions,
  ): Promise<void> {
    return options === undefined
      ? this.#changes.changeDirectly('addDestination', key, config)
      : this.#changes.add('addDestination', { service: key, destination: config }, options)
  }

  editDestination(
    key: ServiceKey,
    config: DestinationConfig | Destination<number | bigint>,
    options?: CallOptions,
  ): Promise<void> {
    return options === undefined
      ? this.#changes.changeDirectly('editDestination', key, config)
      : this.#changes.change('editDestination', { service: key, destination: config }, options)
  }

  patchDestination(
    key: ServiceKey,
    destinationKey: DestinationKey,
    changes: DestinationChanges,
    options?: CallOptions,
  ): Promise<void> {
    const values = { service: key, destination: destinationKey, changes }
    return this.#changes.change('patchDestination', values, options)
  }

  deleteDestination(
    key: ServiceKey,
    destinationKey: DestinationKey,
    options?: DeleteOptions,
  ): Promise<void> {
    return options === undefined
      ? this.#changes.changeDirectly('deleteDestination', key, destinationKey)
      : this.#changes.delete(
          'deleteDestination',
          { service: key, destination: destinationKey },
          options,
        )
  }

  zero(key?: ServiceKey, options?: CallOptions): Promise<void> {
    return this.#changes.change('zero', { service: key }, options)
  }

  setTimeouts(timeouts: Partial<Timeouts>, options?: CallOptions): Promise<void> {
    return this.#changes.change('setTimeouts', { timeouts }, options)
  }

  startSyncDaemon(config: SyncDaemonConfig, options?: CallOptions): Promise<void> {
    return this.#changes.change('startSyncDaemon', { daemon: config }, options)
  }

  stopSyncDaemon(role: SyncRole, options?: CallOptions): Promise<void> {
    return this.#changes.change('stopSyncDaemon', { role }, options)
  }

  clear(options?: CallOptions): Promise<void> {
    return this.#changes.change('clear', {}, options)
  }

  batch(operations: readonly Operation[], options?: CallOptions): Promise<OperationOutcome[]> {
    return this.#handle.track(this.#batch(operations, options))
  }

  async #batch(
    operations: readonly Operation[],
    options: CallOptions | undefined,
  ): Promise<OperationOutcome[]> {
    const signal = signalOf(takeOptions(options))
    if (!Array.isArray(operations)) throw wrongType('operations', 'an array', operations)
    const group = groupForBatch(() => new Group(operations.length), operations)
    const checking = addOperations(group, operations)
    group.prepare(checking)
    this.#queue.send('batch', group, 0, signal)
    await checking
    await (signal ? this.#queue.ended(group, signal) : group.ended())
    return stepInTurns(group.outcomes())
  }

  // The overloads of the interface say which of the two a caller gets.
  async getService(key: ServiceKey, options?: ReadOptions): Promise<Service<never>> {
    const given = takeOptions(options, ['bigint'])
    const bigint = flagOf(given, 'bigint')
    const identity = takeServiceKey(key, 'service')
    const service = keyOfFields(identity.fields)
    const what = `read service ${nameService(service)}`
    const reading = { command: 'GET_SERVICE', what, service } as const
    const { records } = await this.#read(reading, given, (native) =>
      native.readService(recordFormat().service.make(identity.fields)),
    )
    return (await servicesFrom(records, bigint))[0] as Service<never>
  }

  async listServices(options?: ReadOptions): Promise<Service<never>[]> {
    const given = takeOptions(options, ['bigint'])
    const bigint = flagOf(given, 'bigint')
    const reading = { command: 'GET_SERVICE', what: 'list the services' } as const
    const { records } = await this.#read(reading, given, (native) => native.readServices())
    return (await servicesFrom(records, bigint)) as Service<never>[]
  }

  async listDestinations(key: ServiceKey, options?: ReadOptions): Promise<Destination<never>[]> {
    const given = takeOptions(options, ['bigint'])
    const bigint = flagOf(given, 'bigint')
    const identity = takeServiceKey(key, 'service')
    const service = keyOfFields(identity.fields)
    const what = `list the destinations of service ${nameService(service)}`
    const reading = { command: 'GET_DEST', what, service } as const
    const { records } = await this.#read(reading, given, (native) =>
      native.readDestinations(recordFormat().service.make(identity.fields)),
    )
    const { family } = identity.fields
    return (await destinationsFrom(records, family, bigint)) as Destination<never>[]
  }

  async snapshot(options?: SnapshotOptions): Promise<VirtualServerState<never>[]> {
    const given = takeOptions(options, ['bigint', 'consistent'])
    const bigint = flagOf(given, 'bigint')
    const consistent = flagOf(given, 'consistent')
    const reply = await this.#read(wholeTable, given, (native) => native.readAll(consistent))
    return (await snapshotFrom(reply, bigint)) as VirtualServerState<never>[]
  }

  async *stream(options?: ReadOptions): AsyncGenerator<VirtualServerState<never>, void, void> {
    const given = takeOptions(options, ['bigint'])
    const bigint = flagOf(given, 'bigint')
    const read: ReadReply = (work) => this.#read(wholeTable, given, work)
    yield* streamTable(read, bigint) as AsyncGenerator<VirtualServerState<never>, void, void>
  }

  async columns(options?: ColumnOptions): Promise<TableColumns<never>> {
    const given = takeOptions(options, ['bigint'])
    const bigint = flagOf(given, 'bigint')
    const { columns } = await this.#read(wholeTable, given, (native) => native.readColumns(bigint))
    return columns as TableColumns<never>
  }

  async timeouts(options?: CallOptions): Promise<Timeouts> {
    const reading = { command: 'GET_CONFIG', what: 'read the timeouts' } as const
    const { records } = await this.#read(reading, takeOptions(options), (native) =>
      native.readConfig(),
    )
    return describeTimeouts(recordFormat().config.read(new Memory(records), 0))
  }

  async syncDaemons(options?: CallOptions): Promise<SyncDaemon[]> {
    const reading = { command: 'GET_DAEMON', what: 'list the synchronisation daemons' } as const
    const { records } = await this.#read(reading, takeOptions(options), (native) =>
      native.readDaemons(),
    )
    return recordFormat().daemon.readAll(records).map(describeDaemon)
  }

  async *connections(filter?: ConnectionFilter): AsyncGenerator<ConnectionEntry, void, void> {
    const matches = takeConnectionFilter(filter)
    const signal = filter && takeSignal(filter.signal, 'filter.signal')
    const run: Run = (work) => this.#call('connections', signal, work)
    yield* readConnections(run, matches, signal)
  }

  async totals(options?: ReadOptions): Promise<Stats<never>> {
    const given = takeOptions(options, ['bigint'])
    const bigint = flagOf(given, 'bigint')
    return this.#call('totals', signalOf(given), async (native) => {
      // The file appears with the module, and asking by netlink loads it.
      unlessFailed(await native.readInfo(), 'GET_INFO', 'read the totals')
      const { records } = unlessFailed(await native.readTotals(), 'proc', 'read the totals')
      return totalsFrom(records, bigint) as Stats<never>
    })
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

  async #read<Reply extends Answer>(
    { command, what, service }: Reading,
    options: Properties,
    read: (native: Connection) => Promise<Reply>,
  ): Promise<Reply> {
    const reply = await this.#call(what, signalOf(options), read)
    return unlessFailed(reply, command, what, service)
  }

  /** Does something that sees every change called before it. */
  async #call<T>(
    what: string,
    signal: AbortSignal | undefined,
    work: (native: Connection) => Promise<T>,
  ): Promise<T> {
    this.#handle.checkOpen(what)
    if (signal?.aborted === true) throw abortError(signal, false)
    const reading = this.#handle.run(what, async (native) => {
      await this.#queue.settled()
      if (signal?.aborted === true) throw abortError(signal, false)
      return work(native)
    })
    return withSignal(reading, signal, () => false)
  }
}

/**
 * The virtual server table of another network namespace, or of the own with other options. Rejects with
 * `ERR_IPVS_NO_NETNS`, `ERR_IPVS_PERMISSION` (entering a namespace needs CAP_SYS_ADMIN),
 * `ERR_IPVS_REFUSED` (where no file can be opened or no thread started) and `ERR_IPVS_NOT_AVAILABLE`.
 */
export const openIpvs = async (options?: OpenOptions): Promise<Ipvs> =>
  new IpvsHandle(options).open()

/** The virtual server table of the process's own network namespace, opened at its first use. */
export const ipvs: Ipvs = new IpvsHandle(undefined)
