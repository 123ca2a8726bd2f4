// The order and the effect of planned changes, carried out on a table of text that knows nothing of
// the library.

import fc from 'fast-check'
import t from 'tap'

import type { PlannedChange, VirtualServerState } from 'ipvs-netlink'
import { takeDesired } from '#lib/desired'
import { planChanges } from '#lib/plan'
import type { Scope } from '#lib/plan'

import { atOnce } from './fixtures/at-once.js'
import {
  anyTransition,
  configurationsOf,
  expectedLines,
  linesOf,
  longestOfOurs,
  mustBeSame,
  snapshotOf,
  text,
} from './fixtures/tables.js'
import type { Model } from './fixtures/tables.js'

type Values = Readonly<Record<string, unknown>>

interface Entry {
  readonly settings: Values
  readonly destinations: ReadonlyMap<string, Values>
}

type Table = ReadonlyMap<string, Entry>

const serviceName = ({ fwmark, family, protocol, address, port }: Values): string =>
  fwmark === undefined ? text([protocol, address, port]) : text([fwmark, family])

const destinationName = ({ address, port }: Values): string => text([address, port])

const observed = /^(stats|activeConnections|inactiveConnections|persistentConnections)$/

/** Without what is only observed; the family of a mark is part of its key. */
const configured = (read: object): Values => {
  const names = Object.entries(read).filter(([name]) => !observed.test(name))
  const isMark = 'fwmark' in read
  return Object.fromEntries(names.filter(([name]) => isMark || name !== 'family'))
}

const tableOf = (states: readonly VirtualServerState[]): Table =>
  new Map(
    states.map(({ destinations, ...service }) => [
      serviceName({ ...service }),
      {
        settings: configured(service),
        destinations: new Map(
          destinations.map((destination) => [
            destinationName({ ...destination }),
            configured(destination),
          ]),
        ),
      },
    ]),
  )

const mustHold = (what: string, holds: boolean, value?: unknown): void => {
  if (!holds) throw new Error(`${what}: ${text(value)}`)
}

const withPatch = (before: Values, changes: Values): Values => {
  const { tunnel, ...others } = { ...before, ...changes }
  return { ...others, ...(others['forwarding'] === 'tun' && { tunnel }) }
}

/** As the kernel does it: what exists is not added, what is missing is neither edited nor deleted. */
const carryOut = (table: Table, change: PlannedChange): Table => {
  const after = new Map(table)
  const name = serviceName({ ...change.service })
  const entry = table.get(name)
  const is = (wanted: boolean): void => mustHold('it is there', !!entry === wanted, change)
  const settings = { ...change.service } as Values
  if (change.op === 'addService') {
    is(false)
    return after.set(name, { settings, destinations: new Map() })
  }
  is(true)
  if (!entry) return table
  if (change.op === 'editService') return after.set(name, { ...entry, settings })
  if (change.op === 'deleteService') {
    after.delete(name)
    return after
  }
  const destinations = new Map(entry.destinations)
  const given = { ...change.destination } as Values
  const key = destinationName(given)
  const there = destinations.get(key)
  mustHold('it is there', !!there === (change.op !== 'addDestination'), change)
  if (change.op === 'deleteDestination') destinations.delete(key)
  else if (change.op !== 'patchDestination') destinations.set(key, given)
  else if (there) destinations.set(key, withPatch(there, { ...change.changes }))
  return after.set(name, { ...entry, destinations })
}

const textOf = (table: Table): string[] =>
  Array.from(table.values(), ({ settings, destinations }) => [
    text(settings),
    ...Array.from(destinations.values(), (each) => `${text(settings)} ${text(each)}`),
  ]).flat()

const everything: Scope = { removes: () => true, keepsWeight: () => false }

const planFor = (after: readonly Model[], before: readonly Model[], scope: Scope) =>
  atOnce(planChanges(atOnce(takeDesired(configurationsOf(after))), snapshotOf(before), scope))

