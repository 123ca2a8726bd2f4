// @ts-check
import { run, start } from './process.mjs'

/**
 * A network namespace, with what a person at that machine could look up about its network.
 */
export class Machine {
  /**
   * @param {{ id: string, name: string, links: readonly { device: string, address: string }[] }} plan
   * @param {string} namespace
   */
  constructor({ id, name, links }, namespace) {
    this.id = id
    this.name = name
    this.namespace = namespace
    /** As `openIpvs` and `openHost` take it. */
    this.netns = `/run/netns/${namespace}`
    /** Of its first device. */
    this.address = links[0]?.address ?? ''
  }

  /**
   * @param {string} program
   * @param {readonly string[]} args
   * @param {{ input?: string, timeout?: number, mayFail?: boolean }} [options]
   */
  async run(program, args, options) {
    return await run(program, args, { ...options, netns: this.netns })
  }

  /** @param {string} program @param {readonly string[]} args */
  start(program, args) {
    return start('ip', ['netns', 'exec', this.namespace, program, ...args])
  }

  /** @param {readonly string[]} args */
  async #look(...args) {
    return JSON.parse((await run('ip', ['-n', this.namespace, '-s', '-j', ...args])) || '[]')
  }

  /**
   * What has crossed an interface since it was made.
   *
   * @param {string} device
   */
  async counters(device) {
    const [{ stats64 }] = await this.#look('link', 'show', 'dev', device)
    return {
      packetsIn: /** @type {number} */ (stats64.rx.packets),
      packetsOut: /** @type {number} */ (stats64.tx.packets),
      bytesIn: /** @type {number} */ (stats64.rx.bytes),
      bytesOut: /** @type {number} */ (stats64.tx.bytes),
    }
  }

  /**
   * The hardware address at which this machine believes an address to be.
   *
   * @param {string} address
   * @param {string} device
   * @returns {Promise<string | undefined>}
   */
  async neighbour(address, device) {
    const [entry] = await this.#look('neighbour', 'show', 'to', address, 'dev', device)
    return entry?.lladdr
  }

  /** Forgets who is where, so that the next packet asks anew. */
  async forgetNeighbours() {
    await run('ip', ['-n', this.namespace, 'neighbour', 'flush', 'all'])
  }

  /**
   * Asks the network for an IPv4 address and answers the hardware addresses of all that claim it,
   * the quickest first.
   *
   * @param {string} address
   * @param {string} device
   * @returns {Promise<string[]>}
   */
  async whoHas(address, device) {
    // One question, as the next would come after the end, and more answers than there can be, so
    // that it waits for all.
    const args = ['-b', '-c', '100', '-i', '5', '-w', '1', '-I', device, address]
    const ask = async () => {
      const said = await this.run('arping', args, { mayFail: true })
      const found = [...said.matchAll(/\[([\da-f:]{17})\]/gi)]
      return new Set(found.map(([, mac]) => mac?.toLowerCase() ?? ''))
    }
    const macs = await ask()
    // Once more, as a machine that was halted may be done waiting before it looks.
    return [...(macs.size > 0 ? macs : await ask())]
  }
}
