// What the addon exports: the one description of the boundary. Not part of the public API.

import type { TableColumns } from './columns.js'

/** Place of a field in a flat record; see native/netlink/table.h. */
export interface RowLayout {
  readonly name: string
  /** The kernel's attribute number. */
  readonly id: number
  /** How JavaScript sees it: a word, a word and its mask, bytes, text, or a nest of its own. */
  readonly kind: 'number' | 'flags' | 'bytes' | 'text' | 'counters'
  /** In bytes. */
  readonly offset: number
  /** In bytes. */
  readonly size: number
}

export interface TableLayout {
  /** The index of a row is its bit in the record's first word. */
  readonly rows: readonly RowLayout[]
  readonly size: number
  /** Of the part that a request carries. */
  readonly configSize: number
}

export interface Layout {
  /** One change: a header of words (native/ipvs/codec.h), then two configuration parts. */
  readonly operation: {
    readonly size: number
    readonly service: number
    readonly destination: number
  }
  readonly counters: TableLayout
  readonly service: TableLayout
  readonly destination: TableLayout
  readonly daemon: TableLayout
  readonly config: TableLayout
  readonly info: TableLayout
  readonly address: TableLayout & {
    readonly family: number
    readonly prefixLength: number
    readonly scope: number
    readonly device: number
  }
  readonly link: TableLayout & {
    readonly addressSize: number
    readonly flags: number
    readonly type: number
    readonly kind: number
  }
}

/** Where and with which errno a request failed; see native/netlink/outcome.h. */
export interface Failure {
  readonly stage: number
  /** Positive. */
  readonly errno: number
  readonly text: string
}

export interface RecordsReply {
  readonly failure: Failure | undefined
  readonly records: ArrayBuffer
}

export interface SnapshotReply {
  readonly failure: Failure | undefined
  readonly services: ArrayBuffer
  readonly destinations: ArrayBuffer
  /** Words: how many destinations belong to each service. */
  readonly counts: ArrayBuffer
}

export interface ColumnsReply {
  readonly failure: Failure | undefined
  /** Filled by the worker. Totals are `BigUint64Array` where 64 bits were asked for. */
  readonly columns: TableColumns<Float64Array | BigUint64Array>
}

export interface OutcomesReply {
  /** Two signed words for each change: stage and errno. */
  readonly outcomes: ArrayBuffer
  /** The kernel's words, by index. */
  readonly texts: Readonly<Record<number, string>>
}

export interface SettingReply {
  readonly failure: Failure | undefined
  readonly value: string
}

export interface SettingsReply {
  readonly failure: Failure | undefined
  /** By name, with their line breaks. */
  readonly values: Readonly<Record<string, string>>
}

/** Opaque. */
export type TableCursor = object & { readonly cursor: unique symbol }

export interface Connection {
  open(): Promise<Failure | undefined>
  /** Undefined when all changes were made. The operations must be left alone until then. */
  apply(operations: Uint8Array): Promise<OutcomesReply | undefined>
  readService(key: Uint8Array): Promise<RecordsReply>
  readServices(): Promise<RecordsReply>
  readDestinations(key: Uint8Array): Promise<RecordsReply>
  /** Repeats until two readings agree, when `consistent`. */
  readAll(consistent: boolean): Promise<SnapshotReply>
  /**
   * The destinations of these services (whole records), until `enough` were read or all are done;
   * the counts tell how many services were.
   */
  readPart(services: Uint8Array, enough: number): Promise<SnapshotReply>
  /** As `readAll(false)`; totals keep all their 64 bits when `bigint`. */
  readColumns(bigint: boolean): Promise<ColumnsReply>
  readConfig(): Promise<RecordsReply>
  readDaemons(): Promise<RecordsReply>
  readInfo(): Promise<RecordsReply>
  /** The text of /proc/net/ip_vs_stats. */
  readTotals(): Promise<RecordsReply>
  /** A cursor over the text of /proc/net/ip_vs_conn. */
  openTable(): Promise<{ readonly failure: Failure | undefined; readonly table: TableCursor }>
  /** The next bytes; none at the end. One reader at a time. */
  readTable(table: TableCursor): Promise<RecordsReply>
  closeTable(table: TableCursor): void
  close(): void
}

export interface HostConnection {
  open(): Promise<Failure | undefined>
  /** Of all devices when the name is empty. */
  readAddresses(device: string): Promise<RecordsReply>
  /** Each change: a word (1 add, 2 delete, 3 add a deprecated one), padding, an address record. */
  changeAddresses(changes: Uint8Array): Promise<OutcomesReply>
  /** Each as a change of an address; the word is 1, or 2 where this machine is an IPv6 router. */
  announce(announcements: Uint8Array): Promise<OutcomesReply>
  readLinks(): Promise<RecordsReply>
  /** Verb: 1 create, 2 delete, 3 up, 4 down. Kind and parent of a device to create, else empty. */
  changeLink(
    verb: number,
    device: string,
    kind: string,
    parent: string,
  ): Promise<Failure | undefined>
  /** Families are AF_INET and AF_INET6. Encapsulation: 0 none, 1 direct, 2 GUE. */
  readFouPort(
    port: number,
    family: number,
  ): Promise<{ readonly failure: Failure | undefined; readonly encapsulation: number }>
  changeGuePort(add: boolean, port: number, family: number): Promise<Failure | undefined>
  /** Loads the module of a generic netlink family. */
  loadFamily(name: string): Promise<Failure | undefined>
  /** The name is a path below /proc/sys/net. */
  readSetting(name: string): Promise<SettingReply>
  /** All below a folder, such as `ipv4/vs`, that can be read. */
  readSettings(folder: string): Promise<SettingsReply>
  writeSetting(name: string, value: string): Promise<Failure | undefined>
  /** A file of /proc/net, such as `route`. */
  readText(name: string): Promise<SettingReply>
  close(): void
}

/** For tests alone; see native/testing.h. */
export interface Testing {
  encodeOperation(operation: Uint8Array, family: number): ArrayBuffer
  decodeReplies(
    table: 'service' | 'destination' | 'info',
    datagram: Uint8Array,
  ): ArrayBuffer | undefined
  /** Of whole records; the counts are words, how many destinations belong to each service. */
  makeColumns(
    services: Uint8Array,
    destinations: Uint8Array,
    counts: Uint8Array,
    bigint: boolean,
  ): ColumnsReply['columns']
}

export interface Addon {
  readonly testing: Testing
  readonly layout: Layout
  readonly Connection: new (netns: string | number | undefined, silence: number) => Connection
  readonly HostConnection: new (
    netns: string | number | undefined,
    silence: number,
  ) => HostConnection
}