/** Every table on the way, the first and the last too. */
const tablesOnTheWay = (before: Table, changes: readonly PlannedChange[]): Table[] => {
  const tables = [before]
  for (const change of changes) tables.push(carryOut(tables.at(-1) ?? before, change))
  return tables
}

const isUsed = ({ weight }: Values): boolean => weight !== 0

const serves = (table: Table, name: string): boolean =>
  [...(table.get(name)?.destinations.values() ?? [])].some(isUsed)

const schedulers = ['rr', 'wrr', 'lc']

const holdsForAll = (
  property: (before: readonly Model[], after: readonly Model[]) => void,
): (() => void) => {
  const transitions = anyTransition(9, schedulers, longestOfOurs)
  return () =>
    fc.assert(
      fc.property(transitions, ([before, after]) => property(before, after)),
      { numRuns: 50 },
    )
}

t.test(
  'carrying out the plan makes the table as declared, and then there is no other',
  async (t) => {
    t.doesNotThrow(
      holdsForAll((before, after) => {
        const changes = planFor(after, before, everything)
        const last = tablesOnTheWay(tableOf(snapshotOf(before)), changes).at(-1) ?? new Map()
        mustBeSame('table', textOf(last), textOf(tableOf(snapshotOf(after))))
        mustBeSame('again', planFor(after, after, everything).map(text), [])
      }),
    )
  },
)

t.test('what was read is a desired state, and is the same one', async (t) => {
  t.doesNotThrow(
    holdsForAll((before) => {
      const read = snapshotOf(before)
      mustBeSame(
        'plan',
        atOnce(planChanges(atOnce(takeDesired(read)), read, everything)).map(text),
        [],
      )
      const [again] = [atOnce(takeDesired(JSON.parse(JSON.stringify(read))))]
      mustBeSame('plan of JSON', atOnce(planChanges(again, read, everything)).map(text), [])
      // The generator says the same of both.
      mustBeSame('lines', linesOf(read), expectedLines(before))
    }),
  )
})

/** Random weights are hardly ever 0. */
const withWeights0And1 = (models: readonly Model[]): Model[] =>
  models.map((model) => ({
    ...model,
    targets: model.targets.map((target) => ({ ...target, weight: target.weight % 2 })),
  }))

t.test('what stays is never gone, and what served goes on serving, at every step', async (t) => {
  t.doesNotThrow(
    holdsForAll((...tables) => {
      const [before = [], after = []] = tables.map(withWeights0And1)
      const [first, wanted] = [tableOf(snapshotOf(before)), tableOf(snapshotOf(after))]
      const changes = planFor(after, before, everything)
      for (const table of tablesOnTheWay(first, changes)) {
        for (const [name, entry] of first) {
          const next = wanted.get(name)
          if (!next) continue
          const now = table.get(name)
          mustHold('the service is there', !!now, name)
          for (const key of entry.destinations.keys()) {
            if (!next.destinations.has(key)) continue
            mustHold('the destination is there', now?.destinations.has(key) === true, key)
          }
          if (serves(first, name) && serves(wanted, name)) {
            mustHold('one can be scheduled to', serves(table, name), name)
          }
        }
      }
    }),
  )
})

t.test('everything that adds comes before everything that removes', async (t) => {
  t.doesNotThrow(
    holdsForAll((before, after) => {
      const ops = planFor(after, before, everything).map(({ op }) => op)
      const firstRemoval = ops.findIndex((op) => op.startsWith('delete'))
      const rest = firstRemoval === -1 ? [] : ops.slice(firstRemoval)
      mustHold(
        'removals last',
        rest.every((op) => op.startsWith('delete')),
        ops,
      )
      const firstService = rest.indexOf('deleteService')
      if (firstService === -1) return
      mustHold('services last', !rest.slice(firstService).includes('deleteDestination'), ops)
    }),
  )
})

