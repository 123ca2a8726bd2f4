// @ts-check
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { hostNumber } from './addresses.mjs'
import { Machine } from './machine.mjs'
import { run } from './process.mjs'

/**
 * @typedef {object} Link
 * @property {string} device
 * @property {string} segment the switch that it is plugged into
 * @property {string} address
 *
 * @typedef {object} MachinePlan
 * @property {string} id short enough for an interface name
 * @property {string} name
 * @property {Link[]} links
 * @property {string[]} [routes] as `ip route add` takes them
 * @property {boolean} [forwards] whether it is a router by profession
 *
 * @typedef {object} Plan
 * @property {number} prefixLength
 * @property {string[]} segments
 * @property {MachinePlan[]} machines in the order in which they are plugged in
 */

let built = 0

/** @type {Set<Network>} */
const open = new Set()

// Whoever ends the process early must not leave namespaces behind; only synchronous work is
// possible here.
process.on('exit', () => {
  for (const network of open)
    spawnSync('ip', ['-force', '-batch', '-'], { input: network.removal() })
})

/**
 * The kernel's own defaults for what a new namespace copies from the host, which may have other
 * ones.
 */
const defaults = Object.entries({
  'net/ipv4/ip_forward': 0,
  ...Object.fromEntries(
    ['all', 'default'].flatMap((device) => [
      ...['rp_filter', 'arp_ignore', 'arp_announce', 'arp_filter', 'proxy_arp', 'accept_local'].map(
        (name) => [`net/ipv4/conf/${device}/${name}`, 0],
      ),
      [`net/ipv4/conf/${device}/send_redirects`, 1],
    ]),
  ),
})

const forwarding = ['net/ipv4/ip_forward=1', 'net/ipv6/conf/all/forwarding=1']

/** The settings that make the host's copy what the kernel would have made. */
async function corrections() {
  const differs = await Promise.all(
    defaults.map(
      async ([name, value]) => Number(await readFile(`/proc/sys/${name}`, 'utf8')) !== value,
    ),
  )
  return defaults.filter((_, index) => differs[index]).map(([name, value]) => `${name}=${value}`)
}

/** @param {readonly string[]} lines @param {readonly string[]} [options] */
async function ip(lines, options = []) {
  await run('ip', [...options, '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

/**
 * Machines, each a network namespace, and switches between them, all in one namespace more. Their
 * names are never used twice, as the kernel frees those of interfaces some time after their
 * namespace.
 */
export class Network {
  /** @param {Plan} plan */
  constructor(plan) {
    this.plan = plan
    this.prefix = `ipvs-${process.pid}-${++built}`
    this.machines = plan.machines.map((machine) => new Machine(machine, this.namespace(machine.id)))
  }

  /** @param {Plan} plan */
  static async build(plan) {
    const network = new Network(plan)
    open.add(network)
    try {
      await network.#build()
      return network
    } catch (error) {
      await network.close()
      throw error
    }
  }

  async #build() {
    const { machines } = this.plan
    await ip(this.#namespaces().map((name) => `netns add ${name}`))
    // Before there are links, which copy their settings from `default`.
    const settings = await corrections()
    await Promise.all(machines.map((machine) => this.#set(machine, settings)))
    await ip(this.#cables())
    await ip(this.#switches(), ['-n', this.namespace('switch')])
    await Promise.all(machines.map((machine) => this.#configure(machine)))
  }

  /** @param {string} id */
  namespace(id) {
    return `${this.prefix}-${id}`
  }

  #namespaces() {
    return ['switch', ...this.plan.machines.map(({ id }) => id)].map((id) => this.namespace(id))
  }

  /** @param {MachinePlan} machine @param {readonly string[]} settings */
  async #set({ id, forwards = false }, settings) {
    const all = [...settings, ...(forwards ? forwarding : [])]
    if (all.length > 0)
      await run('sysctl', ['-q', '-w', ...all], { netns: `/run/netns/${this.namespace(id)}` })
  }

  #cables() {
    const { machines, segments } = this.plan
    return machines.flatMap(({ id, links }) =>
      links.map(({ device, segment, address }) => {
        const mac = macAddress(segments.indexOf(segment), address)
        const plug = `${device} address ${mac} netns ${this.namespace(id)}`
        const port = `${id}-${device} netns ${this.namespace('switch')}`
        return `link add ${plug} type veth peer name ${port}`
      }),
    )
  }

  #switches() {
    const { machines, segments } = this.plan
    return [
      ...segments.flatMap((segment) => [
        `link add ${segment} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
        `link set ${segment} addrgenmode none up`,
      ]),
      ...machines.flatMap(({ id, links }) =>
        links.map(
          ({ device, segment }) => `link set ${id}-${device} addrgenmode none master ${segment} up`,
        ),
      ),
    ]
  }

  /** @param {MachinePlan} machine */
  async #configure({ id, links, routes = [] }) {
    const { prefixLength } = this.plan
    const lines = links.flatMap(({ device, address }) => {
      // Usable at once: without duplicate address detection, which keeps an address back for a
      // second or two.
      const add = (/** @type {string} */ what) =>
        `address add ${what} dev ${device}${what.includes(':') ? ' nodad' : ''}`
      const linkLocal = address.includes(':') ? [add(`fe80::${hostNumber(address)}/64`)] : []
      return [
        `link set ${device} addrgenmode none up`,
        ...linkLocal,
        add(`${address}/${prefixLength}`),
      ]
    })
    const options = ['-n', this.namespace(id)]
    await ip(['link set lo up', ...lines, ...routes.map((route) => `route add ${route}`)], options)
  }

  /** @param {string} id */
  machine(id) {
    const machine = this.machines.find((candidate) => candidate.id === id)
    if (machine === undefined) throw new Error(`there is no machine ${id}`)
    return machine
  }

  removal() {
    return this.#namespaces()
      .map((name) => `netns delete ${name}\n`)
      .join('')
  }

  async close() {
    // -force goes on after a namespace that was not made.
    await run('ip', ['-force', '-batch', '-'], { input: this.removal(), mayFail: true })
    open.delete(this)
  }
}

/**
 * Hardware addresses that tell at a glance whose they are: the last byte is the machine's number in
 * its network.
 *
 * @param {number} segment
 * @param {string} address
 */
export function macAddress(segment, address) {
  const hex = (/** @type {number} */ byte) => byte.toString(16).padStart(2, '0')
  return `02:00:00:00:${hex(segment)}:${hex(hostNumber(address))}`
}
