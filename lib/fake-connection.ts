// What the addon is to a real handle, the fake's table is to a fake one: records in, records out.

import { familyNumbers } from './address.js'
import { commands } from './commands.js'
import type { Command } from './commands.js'
import { fakeColumns } from './fake-columns.js'
import { errno, refuse, zeroCounters } from './fake-kernel.js'
import type {
  Counters,
  FakeChange,
  FakeDestination,
  FakeKernel,
  FakeService,
} from './fake-kernel.js'
import { connectionsText, totalsText } from './fake-text.js'
import { highWord, lowWord, Memory } from './memory.js'
import { Stage } from './meanings.js'
import type { KnownFailure, Missing } from './meanings.js'
import { operationKinds, recordFormat, recordLayout } from './records.js'
import type { DestinationFields, RecordTable, ServiceFields } from './records.js'
import type {
  ColumnsReply,
  Connection,
  Failure,
  OutcomesReply,
  RecordsReply,
  SnapshotReply,
  TableCursor,
  TableLayout,
} from '../types/addon.js'

/** What a call fails with, whatever the table says. */
export type Fault = (verb: string) => KnownFailure | undefined

const changingVerbs: Readonly<Partial<Record<Command, readonly [plain: string, patch: string]>>> = {
  NEW_SERVICE: ['addService', ''],
  SET_SERVICE: ['editService', 'patchService'],
  DEL_SERVICE: ['deleteService', ''],
  NEW_DEST: ['addDestination', ''],
  SET_DEST: ['editDestination', 'patchDestination'],
  DEL_DEST: ['deleteDestination', ''],
  NEW_DAEMON: ['startSyncDaemon', ''],
  DEL_DAEMON: ['stopSyncDaemon', ''],
  SET_CONFIG: ['setTimeouts', ''],
  ZERO: ['zero', ''],
  FLUSH: ['clear', ''],
}

const commandNames = new Map(
  Object.entries(commands).map(([name, number]) => [number as number, name as Command]),
)

const offsetOf = (table: TableLayout, name: string): number =>
  table.rows.find((row) => row.name === name)?.offset ?? 0

const memoryOf = (bytes: Uint8Array): Memory => new Memory(bytes.slice().buffer)

/** What lies behind an IPv4 address, in the room of one of IPv6, means nothing. */
const withoutRest = <Fields extends Partial<ServiceFields> | DestinationFields>(
  fields: Fields,
): Fields => {
  const { family, address } = fields
  if (family !== familyNumbers.ipv4 || !address) return fields
  return { ...fields, address: Uint8Array.from(address, (byte, at) => (at < 4 ? byte : 0)) }
}

/** Reads one change. Its fields are views of the memory. */
const readChange = (memory: Memory, at: number): FakeChange => {
  const format = recordFormat()
  const { operation, service: serviceLayout } = recordLayout()
  const [number, kind, defaultTimeout, keepsScheduler] = [0, 4, 8, 12].map((offset) =>
    memory.word(at + offset),
  )
  const place = at + operation.service
  const service = withoutRest(format.service.read(memory, place))
  const flagsMask = memory.word(place + offsetOf(serviceLayout, 'flags') + 4)
  return {
    command: commandNames.get(number ?? 0) ?? 'GET_INFO',
    service: service.flags === undefined ? service : { ...service, flagsMask },
    destination: withoutRest(format.destination.read(memory, at + operation.destination)),
    daemon: format.daemon.read(memory, place),
    config: format.config.read(memory, place),
    editIfExists: kind === operationKinds.editIfExists,
    ...(kind === operationKinds.patch && {
      patch: { defaultTimeout: defaultTimeout ?? 0, keepsScheduler: keepsScheduler === 1 },
    }),
  }
}

const low32 = 0xffffffffn

const writeCounters = (memory: Memory, at: number, counters: Counters): void => {
  // The memory is zero already, as nearly all counters of a fake are.
  if (counters === zeroCounters) return
  const { counters: layout } = recordLayout()
  for (const [name, value] of Object.entries<bigint | number>(counters)) {
    const place = at + offsetOf(layout, name)
    memory.setWord(place + 4 * lowWord, Number(BigInt(value) & low32))
    memory.setWord(place + 4 * highWord, Number(BigInt(value) >> 32n))
  }
}

