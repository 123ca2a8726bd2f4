// @ts-check
// Does the package starve in libuv's pool of threads, or starve others there? For time, as modules
// are loaded and threads wait.
//
//   - the pool is full of key derivations: what do our calls see?
//   - handles of ours load modules, each call a second in the kernel: what does fs see?
//   - handles of ours add 10,000 destinations to one service: what does fs see?
import { pbkdf2 } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { openIpvs } from 'ipvs-netlink'
import { answer, inNamespaces, progress, raw } from './support/guest.mjs'
import { objects } from './support/table.mjs'

/** @typedef {Awaited<ReturnType<typeof openIpvs>>} Ipvs */

const derive = promisify(pbkdf2)

/** @param {number[]} values @param {number} share */
const quantile = (values, share) =>
  values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))]

/**
 * How long each of some calls takes, one after the other, while something else is done.
 *
 * @param {string} work
 * @param {string} contender
 * @param {() => Promise<unknown>} call
 * @param {() => Promise<unknown>} meanwhile
 */
async function latency(work, contender, call, meanwhile) {
  progress(`${work}: ${contender}`)
  let isDone = false
  const latencies = []
  const busy = meanwhile().finally(() => (isDone = true))
  do {
    const start = performance.now()
    await call()
    latencies.push(performance.now() - start)
  } while (!isDone)
  await busy
  return {
    work,
    contender,
    count: latencies.length,
    p50: quantile(latencies, 0.5),
    max: Math.max(...latencies),
  }
}

const idle = () => new Promise((resolve) => setTimeout(resolve, 1000))

/** So many derivations at once, several times. @param {number} width */
const derivations = (width) =>
  Promise.all(
    Array.from({ length: width }, async () => {
      for (let time = 0; time < 5; ++time) await derive('secret', 'salt', 20_000, 32, 'sha256')
    }),
  )

const [{ service, destination } = { service: undefined, destination: undefined }] = objects(
  { services: 1, each: 1 },
  1,
)
if (!service || !destination) throw new Error('no table')
const readFile = () => stat('/proc/self/ns/net')

/** @param {Ipvs} ipvs */
const change = (ipvs) => () => ipvs.editDestination(service, destination)

/** A scheduler that there is not: the kernel looks for its module, each time anew. @param {Ipvs} ipvs */
const loadModule = (ipvs) =>
  ipvs
    .addService({ protocol: 'tcp', address: '10.9.9.9', port: 9, scheduler: 'absent' })
    .catch(() => {})

/** @param {Ipvs} ipvs */
const fill = (ipvs) =>
  ipvs.batch(
    objects({ services: 1, each: 3000 }, 1).map((each) => ({
      op: /** @type {const} */ ('addDestination'),
      ...each,
    })),
  )

const rows = await inNamespaces(9, 1, async ([mine = '', ...others]) => {
  raw('change', 1, 1, 128, 0, mine)
  const ipvs = await openIpvs({ netns: mine })
  const handles = await Promise.all(others.map((netns) => openIpvs({ netns })))
  /** @param {number} count @param {(ipvs: Ipvs) => Promise<unknown>} work */
  const many = (count, work) => () => Promise.all(handles.slice(0, count).map(work))
  const found = [
    await latency('a change', 'nothing else', change(ipvs), idle),
    await latency('a change', '2 derivations', change(ipvs), () => derivations(2)),
    await latency('a change', '4 derivations', change(ipvs), () => derivations(4)),
    await latency('a change', '8 derivations', change(ipvs), () => derivations(8)),
    await latency('fs.stat()', 'nothing else', readFile, idle),
    await latency('fs.stat()', '4 derivations', readFile, () => derivations(4)),
    await latency('fs.stat()', '1 handle loads a module', readFile, many(1, loadModule)),
    await latency('fs.stat()', '4 handles load modules', readFile, many(4, loadModule)),
    await latency('fs.stat()', '8 handles load modules', readFile, many(8, loadModule)),
    await latency('a change', '4 handles load modules', change(ipvs), many(4, loadModule)),
    await latency('fs.stat()', '1 handle fills a service', readFile, many(1, fill)),
    await latency('fs.stat()', '4 handles fill services', readFile, many(4, fill)),
  ]
  await Promise.all([ipvs, ...handles].map((handle) => handle.close()))
  return found
})
answer(rows)
