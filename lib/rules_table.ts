// What rules make of a table: read and checked, then carried out one after another in memory, before
// anything is sent.

import { destinationKeyOf } from './destination.js'
import { prepareOperation } from './operations.js'
import { badRule } from './rules_options.js'
import { parseRule } from './rules_parse.js'
import { joinAddress, keyOfFields, nameService } from './service.js'
import type { Steps } from './turns.js'
import type { VirtualServer } from '../types/desired.js'
import type { DestinationConfig, DestinationKey } from '../types/destination.js'
import type { Operation } from '../types/ipvs.js'
import type { Destination, VirtualServerState } from '../types/observed.js'
import type { ServiceConfig, ServiceKey } from '../types/service.js'

/** A change, the line that asks for it, and the names of what it is about. */
export interface Rule {
  readonly line: number
  readonly operation: Operation
  readonly service: string
  readonly destination: string
}

/** A line that is no rule, and why. */
export interface Fault {
  readonly line: number
  readonly reason: Error
}

type AnyDestination = DestinationConfig | Destination<number | bigint>

interface DestinationEntry {
  /** The line that asks for it; none when it was in the table before. */
  readonly line: number | undefined
  readonly destination: AnyDestination
}

interface ServiceEntry {
  readonly line: number | undefined
  readonly service: ServiceConfig
  readonly destinations: Map<string, DestinationEntry>
}

const nameDestination = ({ address, port = 0 }: DestinationKey): string =>
  joinAddress(address, port)

const readRule = (text: string, line: number): Rule | undefined => {
  const operation = parseRule(text)
  if (!operation) return undefined
  const { service, destination } = prepareOperation(operation, 'rule')
  return {
    line,
    operation,
    service: service ? nameService(keyOfFields(service)) : '',
    destination: destination ? nameDestination(destinationKeyOf(destination)) : '',
  }
}

/** Whether it is a rule that is wrong, and not this program. */
const isRefusal = (reason: unknown): reason is Error =>
  reason instanceof SyntaxError || (reason instanceof Error && 'code' in reason)

/** Does something for each, and keeps what is refused. */
function* collect<T extends { readonly line: number }>(
  all: Iterable<T>,
  work: (each: T) => void,
): Steps<Fault[]> {
  const faults: Fault[] = []
  for (const each of all) {
    yield
    try {
      work(each)
    } catch (reason) {
      if (!isRefusal(reason)) throw reason
      faults.push({ line: each.line, reason })
    }
  }
  return faults
}

/** Finds each line when it is asked for it, and not all at once. */
function* linesOf(text: string): Generator<{ readonly text: string; readonly line: number }> {
  let start = 0
  for (let line = 1; start <= text.length; ++line) {
    const at = text.indexOf('\n', start)
    const end = at === -1 ? text.length : at
    yield { text: text.slice(start, end), line }
    start = end + 1
  }
}

/** The rules of a text, every value checked. */
export function* readRules(text: string): Steps<{ rules: Rule[]; faults: Fault[] }> {
  const rules: Rule[] = []
  const faults = yield* collect(linesOf(text), (each) => {
    const rule = readRule(each.text, each.line)
    if (rule) rules.push(rule)
  })
  return { rules, faults }
}

/** A table, as the rules so far have made it. */
interface State {
  readonly services: Map<string, ServiceEntry>
  /** What is to be sent. */
  rules: Rule[]
  isCleared: boolean
}

function* entriesOf(table: readonly VirtualServerState[]): Steps<Map<string, ServiceEntry>> {
  const services = new Map<string, ServiceEntry>()
  for (const service of table) {
    yield
    const destinations = new Map<string, DestinationEntry>()
    services.set(nameService(service), { line: undefined, service, destinations })
    for (const destination of service.destinations) {
      yield
      destinations.set(nameDestination(destination), { line: undefined, destination })
    }
  }
  return services
}

/** The entry of that name: a rule needs it. */
const existing = <T>(entries: ReadonlyMap<string, T>, name: string, what: string): T => {
  const entry = entries.get(name)
  if (entry === undefined) throw badRule(`there is no ${what} ${name} at this point`)
  return entry
}