interface Counted<Fields> {
  readonly fields: Fields
  readonly counters: Counters
}

const recordsOf = <Fields extends object>(
  table: RecordTable<Fields>,
  layout: TableLayout,
  entries: readonly Counted<Fields>[],
): ArrayBuffer => {
  const buffer = new ArrayBuffer(entries.length * table.size)
  const memory = new Memory(buffer)
  const place = offsetOf(layout, 'counters')
  entries.forEach(({ fields, counters }, index) => {
    const at = index * table.size
    table.write(memory, at, fields)
    writeCounters(memory, at + place, counters)
  })
  return buffer
}

const serviceRecords = (services: readonly FakeService[]): ArrayBuffer =>
  recordsOf(recordFormat().service, recordLayout().service, services)

/** The newest first, as the kernel has them. */
const destinationsOf = ({ destinations }: FakeService): FakeDestination[] =>
  [...destinations.values()].reverse()

const destinationRecords = (services: readonly FakeService[]): ArrayBuffer =>
  recordsOf(
    recordFormat().destination,
    recordLayout().destination,
    services.flatMap(destinationsOf).map(({ fields, observed, counters }) => ({
      fields: { ...fields, ...observed },
      counters,
    })),
  )

const plainRecords = <Fields extends object>(
  table: RecordTable<Fields>,
  records: readonly Fields[],
): ArrayBuffer => {
  const buffer = new ArrayBuffer(records.length * table.size)
  const memory = new Memory(buffer)
  records.forEach((fields, index) => table.write(memory, index * table.size, fields))
  return buffer
}

const empty = new ArrayBuffer(0)

const textReply = (text: string): RecordsReply => ({
  failure: undefined,
  records: new Uint8Array(Buffer.from(text, 'latin1')).buffer,
})

/** 1.2.1. */
const version = 0x010201
const connectionTableSize = 4096

/** See {@link schedulerProbe}: nothing that can be added has neither protocol nor mark. */
const isProbe = ({ command, service }: FakeChange): boolean =>
  command === 'NEW_SERVICE' && service.protocol === 0 && (service.fwmark ?? 0) === 0

export class FakeConnection implements Connection {
  readonly #kernel: FakeKernel
  readonly #fault: Fault
  /** What is missing of which scheduler's service, until it is asked for. */
  readonly #missing = new Map<string, Missing>()
  readonly #texts = new WeakMap<TableCursor, string[]>()

  constructor(kernel: FakeKernel, fault: Fault) {
    this.#kernel = kernel
    this.#fault = fault
  }

  async open(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  async apply(operations: Uint8Array): Promise<OutcomesReply> {
    const memory = memoryOf(operations)
    const { size } = recordFormat().operation
    const count = operations.byteLength / size
    const outcomes = new Int32Array(2 * count)
    for (let index = 0; index < count; ++index) {
      const failure = this.#change(readChange(memory, index * size))
      if (failure) outcomes.set([failure.stage, failure.errno], 2 * index)
    }
    return Promise.resolve({ outcomes: outcomes.buffer, texts: {} })
  }

  #change(change: FakeChange): Failure | undefined {
    const { scheduler, engine } = change.service
    // It never reaches a table, and no test speaks of it.
    if (isProbe(change)) return this.#answerProbe(change)
    const [plain, patch] = changingVerbs[change.command] ?? ['', '']
    const fault = this.#fault(change.patch ? patch : plain)
    if (!fault) return this.#carryOut(change)
    if (fault.missing && scheduler !== undefined && engine !== undefined) {
      this.#missing.set(scheduler, fault.missing)
    }
    // The reply was lost, not the request.
    if (fault.stage === Stage.reply) this.#carryOut(change)
    return fault
  }

