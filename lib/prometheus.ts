// `ipvs-netlink/prometheus`: the table as metrics of prom-client.

import { setImmediate as nextTurn } from 'node:timers/promises'

import { ipvs as ownTable } from './ipvs.js'
import { backendLabels, families, readGroups, serviceLabels } from './metrics.js'
import type { Family, Groups, Selection, Series } from './metrics.js'
import { promClient } from './prom-client.js'
import { inTurns } from './turns.js'
import { orDefault, takeBoolean, takeObject, takeOneOf, wrongType, wrongValue } from './validate.js'
import type { Registry } from 'prom-client'
import type { Ipvs } from '../types/ipvs.js'
import type { IpvsCollectorOptions } from '../types/prometheus.js'

const optionNames = [
  'ipvs',
  'registers',
  'prefix',
  'backendLabels',
  'serviceLabels',
  'backendCounters',
  'onError',
]

const takeLabels = <Label extends string>(
  value: unknown,
  path: string,
  known: readonly Label[],
  fallback: readonly Label[],
): readonly Label[] => {
  const labels = orDefault(value, fallback)
  if (!Array.isArray(labels)) throw wrongType(path, 'an array', labels)
  const wanted = new Set(
    Array.from(labels, (label: unknown, index) => takeOneOf(label, `${path}[${index}]`, known)),
  )
  // In an order of their own, whatever the caller's.
  return known.filter((label) => wanted.has(label))
}

const takePrefix = (value: unknown): string => {
  const prefix = orDefault(value, 'node_ipvs_')
  const allowed = "letters, digits, '_' and ':', beginning with no digit"
  if (typeof prefix !== 'string') throw wrongType('options.prefix', allowed, prefix)
  if (!/^([a-z_:][\w:]*)?$/i.test(prefix)) throw wrongValue('options.prefix', allowed, prefix)
  return prefix
}

const takeSelection = (options: Readonly<Record<string, unknown>>): Selection => ({
  serviceLabels: takeLabels(
    options['serviceLabels'],
    'options.serviceLabels',
    [...serviceLabels, 'family'],
    serviceLabels,
  ),
  backendLabels: takeLabels(
    options['backendLabels'],
    'options.backendLabels',
    [...backendLabels, 'family'],
    backendLabels,
  ),
  backendCounters: takeBoolean(
    orDefault(options['backendCounters'], true),
    'options.backendCounters',
  ),
})

const takeIpvs = (value: unknown): Ipvs => {
  const table = orDefault(value, ownTable)
  const isTable = typeof table === 'object' && table !== null && 'snapshot' in table
  if (!isTable) throw wrongType('options.ipvs', 'an Ipvs', table)
  return table as Ipvs
}

const takeOnError = (value: unknown): ((error: unknown) => void) | undefined => {
  if (value === undefined || typeof value === 'function') return value as (error: unknown) => void
  throw wrongType('options.onError', 'a function', value)
}

type AnyRegistry = Pick<Registry, 'registerMetric'>

const takeRegistries = (value: unknown): readonly AnyRegistry[] => {
  const registries = orDefault(value, [promClient.register])
  const path = 'options.registers'
  if (!Array.isArray(registries)) throw wrongType(path, 'an array of registries', registries)
  return Array.from(registries, (each: unknown, index) => {
    const isRegistry =
      typeof each === 'object' &&
      each !== null &&
      'registerMetric' in each &&
      typeof each.registerMetric === 'function'
    if (!isRegistry) throw wrongType(`${path}[${index}]`, 'a Registry', each)
    return each as AnyRegistry
  })
}

interface Value {
  readonly value: number
  readonly labels: Readonly<Record<string, string>>
  readonly sharedLabels?: Readonly<Record<string, string>>
}

interface Answer {
  readonly name: string
  readonly help: string
  readonly type: Family['type']
  readonly aggregator: 'sum'
  readonly values: Value[]
}

const noLabels = {}
const noSeries: Series = { labels: noLabels, values: [] }

/** Does work in turns of the event loop of its own. */
type InTurn = <T>(work: () => Promise<T>) => Promise<T>

/** What prom-client's registries expect of a metric; the numbers are another's. */
class Metric {
  readonly name: string
  readonly help: string
  readonly type: Family['type']
  readonly aggregator = 'sum'
  readonly #read: () => Promise<readonly Series[]>
  readonly #inTurn: InTurn
  readonly #index: number

  constructor(
    prefix: string,
    family: Family,
    read: () => Promise<readonly Series[]>,
    inTurn: InTurn,
  ) {
    this.name = `${prefix}${family.name}`
    this.help = family.help
    this.type = family.type
    this.#index = family.index
    this.#read = read
    this.#inTurn = inTurn
  }

  /** For `getMetricsAsJSON()`. */
  async get(): Promise<Answer> {
    return this.#answer(({ labels, values }) => ({ labels, value: this.#pick(values) }))
  }

