// Which real servers answer.

import { get } from 'node:http'

/** Whether a page is there: any status of 200 to 399. */
const answers = (url, timeout) =>
  new Promise((resolve) => {
    const request = get(url, { agent: false, signal: AbortSignal.timeout(timeout) }, (response) => {
      response.resume()
      resolve(response.statusCode >= 200 && response.statusCode < 400)
    })
    request.on('error', () => resolve(false))
  })

const hostOf = (address) => (address.includes(':') ? `[${address}]` : address)

/** Remembers how often each URL has answered, or has not, in a row. */
export class HealthChecks {
  #known = new Map()

  /** A server that is checked for the first time is as it is then. */
  async #check(url, { timeout, rise, fall }) {
    const alive = await answers(url, timeout)
    const { healthy, row } = this.#known.get(url) ?? { healthy: alive, row: 0 }
    const differs = alive === healthy ? 0 : row + 1
    const flips = differs >= (alive ? rise : fall)
    return [url, flips ? { healthy: alive, row: 0 } : { healthy, row: differs }]
  }

  /** Without a check, a destination counts as healthy. */
  static urlOf({ port }, health, destination) {
    if (!health) return undefined
    const at = health.port ?? destination.port ?? port
    return `http://${hostOf(destination.address)}:${at}${health.path ?? '/'}`
  }

  /** Checks all at once, and forgets those that are asked for no more. */
  async round(urls, settings) {
    this.#known = new Map(
      await Promise.all([...new Set(urls)].map((url) => this.#check(url, settings))),
    )
  }

  /** How many do not answer. */
  get unhealthy() {
    return [...this.#known.values()].filter(({ healthy }) => !healthy).length
  }

  isHealthy(url) {
    return url === undefined || this.#known.get(url)?.healthy === true
  }
}