  #carryOut(change: FakeChange): Failure | undefined {
    const failure = this.#kernel.change(change)
    const edit = change.command === 'NEW_SERVICE' ? 'SET_SERVICE' : 'SET_DEST'
    return change.editIfExists && failure?.errno === errno.EEXIST
      ? this.#kernel.change({ ...change, command: edit })
      : failure
  }

  /** As it was said that a scheduler or an engine is missing. */
  #answerProbe(change: FakeChange): Failure | undefined {
    const { scheduler = '' } = change.service
    const missing = this.#missing.get(scheduler)
    this.#missing.delete(scheduler)
    if (missing === undefined) return this.#kernel.change(change)
    return refuse(missing === 'scheduler' ? errno.ENOENT : errno.EINVAL)
  }

  async readService(key: Uint8Array): Promise<RecordsReply> {
    return this.#answer('getService', () => {
      const found = this.#find(key)
      return found ? serviceRecords([found]) : refuse(errno.ESRCH)
    })
  }

  async readServices(): Promise<RecordsReply> {
    return this.#answer('listServices', () => serviceRecords(this.#services()))
  }

  async readDestinations(key: Uint8Array): Promise<RecordsReply> {
    return this.#answer('listDestinations', () => {
      const found = this.#find(key)
      return found ? destinationRecords([found]) : refuse(errno.ESRCH)
    })
  }

  async readAll(): Promise<SnapshotReply> {
    const services = this.#services()
    const counts = services.map(({ destinations }) => destinations.size)
    return Promise.resolve({
      failure: this.#fault('snapshot'),
      services: serviceRecords(services),
      destinations: destinationRecords(services),
      counts: Uint32Array.from(counts).buffer,
    })
  }

  async readPart(services: Uint8Array, enough: number): Promise<SnapshotReply> {
    const { size } = recordFormat().service
    const counts: number[] = []
    const found: FakeService[] = []
    for (let at = 0, read = 0; at < services.length && read < enough; at += size) {
      const each = this.#find(services.subarray(at, at + size))
      const count = each?.destinations.size ?? 0
      counts.push(count)
      if (each) found.push(each)
      read += count
    }
    return Promise.resolve({
      failure: this.#fault('listDestinations'),
      services: empty,
      destinations: destinationRecords(found),
      counts: Uint32Array.from(counts).buffer,
    })
  }

  async readColumns(bigint: boolean): Promise<ColumnsReply> {
    const services = this.#services()
    return Promise.resolve({
      failure: this.#fault('columns'),
      columns: fakeColumns(services, services.map(destinationsOf), bigint),
    })
  }

  async readConfig(): Promise<RecordsReply> {
    const { config } = recordFormat()
    return this.#answer('timeouts', () => plainRecords(config, [this.#kernel.config]))
  }

  async readDaemons(): Promise<RecordsReply> {
    const { daemon } = recordFormat()
    return this.#answer('syncDaemons', () => {
      // A master comes first.
      const running = [...this.#kernel.daemons.values()]
      return plainRecords(
        daemon,
        running.sort((one, other) => one.state - other.state),
      )
    })
  }

  async readInfo(): Promise<RecordsReply> {
    const { info } = recordFormat()
    return this.#answer('info', () => plainRecords(info, [{ version, connectionTableSize }]))
  }

  async readTotals(): Promise<RecordsReply> {
    const failure = this.#fault('totals')
    const reply = textReply(totalsText(this.#kernel.totals))
    return Promise.resolve(failure ? { failure, records: empty } : reply)
  }

  async openTable(): Promise<{ failure: Failure | undefined; table: TableCursor }> {
    const table = {} as TableCursor
    // As the kernel shows it: what is added while somebody reads may be missed.
    this.#texts.set(table, [connectionsText(this.#kernel.connections)])
    return Promise.resolve({ failure: undefined, table })
  }

  async readTable(table: TableCursor): Promise<RecordsReply> {
    const failure = this.#fault('connections')
    if (failure) return Promise.resolve({ failure, records: empty })
    return Promise.resolve(textReply(this.#texts.get(table)?.pop() ?? ''))
  }

  closeTable(table: TableCursor): void {
    this.#texts.delete(table)
  }

  close(): void {
    // Nothing to let go of.
  }

  #services(): FakeService[] {
    return [...this.#kernel.services.values()]
  }

  #find(key: Uint8Array): FakeService | undefined {
    return this.#kernel.find(recordFormat().service.read(memoryOf(key), 0))
  }

  async #answer(verb: string, make: () => ArrayBuffer | Failure): Promise<RecordsReply> {
    const answer = this.#fault(verb) ?? make()
    const reply =
      answer instanceof ArrayBuffer
        ? { failure: undefined, records: answer }
        : { failure: answer, records: empty }
    return Promise.resolve(reply)
  }
}
