// What is on its way out.

/** The drains under way, by name. */
export class Drains {
  #running = new Map()
  #ipvs
  #log
  #ended

  constructor({ ipvs, log, ended }) {
    this.#ipvs = ipvs
    this.#log = log
    this.#ended = ended
  }

  /** Gives up those that are not among these; what they drained has its weight again then. */
  async giveUpBut(wanted) {
    const unwanted = [...this.#running].filter(([name]) => !wanted.has(name))
    for (const [, { controller }] of unwanted) controller.abort()
    await Promise.all(unwanted.map(([, { finished }]) => finished))
  }

  /** Drains a destination, or a whole service, unless that is under way. */
  start(name, { service, destination }, timeout) {
    if (this.#running.has(name)) return
    const controller = new AbortController()
    const options = { timeout, signal: controller.signal }
    const drain = destination
      ? this.#ipvs.drainDestination(service, destination, options)
      : this.#ipvs.drainService(service, options)
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
