// What is on its way out.

import { ipvs } from 'ipvs-netlink'

/** The drains under way, by what they drain. */
export class Drains {
  #running = new Map()
  #log
  #ended

  constructor({ log, ended }) {
    this.#log = log
    this.#ended = ended
  }

  /** Makes exactly these the drains under way: starts the new ones, gives up the others. */
  async set(changes, timeout) {
    const wanted = new Map(
      changes.map(({ service, destination }) => [
        JSON.stringify([service, destination?.address, destination?.port]),
        { service, destination },
      ]),
    )
    const unwanted = [...this.#running].filter(([name]) => !wanted.has(name))
    for (const [, { controller }] of unwanted) controller.abort()
    await Promise.all(unwanted.map(([, { finished }]) => finished))
    for (const [name, each] of wanted)
      if (!this.#running.has(name)) this.#start(name, each, timeout)
  }

  #start(name, { service, destination }, timeout) {
    const controller = new AbortController()
    const options = { timeout, signal: controller.signal }
    const drain = destination
      ? ipvs.drainDestination(service, destination, options)
      : ipvs.drainService(service, options)
    this.#log(`draining ${name}`)
    const finished = drain
      .then(
        ({ ended, reason }) => {
          this.#log(`drained ${name}: ${reason ?? 'nothing was left'}`)
          this.#ended(ended)
        },
        (error) => this.#log(`not drained ${name}: ${error.message}`),
      )
      .finally(() => this.#running.delete(name))
    this.#running.set(name, { controller, finished })
  }
}
