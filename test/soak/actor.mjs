// One of several who change the table at once: it changes its own services at random, knows after
// each call what its part of the table must look like, and what the call must have answered.

import { openIpvs } from 'ipvs-netlink'

const perActor = 40
const perService = 8
const schedulers = ['rr', 'wrr', 'lc', 'wlc', 'sed', 'nq']

/** Numbers that look random and are the same at every run (xorshift32). */
const makeChance = (seed) => {
  let state = seed
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

const pick = (chance, list) => list[chance(list.length)]

/** The services of an actor are firewall marks of its own thousand. */
export const firstMark = (actor) => 1000 * (actor + 1)

export class Actor {
  #model = new Map()
  #chance
  #first
  #calls
  wrong = []
  changes = 0

  static async open(number, options) {
    const actor = new Actor()
    actor.#chance = makeChance(977 * (number + 1))
    actor.#first = firstMark(number)
    actor.#calls = await openIpvs(options)
    return actor
  }

  /** A change and the code that it must answer, by the model, which it also brings up to date. */
  #next() {
    const chance = this.#chance
    const fwmark = this.#first + chance(perActor)
    const service = { fwmark }
    const destination = { address: `10.7.0.${1 + chance(perService)}`, port: 80 }
    const known = this.#model.get(fwmark)
    const weight = chance(100)
    const scheduler = pick(chance, schedulers)
    const there = known?.destinations.has(destination.address)
    switch (chance(10)) {
      case 0:
      case 1:
        if (!known) this.#model.set(fwmark, { scheduler, destinations: new Map() })
        return [
          { op: 'addService', service: { ...service, scheduler } },
          known && 'ERR_IPVS_SERVICE_EXISTS',
        ]
      case 2:
        if (known) known.scheduler = scheduler
        return [
          { op: 'editService', service: { ...service, scheduler } },
          known ? undefined : 'ERR_IPVS_NO_SERVICE',
        ]
      case 3:
        if (known) known.scheduler = scheduler
        return [
          { op: 'patchService', service, changes: { scheduler } },
          known ? undefined : 'ERR_IPVS_NO_SERVICE',
        ]
      case 4:
        if (chance(4) > 0) return this.#next()
        this.#model.delete(fwmark)
        return [{ op: 'deleteService', service }, known ? undefined : 'ERR_IPVS_NO_SERVICE']
      case 5:
      case 6:
      case 7:
        if (known && !there) known.destinations.set(destination.address, weight)
        return [
          { op: 'addDestination', service, destination: { ...destination, weight } },
          known ? there && 'ERR_IPVS_DESTINATION_EXISTS' : 'ERR_IPVS_NO_SERVICE',
        ]
      case 8:
        if (there) known.destinations.set(destination.address, weight)
        return [
          { op: 'editDestination', service, destination: { ...destination, weight } },
          known ? !there && 'ERR_IPVS_NO_DESTINATION' : 'ERR_IPVS_NO_SERVICE',
        ]
      default:
        known?.destinations.delete(destination.address)
        return [
          { op: 'deleteDestination', service, destination },
          known ? !there && 'ERR_IPVS_NO_DESTINATION' : 'ERR_IPVS_NO_SERVICE',
        ]
    }
  }

  #judge(operation, expected, outcome) {
    ++this.changes
    const told = outcome.ok ? undefined : (outcome.error.code ?? String(outcome.error))
    if ((expected || undefined) === told) return
    this.wrong.push({ operation, expected: expected || 'success', told: told ?? 'success' })
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

  /** What the kernel must have of this actor: a sorted line for each entry. */
  expected() {
    return linesOf(
      [...this.#model].map(([fwmark, { scheduler, destinations }]) => ({
        fwmark,
        scheduler,
        destinations: [...destinations].map(([address, weight]) => ({ address, weight })),
      })),
    )
  }

  async close() {
    await this.#calls.close()
  }
}

/** The same of services as they are read from the kernel. */
export const linesOf = (services) =>
  services
    .flatMap(({ fwmark, scheduler, destinations }) => [
      `${fwmark} ${scheduler}`,
      ...destinations.map(({ address, weight }) => `${fwmark} ${address} ${weight}`),
    ])
    .sort()