  /** For `metrics()`: prom-client renders an object of shared labels once for all metrics. */
  async getForPromString(): Promise<Answer> {
    return this.#answer(({ labels, values }) => ({
      labels: noLabels,
      sharedLabels: labels,
      value: this.#pick(values),
    }))
  }

  /** The kernel counts, and only `zero` resets. */
  reset(): void {
    // Nothing is kept here.
  }

  #pick(values: readonly number[]): number {
    return values[this.#index] ?? 0
  }

  async #answer(describe: (series: Series) => Value): Promise<Answer> {
    const { name, help, type, aggregator } = this
    const series = await this.#read()
    // The registry renders it as soon as it has it.
    return this.#inTurn(async () => {
      const values = new Array<Value>(series.length)
      await inTurns(series.length, (from, end) => {
        for (let at = from; at < end; ++at) values[at] = describe(series[at] ?? noSeries)
      })
      return { name, help, type, aggregator, values }
    })
  }
}

const nothing: Groups = { table: [], services: [], backends: [] }

const up: Family = {
  name: 'up',
  help: 'Whether the table could be read.',
  type: 'gauge',
  group: 'table',
  index: 0,
}

/** How many lines are made at once: a few milliseconds' worth. */
const sliceLength = 2000

const labelText = (labels: Readonly<Record<string, string>>): string => {
  // None of the values has a character that needs escaping.
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${value}"`)
  return parts.length === 0 ? '' : `{${parts.join()}}`
}

/**
 * The virtual server table as Prometheus metrics. It reads the table when it is scraped, once for all
 * metrics and for scrapes that come together, and keeps nothing.
 *
 * Names and labels are those of node_exporter's ipvs collector, with counters of each service and
 * destination beside them. prom-client renders each metric in one go, so with very many destinations
 * use {@link stream} instead of a registry, or fewer labels.
 */
export class IpvsCollector {
  readonly #ipvs: Ipvs
  readonly #selection: Selection
  readonly #onError: ((error: unknown) => void) | undefined
  readonly #metrics: readonly Metric[]
  readonly #families: readonly Family[]
  readonly #prefix: string
  #reading: Promise<Groups | undefined> | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: IpvsCollectorOptions = {}) {
    const given = takeObject(options, 'options', optionNames)
    this.#ipvs = takeIpvs(given['ipvs'])
    this.#prefix = takePrefix(given['prefix'])
    this.#selection = takeSelection(given)
    this.#onError = takeOnError(given['onError'])
    const registries = takeRegistries(given['registers'])
    this.#families = families(this.#selection.backendCounters)
    const inTurn: InTurn = async (work) => this.#inTurn(work)
    const upSeries = async (): Promise<Series[]> => [
      { labels: {}, values: [(await this.#read()) ? 1 : 0] },
    ]
    const seriesOf = async ({ group }: Family): Promise<readonly Series[]> =>
      ((await this.#read()) ?? nothing)[group]
    this.#metrics = [
      new Metric(this.#prefix, up, upSeries, inTurn),
      ...this.#families.map(
        (family) => new Metric(this.#prefix, family, async () => seriesOf(family), inTurn),
      ),
    ]
    for (const registry of registries) this.#register(registry)
  }

  /**
   * The metrics as text (Prometheus 0.0.4), piece by piece, each a few milliseconds' work between
   * which the event loop goes on: for tables whose text a registry would take too long to make.
   */
  async *stream(): AsyncGenerator<string, void, void> {
    const groups = await this.#read()
    yield `${this.#head(up)}${this.#prefix}up ${groups ? 1 : 0}\n`
    const texts = new Map<Series, string>()
    for (const family of this.#families) {
      const { name, index, group } = family
      const all = (groups ?? nothing)[group]
      yield this.#head(family)
      for (let from = 0; from < all.length; from += sliceLength) {
        let piece = ''
        for (const series of all.slice(from, from + sliceLength)) {
          const labels = texts.get(series) ?? labelText(series.labels)
          texts.set(series, labels)
          piece += `${this.#prefix}${name}${labels} ${series.values[index] ?? 0}\n`
        }
        yield piece
        await nextTurn()
      }
    }
  }

  /** The same as one text. */
  async metrics(): Promise<string> {
    let text = ''
    for await (const piece of this.stream()) text += piece
    return text
  }

  #head({ name, help, type }: Family): string {
    return `# HELP ${this.#prefix}${name} ${help}\n# TYPE ${this.#prefix}${name} ${type}\n`
  }

  #register(registry: AnyRegistry): void {
    for (const metric of this.#metrics) {
      // The declared type lists the methods that set values, which a registry never calls.
      registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0])
    }
  }

  /** Undefined when the table could not be read. */
  async #read(): Promise<Groups | undefined> {
    this.#reading ??= this.#readNow().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #readNow(): Promise<Groups | undefined> {
    try {
      return await readGroups(this.#ipvs, this.#selection)
    } catch (error) {
      this.#onError?.(error)
      return undefined
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(async () => {
      await nextTurn()
      return work()
    })
    this.#turn = done.catch(() => undefined)
    return done
  }
}

export type * from '../types/prometheus.js'