/** Whether it was in the table before: what the text itself has added is not added again. */
const wasThere = (
  entry: { readonly line: number | undefined } | undefined,
  what: string,
): boolean => {
  if (entry?.line !== undefined) throw badRule(`${what} is there already, by line ${entry.line}`)
  return entry !== undefined
}

type Of<Op extends Operation['op']> = Extract<Operation, { readonly op: Op }>

const putService = (
  { services, rules }: State,
  rule: Rule,
  operation: Of<'addService' | 'editService'>,
): void => {
  const { line, service: name } = rule
  const before = services.get(name)
  const isAdded = operation.op === 'addService' && !wasThere(before, `service ${name}`)
  if (!isAdded) existing(services, name, 'service')
  services.set(name, {
    line,
    service: operation.service,
    destinations: before?.destinations ?? new Map<string, DestinationEntry>(),
  })
  rules.push({
    ...rule,
    operation: { op: isAdded ? 'addService' : 'editService', service: operation.service },
  })
}

const putDestination = (
  { services, rules }: State,
  rule: Rule,
  operation: Of<'addDestination' | 'editDestination'>,
): void => {
  const { line, destination: name } = rule
  const { destinations } = existing(services, rule.service, 'service')
  const { service, destination } = operation
  const before = destinations.get(name)
  const isAdded = operation.op === 'addDestination' && !wasThere(before, `destination ${name}`)
  if (!isAdded) existing(destinations, name, 'destination')
  destinations.set(name, { line, destination })
  rules.push({
    ...rule,
    operation: { op: isAdded ? 'addDestination' : 'editDestination', service, destination },
  })
}

const clear = (state: State): void => {
  state.services.clear()
  state.rules = state.rules.filter(isOther)
  state.isCleared = true
}

/** Whether a rule is about something else than services and destinations. */
export const isOther = ({ operation: { op } }: Rule): boolean =>
  ['zero', 'setTimeouts', 'startSyncDaemon', 'stopSyncDaemon'].includes(op)

const carryOut = (state: State, rule: Rule): void => {
  const { operation } = rule
  const { services, rules } = state
  switch (operation.op) {
    case 'addService':
    case 'editService':
      putService(state, rule, operation)
      return
    case 'addDestination':
    case 'editDestination':
      putDestination(state, rule, operation)
      return
    case 'deleteService':
      existing(services, rule.service, 'service')
      services.delete(rule.service)
      rules.push(rule)
      return
    case 'deleteDestination': {
      const { destinations } = existing(services, rule.service, 'service')
      existing(destinations, rule.destination, 'destination')
      destinations.delete(rule.destination)
      rules.push(rule)
      return
    }
    case 'clear':
      clear(state)
      return
    default:
      rules.push(rule)
  }
}

/** What rules make of a table. */
export interface Result {
  readonly faults: readonly Fault[]
  /** Whether nothing is left of what was there before. */
  readonly isCleared: boolean
  /** What is to be sent, in order, if something is left. */
  readonly rules: readonly Rule[]
  /** Services and destinations, as they are to be if nothing is left. */
  readonly desired: readonly VirtualServer[]
  /** The line that asks for a service or destination. */
  readonly lineOf: (service: ServiceKey, destination?: DestinationKey) => number | undefined
}

function* desiredOf(services: State['services']): Steps<VirtualServer[]> {
  const desired: VirtualServer[] = []
  for (const { service, destinations: entries } of services.values()) {
    const destinations: AnyDestination[] = []
    for (const { destination } of entries.values()) {
      yield
      destinations.push(destination)
    }
    desired.push({ ...service, destinations })
  }
  return desired
}

/** Carries rules out on a table that was read, or on an empty one. */
export function* applyRules(
  all: readonly Rule[],
  table: readonly VirtualServerState[] | undefined,
): Steps<Result> {
  const state: State = {
    services: yield* entriesOf(table ?? []),
    rules: [],
    isCleared: table === undefined,
  }
  const faults = yield* collect(all, (rule) => {
    carryOut(state, rule)
  })
  return {
    faults,
    isCleared: state.isCleared,
    rules: state.rules,
    desired: yield* desiredOf(state.services),
    lineOf: (service, destination) => {
      const entry = state.services.get(nameService(service))
      return destination ? entry?.destinations.get(nameDestination(destination))?.line : entry?.line
    },
  }
}
