// @ts-check
// For how long does a scrape of 100,000 destinations hold the event loop, through a registry and as a
// stream? The table has been read already, so it needs no kernel: node bench/scrape.mjs
import { openSync, readSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { IpvsCollector } from 'ipvs-netlink/prometheus'
import { createFakeIpvs } from 'ipvs-netlink/testing'
import { Registry } from 'prom-client'

/** @typedef {import('ipvs-netlink/prometheus').IpvsCollectorOptions} Options */

const [services, each] = [10_000, 10]

const own = openSync(`/proc/self/task/${process.pid}/schedstat`, 'r')
const text = Buffer.alloc(64)

/** Milliseconds that the main thread has run. */
function mainThread() {
  process.cpuUsage() // has the kernel bring its books up to date
  return Number(text.toString('latin1', 0, readSync(own, text, 0, 64, 0)).split(' ')[0]) / 1e6
}

/** @param {() => Promise<number>} doIt answers how long the text is */
async function observed(doIt) {
  let longest = 0
  let isDone = false
  const looking = (async () => {
    for (let start = mainThread(); !isDone;) {
      await nextTurn()
      const now = mainThread()
      longest = Math.max(longest, now - start)
      start = now
    }
  })()
  await nextTurn()
  const start = mainThread()
  const length = await doIt()
  const whole = mainThread() - start
  isDone = true
  await looking
  return { megabytes: length / 1e6, whole, longest }
}

const fake = createFakeIpvs()
for (let number = 0; number < services; ++number) {
  const address = `10.1.${number >> 8}.${number & 255}`
  const service = /** @type {const} */ ({ protocol: 'tcp', address, port: 80 })
  await fake.addService(service)
  await fake.batch(
    Array.from({ length: each }, (_, index) => ({
      op: /** @type {const} */ ('addDestination'),
      service,
      destination: { address: `172.16.0.${index + 1}` },
    })),
  )
}
const [state, totals] = [await fake.snapshot(), await fake.totals()]
const ipvs = /** @type {import('ipvs-netlink').Ipvs} */ (
  /** @type {unknown} */ ({ snapshot: async () => state, totals: async () => totals })
)

/** @type {Record<string, Options>} */
const labels = {
  'all six, with counters': {},
  'all six, without': { backendCounters: false },
  "the service's four": { backendLabels: ['local_address', 'local_port', 'proto', 'local_mark'] },
  'proto alone': { backendLabels: ['proto'], serviceLabels: ['proto'] },
}
for (const [name, options] of [...Object.entries(labels), ...Object.entries(labels)]) {
  const register = new Registry()
  const collector = new IpvsCollector({ ipvs, registers: [register], ...options })
  const ways = {
    registry: async () => (await register.metrics()).length,
    stream: async () => {
      let length = 0
      for await (const piece of collector.stream()) length += piece.length
      return length
    },
  }
  for (const [way, scrape] of Object.entries(ways)) {
    const { megabytes, whole, longest } = await observed(scrape)
    const words = [
      `${megabytes.toFixed(1)} MB`,
      `${whole.toFixed(0)} ms`,
      `longest turn ${longest.toFixed(0)} ms`,
    ]
    console.log(`${name}, ${way}: ${words.join(', ')}`)
  }
}
