// Handles opened and closed, calls made and worker threads ended in the middle of calls, in numbers;
// descriptors and memory must be as flat at the end as after the first tenth.
//
//   node test/soak/lifecycle.mjs [--opens 10000] [--calls 1000000] [--batches 2000] [--workers 1000]

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'

import { host, ipvs, openHost, openIpvs } from 'ipvs-netlink'

import { mayGrowTo } from './verdict.mjs'

const { values } = parseArgs({
  options: {
    opens: { type: 'string', default: '10000' },
    calls: { type: 'string', default: '1000000' },
    batches: { type: 'string', default: '2000' },
    workers: { type: 'string', default: '1000' },
  },
})

const name = `soak-${process.pid}`
const netns = `/run/netns/${name}`
execFileSync('ip', ['netns', 'add', name])
// However this ends: a namespace with services keeps their schedulers' modules in use.
process.on('exit', () => execFileSync('ip', ['netns', 'delete', name]))
execFileSync('ip', ['-n', name, 'link', 'set', 'lo', 'up'])

const hasIpvs = await ipvs.info().then(
  () => true,
  () => false,
)

const descriptors = () => readdirSync('/proc/self/fd').length
setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')
/** Of what JavaScript holds, in KiB. */
const heap = () => {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return Math.round((heapUsed + external) / 1024)
}
const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])

/**
 * Does something many times; the figures after the first tenth and at the end are printed. `room` is how
 * many descriptors may have been opened in between: none, but for what is kept for the next call.
 */
const repeat = async (what, times, width, room, once) => {
  const started = performance.now()
  const marks = []
  const measure = () => {
    marks.push({ descriptors: descriptors(), heapKiB: heap(), residentKiB: resident() })
  }
  let done = 0
  const part = async (limit) => {
    while (done < limit) {
      const count = Math.min(width, limit - done)
      await Promise.all(Array.from({ length: count }, (_, n) => once(done + n)))
      done += count
    }
    measure()
    console.error(what, done, JSON.stringify(marks.at(-1)))
  }
  for (let tenth = 1; tenth <= 10; ++tenth) await part(Math.floor((times * tenth) / 10))
  const [first] = marks
  const last = marks.at(-1)
  const seconds = Math.round((performance.now() - started) / 100) / 10
  console.log(JSON.stringify({ what, times, seconds, hasIpvs, first, last }))
  if (last.descriptors > first.descriptors + room) throw new Error(`${what}: descriptors leak`)
  // Of 9,000 handles that is 230 bytes each.
  if (last.heapKiB > first.heapKiB + 2048) throw new Error(`${what}: the heap grows`)
  // What is not the heap's would show when it is 20 bytes a call, 2,000 a handle or 19,000 a thread.
  const isLeak = 1024 * last.residentKiB > mayGrowTo(1024 * first.residentKiB)
  if (isLeak) throw new Error(`${what}: memory leaks`)
}

await repeat('open, use and close', Number(values.opens), 8, 0, async (n) => {
  const [table, machine] = await Promise.all([openIpvs({ netns }), openHost({ netns })])
  if (n % 2 === 0) await Promise.all([table.info().catch(() => {}), machine.listAddresses('lo')])
  await Promise.all([table.close(), machine.close()])
})

const before = descriptors()
const table = await openIpvs({ netns })
const machine = await openHost({ netns })
if (hasIpvs) await table.addService({ fwmark: 1 })
const key = { fwmark: 1 }
// Kernels before 7.3 wait up to 27 ms for a change of the scheduler, with all other changes behind it; a
// million calls would mostly wait. So one patch in 64 makes one, and the next edit another.
const patchOf = (n) =>
  n % 512 === 1 ? { scheduler: 'wrr' } : { persistence: { timeout: 60 + (n % 9) } }
// Mostly changes, which are what a controller does; without IPVS they are refused one by one.
const calls = [
  () => table.editService({ fwmark: 1, scheduler: 'rr' }),
  (n) => table.patchService(key, patchOf(n)),
  () => table.addDestination(key, { address: '10.0.0.1', port: 80 }, { ifExists: 'ignore' }),
  () => table.deleteDestination(key, { address: '10.0.0.1', port: 80 }, { ifMissing: 'ignore' }),
  () => table.getService(key),
  () => table.listDestinations(key),
  () => machine.getSysctl('net.ipv4.ip_forward'),
  () => table.addService({ fwmark: 1 }),
]
const isSetting = (kind) => kind === 6
/** What a call of each kind must answer: the last one adds what is there. */
const rightAnswer = (kind) => {
  if (isSetting(kind)) return 'done'
  if (!hasIpvs) return 'ERR_IPVS_NOT_AVAILABLE'
  return kind === calls.length - 1 ? 'ERR_IPVS_SERVICE_EXISTS' : 'done'
}
const answerOf = async (call) =>
  call.then(
    () => 'done',
    (error) => error.code ?? String(error),
  )
const mustBe = (what, told, right) => {
  if (told !== right) throw new Error(`${what}: ${told} instead of ${right}`)
}
// A handle keeps the two sockets of as many readers as there ever were at once, but of no more than 4
// (native/ipvs/client.cc); one socket is there after the first tenth.
await repeat('call', Number(values.calls), 256, 7, async (n) => {
  const kind = n % calls.length
  mustBe(`call ${n}, of kind ${kind}`, await answerOf(calls[kind](n)), rightAnswer(kind))
})
// As a controller with a large table sends them, over and over.
const changes = Array.from({ length: 512 }, (_, n) => ({
  op: ['addDestination', 'editDestination', 'addDestination', 'deleteDestination'][n % 4],
  service: key,
  destination: { address: `10.0.${n >> 8}.${n & 252}`, port: 80 },
}))
const rightOutcome = (n) => {
  if (!hasIpvs) return 'ERR_IPVS_NOT_AVAILABLE'
  return n % 4 === 2 ? 'ERR_IPVS_DESTINATION_EXISTS' : 'done'
}
// Three at once, whose changes take turns as wholes.
await repeat('batch of 512 changes', Number(values.batches), 3, 0, async () => {
  const outcomes = await table.batch(changes)
  outcomes.forEach(({ ok, error }, n) => {
    mustBe(`change ${n} of a batch`, ok ? 'done' : error.code, rightOutcome(n))
  })
})
await Promise.all([table.close(), machine.close()])
if (descriptors() !== before) throw new Error('closed handles leave descriptors behind')

const file = new URL('forever.mjs', import.meta.url)
await repeat('worker thread terminated in mid-call', Number(values.workers), 2, 0, async (n) => {
  const worker = new Worker(file, { workerData: netns })
  const [succeeded] = await once(worker, 'message')
  mustBe(`calls of worker thread ${n}`, succeeded.join(), [true, true, hasIpvs, hasIpvs].join())
  await new Promise((resolve) => setTimeout(resolve, n % 5))
  await worker.terminate()
})

if ((await host.listAddresses('lo')).length === 0) throw new Error('the main thread does not go on')
const own = readlinkSync('/proc/self/ns/net')
const elsewhere = () =>
  readdirSync('/proc/self/task').filter((thread) => {
    try {
      return readlinkSync(`/proc/self/task/${thread}/ns/net`) !== own
    } catch {
      return false // It has ended.
    }
  })
// One that was waited for may still be on its way out.
for (let tries = 0; elsewhere().length > 0; ++tries) {
  if (tries === 100) throw new Error('a thread was left in another namespace')
  await new Promise((resolve) => setTimeout(resolve, 100))
}
