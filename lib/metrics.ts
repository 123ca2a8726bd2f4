// The table as series of numbers with labels, by the names of node_exporter's ipvs collector.

import { setImmediate as nextTurn } from 'node:timers/promises'

import type { Ipvs } from '../types/ipvs.js'
import type { Destination, Stats, VirtualServerState } from '../types/observed.js'
import type { BackendLabel, ServiceLabel } from '../types/prometheus.js'

export const serviceLabels: readonly ServiceLabel[] = [
  'local_address',
  'local_port',
  'proto',
  'local_mark',
]

export const backendLabels: readonly BackendLabel[] = [
  'local_address',
  'local_port',
  'remote_address',
  'remote_port',
  'proto',
  'local_mark',
]

/** Metrics that have their labels and their series in common. */
export type Group = 'table' | 'services' | 'backends'

export interface Family {
  /** Without the prefix. */
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly group: Group
  /** Its place among the numbers of the group's series. */
  readonly index: number
}

/** One series of every family of a group. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>
  readonly values: number[]
}

export type Groups = Readonly<Record<Group, readonly Series[]>>

const counterNames = [
  ['connections_total', 'Connections scheduled'],
  ['incoming_packets_total', 'Packets from clients'],
  ['outgoing_packets_total', 'Packets to clients'],
  ['incoming_bytes_total', 'Bytes from clients'],
  ['outgoing_bytes_total', 'Bytes to clients'],
] as const

const countersOf = (stats: Stats): number[] => [
  stats.connections,
  stats.packetsIn,
  stats.packetsOut,
  stats.bytesIn,
  stats.bytesOut,
]

const gaugesOf = (destination: Destination): number[] => [
  destination.activeConnections,
  destination.inactiveConnections,
  destination.weight,
  destination.persistentConnections,
]

type Named = readonly (readonly [name: string, help: string])[]

const familiesOf = (
  group: Group,
  type: Family['type'],
  names: Named,
  first: number,
  suffix = '',
): Family[] =>
  names.map(([name, help], offset) => ({
    name,
    help: `${help}${suffix}.`,
    type,
    group,
    index: first + offset,
  }))

const prefixed = (names: Named, prefix: string): Named =>
  names.map(([name, help]) => [`${prefix}${name}`, help] as const)

const backendGauges: Named = [
  ['backend_connections_active', 'Connections of a real server in an active state'],
  ['backend_connections_inactive', 'Connections of a real server in any other state'],
  ['backend_weight', 'Weight of a real server'],
  ['backend_connections_persistent', 'Clients that persistence holds to a real server'],
]

const backendCounterNames = prefixed(counterNames, 'backend_')
const serviceCounterNames = prefixed(counterNames, 'service_')

/** Every metric there is. */
export const families = (withBackendCounters: boolean): Family[] => [
  ...familiesOf('table', 'counter', counterNames, 0, ', of the whole table'),
  ...familiesOf('services', 'counter', serviceCounterNames, 0, ', of a virtual service'),
  ...familiesOf(
    'services',
    'gauge',
    [['service_backends', 'Real servers of a virtual service']],
    counterNames.length,
  ),
  ...familiesOf('backends', 'gauge', backendGauges, 0),
  ...(withBackendCounters
    ? familiesOf(
        'backends',
        'counter',
        backendCounterNames,
        backendGauges.length,
        ', of a real server',
      )
    : []),
]

type LabelOf<Entry> = (entry: Entry) => string

const isMarked = (
  service: VirtualServerState,
): service is Extract<VirtualServerState, { readonly fwmark: number }> => 'fwmark' in service

const serviceLabelOf: Readonly<Record<ServiceLabel, LabelOf<VirtualServerState>>> = {
  local_address: (service) => (isMarked(service) ? '' : service.address),
  local_port: (service) => (isMarked(service) ? '0' : String(service.port)),
  proto: (service) => (isMarked(service) ? 'FWM' : service.protocol.toUpperCase()),
  local_mark: (service) =>
    isMarked(service) ? service.fwmark.toString(16).toUpperCase().padStart(8, '0') : '',
  family: (service) => {
    if (isMarked(service)) return service.family
    return service.address.includes(':') ? 'ipv6' : 'ipv4'
  },
}

const destinationLabelOf: Readonly<Record<string, LabelOf<Destination>>> = {
  remote_address: ({ address }) => address,
  remote_port: ({ port }) => String(port),
}

/** Adds up what has the same labels. */
class Sums {
  readonly #series = new Map<string, Series>()

  add(key: string, labels: () => Readonly<Record<string, string>>, values: number[]): void {
    const found = this.#series.get(key)
    if (!found) {
      this.#series.set(key, { labels: labels(), values })
      return
    }
    values.forEach((value, index) => {
      found.values[index] = (found.values[index] ?? 0) + value
    })
  }

  all(): Series[] {
    return [...this.#series.values()]
  }
}

/** How many services and destinations are taken in at once: a few milliseconds' worth. */
export const mostTaken = 1000

export interface Selection {
  readonly serviceLabels: readonly ServiceLabel[]
  readonly backendLabels: readonly BackendLabel[]
  readonly backendCounters: boolean
}

interface Labelling<Entry> {
  readonly names: readonly string[]
  readonly of: readonly LabelOf<Entry>[]
}

const labelling = <Entry>(
  names: readonly string[],
  known: Readonly<Record<string, LabelOf<Entry>>>,
): Labelling<Entry> => {
  const mine = names.filter((name) => name in known)
  return { names: mine, of: mine.flatMap((name) => known[name] ?? []) }
}

const valuesOf = <Entry>({ of }: Labelling<Entry>, entry: Entry): string[] =>
  of.map((label) => label(entry))

const labelsOf = (
  names: readonly string[],
  values: readonly string[],
): Readonly<Record<string, string>> =>
  Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']))

/** Reads the table, and lets other work in between. */
export const readGroups = async (ipvs: Ipvs, selection: Selection): Promise<Groups> => {
  const table = countersOf(await ipvs.totals())
  const state = await ipvs.snapshot()
  const ofService = labelling(selection.serviceLabels, serviceLabelOf)
  const local = labelling(selection.backendLabels, serviceLabelOf)
  const remote = labelling(selection.backendLabels, destinationLabelOf)
  const names = [...local.names, ...remote.names]
  const [services, backends] = [new Sums(), new Sums()]
  let taken = 0
  for (const service of state) {
    if (++taken % mostTaken === 0) await nextTurn()
    const own = valuesOf(ofService, service)
    services.add(own.join(), () => labelsOf(ofService.names, own), [
      ...countersOf(service.stats),
      service.destinations.length,
    ])
    const before = valuesOf(local, service)
    for (const destination of service.destinations) {
      const values = [...before, ...valuesOf(remote, destination)]
      const counters = selection.backendCounters ? countersOf(destination.stats) : []
      backends.add(values.join(), () => labelsOf(names, values), [
        ...gaugesOf(destination),
        ...counters,
      ])
      if (++taken % mostTaken === 0) await nextTurn()
    }
  }
  return {
    table: [{ labels: {}, values: table }],
    services: services.all(),
    backends: backends.all(),
  }
}
