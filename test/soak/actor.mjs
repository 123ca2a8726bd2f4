// One of several who change the table at once: it changes its own services at random, knows after
// each call what its part of the table must look like, and what the call must have answered.

import { setTimeout as sleep } from 'node:timers/promises'
import { openIpvs } from 'ipvs-netlink'

const perActor = 40
const perService = 8
const schedulers = ['rr', 'wrr', 'lc', 'wlc', 'sed', 'nq']
const verbs = [
  ...['addService', 'editService', 'patchService', 'deleteService', 'zero'],
  ...['addDestination', 'editDestination', 'patchDestination', 'deleteDestination'],
]

/** Numbers that look random and are the same at every run (xorshift32). */
export const makeChance = (seed) => {
  let state = seed
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

const pick = (chance, list) => list[chance(list.length)]

/** The services of an actor: one in ten is a firewall mark, the others are ports of its own address. */
const keyOf = (actor, n) =>
  n % 10 === 0
    ? { fwmark: 1000 * (actor + 1) + n }
    : { protocol: 'tcp', address: `10.9.0.${actor + 1}`, port: 1000 + n }

const ruleOf = ({ fwmark, address, port }) =>
  fwmark === undefined ? `-t ${address}:${port}` : `-f ${fwmark}`

export class Actor {
  #model = new Map()
  #chance
  #keys
  #calls
  wrong = []
  changes = 0
  /** Those that the kernel was expected to refuse, and did. */
  refused = 0

  static async open(number, options) {
    const actor = new Actor()
    actor.#chance = makeChance(977 * (number + 1))
    actor.#keys = Array.from({ length: perActor }, (_, n) => keyOf(number, n))
    actor.#calls = await openIpvs(options)
    return actor
  }

  /** A change and the code that it must answer, by the model, which it also brings up to date. */
  #next() {
    const chance = this.#chance
    const key = pick(chance, this.#keys)
    const address = `10.7.0.${1 + chance(perService)}`
    // One in twelve is whatever comes, and mostly refused, which costs an error each.
    const op = chance(12) === 0 ? pick(chance, verbs) : this.#fitting(key, address)
    return this.#foretell(op, key, address)
  }

  /** A change that the kernel makes, as the table is. */
  #fitting(key, address) {
    const chance = this.#chance
    const known = this.#model.get(key)
    if (!known) return 'addService'
    const lot = chance(100)
    if (lot < 8) return 'editService'
    if (lot < 9) return 'patchService'
    if (lot < 11) return 'zero'
    if (lot < 13) return 'deleteService'
    if (!known.destinations.has(address)) return 'addDestination'
    if (lot < 14) return 'patchDestination'
    return lot < 60 ? 'editDestination' : 'deleteDestination'
  }

  #foretell(op, service, address) {
    const chance = this.#chance
    const destination = { address, port: 80 }
    const settings = { ...destination, forwarding: 'nat', weight: chance(100) }
    const known = this.#model.get(service)
    const { weight } = settings
    // Another scheduler makes kernels before 7.3 wait for 6 to 27 ms (RCU), and all changes with them.
    const isOther = known === undefined || chance(32) === 0
    const scheduler = isOther ? pick(chance, schedulers) : known.scheduler
    const persistence = { timeout: 1 + chance(9999) }
    const there = known?.destinations.has(address) ?? false
    const noService = known ? undefined : 'ERR_IPVS_NO_SERVICE'
    const noDestination = noService ?? (there ? undefined : 'ERR_IPVS_NO_DESTINATION')
    switch (op) {
      case 'addService':
        if (!known) this.#model.set(service, { scheduler, timeout: 0, destinations: new Map() })
        return [{ op, service: { ...service, scheduler } }, known && 'ERR_IPVS_SERVICE_EXISTS']
      case 'editService':
        if (known) Object.assign(known, { scheduler, timeout: persistence.timeout })
        return [{ op, service: { ...service, scheduler, persistence } }, noService]
      case 'patchService':
        if (known) known.timeout = persistence.timeout
        return [{ op, service, changes: { persistence } }, noService]
      case 'deleteService':
        this.#model.delete(service)
        return [{ op, service }, noService]
      case 'zero':
        return [{ op, service }, noService]
      case 'addDestination':
        if (known && !there) known.destinations.set(address, weight)
        return [
          { op, service, destination: settings },
          noService ?? (there ? 'ERR_IPVS_DESTINATION_EXISTS' : undefined),
        ]
      case 'editDestination':
        if (there) known.destinations.set(address, weight)
        return [{ op, service, destination: settings }, noDestination]
      case 'patchDestination':
        if (there) known.destinations.set(address, weight)
        return [{ op, service, destination, changes: { weight } }, noDestination]
      default:
        known?.destinations.delete(address)
        return [{ op, service, destination }, noDestination]
    }
  }

  #judge(operation, expected, outcome) {
    ++this.changes
    const told = outcome.ok ? undefined : (outcome.error.code ?? String(outcome.error))
    this.refused += told === undefined ? 0 : 1
    if (expected === told) return
    this.wrong.push({ operation, expected: expected ?? 'success', told: told ?? 'success' })
  }

  /** Some changes, as one batch or as calls that nobody waits for one by one. */
  async step(count) {
    const pairs = Array.from({ length: count }, () => this.#next())
    if (this.#chance(4) > 0) {
      const outcomes = await this.#calls.batch(pairs.map(([operation]) => operation))
      pairs.forEach(([operation, expected], index) => {
        this.#judge(operation, expected, outcomes[index])
      })
      return
    }
    const outcomes = await Promise.all(
      pairs.map(async ([{ op, service, destination, changes }]) =>
        this.#calls[op](...[service, destination, changes].filter(Boolean)).then(
          () => ({ ok: true }),
          (error) => ({ ok: false, error }),
        ),
      ),
    )
    pairs.forEach(([operation, expected], index) => {
      this.#judge(operation, expected, outcomes[index])
    })
  }

  /** Steps at least once, until it is over, no more than so many changes a second on the whole. */
  async work(count, rate, isOver) {
    const started = performance.now()
    do {
      await this.step(count)
      const early = (1000 * this.changes) / rate - (performance.now() - started)
      if (early > 0) await sleep(early)
    } while (!isOver())
  }

  /** What `ipvsadm -Sn` must print of this actor. */
  expected() {
    return [...this.#model].flatMap(([key, { scheduler, timeout, destinations }]) => [
      `-A ${ruleOf(key)} -s ${scheduler}${timeout > 0 ? ` -p ${timeout}` : ''}`,
      ...[...destinations].map(
        ([address, weight]) => `-a ${ruleOf(key)} -r ${address}:80 -m -w ${weight}`,
      ),
    ])
  }

  async close() {
    await this.#calls.close()
  }
}