t.test('what is not declared is left alone, or only what is ours goes', async (t) => {
  t.doesNotThrow(
    holdsForAll((before, after) => {
      const nothing = planFor(after, before, { ...everything, removes: () => false })
      mustHold('nothing', !nothing.some(({ op }) => op === 'deleteService'), nothing)
      const isOurs = (service: VirtualServerState): boolean => 'fwmark' in service
      const some = planFor(after, before, { ...everything, removes: isOurs })
      const declared = new Set(tableOf(snapshotOf(after)).keys())
      const gone = snapshotOf(before).filter(
        (service) => isOurs(service) && !declared.has(serviceName({ ...service })),
      )
      mustBeSame(
        'ours',
        some
          .filter(({ op }) => op === 'deleteService')
          .map(({ service }) => serviceName({ ...service })),
        gone.map((service) => serviceName({ ...service })),
      )
    }),
  )
})

t.test('weights that are kept are neither planned nor touched', async (t) => {
  t.doesNotThrow(
    holdsForAll((before, after) => {
      const first = tableOf(snapshotOf(before))
      const changes = planFor(after, before, { ...everything, keepsWeight: () => true })
      const last = tablesOnTheWay(first, changes).at(-1) ?? new Map()
      const kept = [...tableOf(snapshotOf(after))].map(([name, entry]) => [
        name,
        {
          ...entry,
          destinations: new Map(
            [...entry.destinations].map(([key, each]) => {
              const old = first.get(name)?.destinations.get(key)
              return [key, old ? { ...each, weight: old['weight'] } : each]
            }),
          ),
        },
      ]) as [string, Entry][]
      mustBeSame('table', textOf(last), textOf(new Map(kept)))
      for (const change of changes) {
        mustHold('no whole edit', change.op !== 'editDestination', change)
        if (change.op === 'patchDestination') mustHold('none', !('weight' in change.changes))
      }
    }),
  )
})

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const

t.test('a change says what it is, before and after, and why', async (t) => {
  const table = snapshotOf([]).concat([
    {
      ...web,
      scheduler: 'rr',
      schedulerFlags: [],
      onePacket: false,
      destinations: [
        { address: '10.0.0.3', port: 80, forwarding: 'dr', weight: 1 },
        { address: '10.0.0.2', port: 80, forwarding: 'dr', weight: 1 },
      ].map((each) => ({ ...each, upperThreshold: 0, lowerThreshold: 0 })),
    } as unknown as VirtualServerState,
  ])
  const desired = [
    {
      ...web,
      scheduler: 'wrr',
      persistence: { timeout: 60 },
      destinations: [
        { address: '10.0.0.2', weight: 3, forwarding: 'tun' },
        { address: '10.0.0.4' },
      ],
    },
  ]
  t.match(atOnce(planChanges(atOnce(takeDesired(desired)), table, everything)), [
    {
      op: 'editService',
      service: { ...web, scheduler: 'wrr', persistence: { timeout: 60, prefixLength: 32 } },
      before: { ...web, scheduler: 'rr', persistence: undefined },
      after: { ...web, scheduler: 'wrr', persistence: { timeout: 60, prefixLength: 32 } },
      reason: 'scheduler rr -> wrr, persistence none -> {"timeout":60,"prefixLength":32}',
    },
    {
      op: 'addDestination',
      service: web,
      destination: { address: '10.0.0.4', port: 80, forwarding: 'dr', weight: 1 },
      before: undefined,
      after: { address: '10.0.0.4', port: 80, forwarding: 'dr', weight: 1 },
      reason: 'declared, and not there',
    },
    {
      op: 'editDestination',
      service: web,
      destination: { address: '10.0.0.2', weight: 3, forwarding: 'tun', tunnel: { type: 'ipip' } },
      before: { address: '10.0.0.2', weight: 1, forwarding: 'dr' },
      after: { address: '10.0.0.2', weight: 3, forwarding: 'tun', tunnel: { type: 'ipip' } },
      reason: 'forwarding dr -> tun, weight 1 -> 3, tunnel none -> {"type":"ipip"}',
    },
    {
      op: 'deleteDestination',
      service: web,
      destination: { address: '10.0.0.3', port: 80 },
      before: { address: '10.0.0.3', weight: 1 },
      after: undefined,
      reason: 'not declared for its service',
    },
  ])
})
