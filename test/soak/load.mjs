// Several handles and worker threads change one table, while another process edits it with ipvsadm
// and requests pass through it. At the end the kernel's table, as ipvsadm prints it, must be what each of
// them expects, and nothing else. Each changes entries of its own: a patch is no atomic change, so
// of two of one entry the later one may undo the other (types/ipvs.d.ts says so).
//
//   node test/soak/load.mjs [--changes N] [--seconds S] [--handles N] [--workers N] [--size N]
//                           [--rate N] [--pause MS] [--out DIR]
//
// Ends after N changes or S seconds, whichever comes first. Each handle has SIZE changes under way; all
// together make no more than RATE a second. The others pause MS after each request and each 4 edits, so
// that most of the time is ours. Changes the namespace it runs in: use a fresh one (`npm run vm`, or
// `unshare -n` on a kernel with IPVS). DIR gets curve.csv as it goes, and curve.svg at the end.
//
// Fails when an outcome or the table is wrong, when descriptors or memory leak, and when the event loop is held
// for longer than the machine explains: see verdict.mjs. A run of less than 12 samples, which are a second
// apart or more, is too short for the latter two.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'

import { host, ipvs } from 'ipvs-netlink'

import { Actor } from './actor.mjs'
import { drawCurve } from './curve.mjs'
import { delayOf, faultsOf } from './verdict.mjs'

const { values } = parseArgs({
  options: {
    changes: { type: 'string', default: '1000000' },
    seconds: { type: 'string', default: '1200' },
    handles: { type: 'string', default: '3' },
    workers: { type: 'string', default: '2' },
    size: { type: 'string', default: '512' },
    rate: { type: 'string', default: '1000000' },
    pause: { type: 'string', default: '200' },
    out: { type: 'string' },
  },
})
const [changes, seconds, handles, workers, size, rate, rest] = [
  values.changes,
  values.seconds,
  values.handles,
  values.workers,
  values.size,
  values.rate,
  values.pause,
].map(Number)

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
const foreignMark = 900_000

/** The kernel's table, as another program reads it. */
const rulesNow = () =>
  execFileSync('ipvsadm', ['-Sn'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .sort()

const webRules = []

/** Requests through a service of the table that nobody else touches. */
const startTraffic = async (state) => {
  const server = createServer((_, response) => response.end('page'))
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await host.addVip({ address: web.address })
  await ipvs.addService({ ...web, scheduler: 'rr' })
  await ipvs.addDestination(web, { address: '127.0.0.1', port, forwarding: 'nat' })
  const rule = `-t ${web.address}:${web.port}`
  webRules.push(`-A ${rule} -s rr`, `-a ${rule} -r 127.0.0.1:${port} -m -w 1`)
  const ask = async () => {
    while (state.going) {
      const page = await new Promise((resolve) => {
        get({ host: web.address, agent: false }, (response) =>
          response.setEncoding('utf8').once('data', resolve).once('error', resolve),
        ).once('error', resolve)
      }).catch(String)
      if (page === 'page') ++state.requests
      else state.wrong.push({ operation: 'request', expected: 'page', told: String(page) })
      await sleep(rest)
    }
    server.close()
  }
  return ask()
}

/** A process that edits a service for each mark that it reads, and answers how that ended. */
const edits = `while read -r mark; do
  ipvsadm -A -f "$mark" -s rr && ipvsadm -a -f "$mark" -r 10.8.0.1:80 -m &&
    ipvsadm -e -f "$mark" -r 10.8.0.1:80 -m -w 7 && ipvsadm -D -f "$mark"
  echo $?
done`

/** Somebody else's edits of services of their own, by ipvsadm. */
const startForeigner = async (state) => {
  const shell = spawn('sh', ['-c', edits], { stdio: ['pipe', 'pipe', 'inherit'] })
  const answers = createInterface(shell.stdout)
  while (state.going) {
    shell.stdin.write(`${foreignMark + (state.foreign % 20)}\n`)
    const [told] = await once(answers, 'line')
    if (told !== '0') state.wrong.push({ operation: 'ipvsadm', expected: '0', told })
    ++state.foreign
    await sleep(rest)
  }
  shell.stdin.end()
}

const share = rate / (handles + workers)

const startWorker = (number) => {
  const worker = new Worker(new URL('worker.mjs', import.meta.url), {
    workerData: { number, size, rate: share },
  })
  const report = { changes: 0, refused: 0, wrong: [], heapUsed: 0, expected: [] }
  worker.on('message', (message) => Object.assign(report, message))
  const ended = new Promise((resolve, reject) => {
    worker.once('exit', resolve)
    worker.once('error', reject)
  })
  return { report, ended, stop: () => worker.postMessage('stop') }
}

/** What the machine has left, in bytes. */
const available = () =>
  1024 * /MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))[1]

const idle = new Worker(new URL('idle.mjs', import.meta.url))
const idleDelay = async () => {
  idle.postMessage('tell')
  return (await once(idle, 'message'))[0]
}

const sample = async (started, total, delay, threads) => {
  const { rss, heapUsed, external } = process.memoryUsage()
  const others = threads.map(({ report }) => report.heapUsed)
  return {
    seconds: Math.round((performance.now() - started) / 1000),
    changes: total,
    rss,
    heapUsed: others.reduce((sum, each) => sum + each, heapUsed),
    external,
    available: available(),
    descriptors: readdirSync('/proc/self/fd').length,
    delay: delayOf(delay),
    idleDelay: await idleDelay(),
  }
}

const csvOf = (curve) => {
  const columns = Object.keys(curve[0])
  const rows = curve.map((each) => columns.map((name) => each[name]).join())
  return `${[columns.join(), ...rows].join('\n')}\n`
}

const state = { going: true, requests: 0, foreign: 0, wrong: [] }
const started = performance.now()
const delay = monitorEventLoopDelay({ resolution: 20 })
const traffic = startTraffic(state)
const foreigner = startForeigner(state)
const actors = await Promise.all(Array.from({ length: handles }, (_, n) => Actor.open(n)))
const threads = Array.from({ length: workers }, (_, n) => startWorker(handles + n))

const sumOf = (name) =>
  [...actors, ...threads.map(({ report }) => report)].reduce((sum, each) => sum + each[name], 0)
const total = () => sumOf('changes')
const isOver = () => total() >= changes || performance.now() - started > seconds * 1000

const work = actors.map(async (actor) => actor.work(size, share, isOver))
delay.enable()
const curve = []
const every = Math.max(1, Math.min(10, seconds / 60)) * 1000
if (values.out !== undefined) mkdirSync(values.out, { recursive: true })
while (!isOver()) {
  await sleep(every)
  curve.push(await sample(started, total(), delay, threads))
  if (values.out !== undefined) writeFileSync(`${values.out}/curve.csv`, csvOf(curve))
}
await Promise.all(work)
threads.forEach(({ stop }) => stop())
await Promise.all([idle.terminate(), ...threads.map(({ ended }) => ended)])
state.going = false
await Promise.all([traffic, foreigner])
const took = (performance.now() - started) / 1000
const { user, system } = process.cpuUsage()

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')
collect()
await sleep(500)
collect()
const after = process.memoryUsage().rss

const kernel = rulesNow()
const expected = [
  ...webRules,
  ...actors.flatMap((actor) => actor.expected()),
  ...threads.flatMap(({ report }) => report.expected),
].sort()
await Promise.all(actors.map((actor) => actor.close()))

const wrong = [...state.wrong, ...actors.flatMap((each) => each.wrong)].concat(
  threads.flatMap(({ report }) => report.wrong),
)
const same = kernel.join('\n') === expected.join('\n')
const middle = (numbers) => numbers.toSorted((one, two) => one - two)[numbers.length >> 1]
const mib = (bytes) => Math.round(bytes / 2 ** 18) / 4
const settled = curve.slice(Math.floor(curve.length / 4))
const faults = faultsOf(curve, handles * size)
const result = {
  changes: total(),
  refusedAsExpected: sumOf('refused'),
  seconds: Math.round(took),
  changesPerSecond: Math.round(total() / took),
  cpuSeconds: [user, system].map((each) => Math.round(each / 1e6)),
  handles,
  workers,
  foreignEdits: 4 * state.foreign,
  requests: state.requests,
  wrongOutcomes: wrong.length,
  entriesInKernel: kernel.length,
  kernelIsTheModel: same,
  // At a quarter, at half and at the end; then after the collector's work, with the threads gone.
  rssMiB: [settled[0], settled[Math.floor(settled.length / 3)], settled.at(-1)].map((each) =>
    mib(each?.rss),
  ),
  rssMiBAfter: mib(after),
  availableMiB: [mib(settled[0]?.available), mib(settled.at(-1)?.available)],
  descriptors: [settled[0]?.descriptors, settled.at(-1)?.descriptors],
  loopDelayP99Ms: middle(settled.map((each) => each.delay)),
  worstLoopDelayP99Ms: Math.max(...settled.map((each) => each.delay)),
  idleLoopDelayP99Ms: middle(settled.map((each) => each.idleDelay)),
  faults,
}
console.log(JSON.stringify(result))
wrong.slice(0, 10).forEach((each) => console.error(JSON.stringify(each)))
if (!same) {
  console.error(
    'only in the kernel:',
    kernel.filter((line) => !expected.includes(line)).slice(0, 9),
  )
  console.error('only expected:', expected.filter((line) => !kernel.includes(line)).slice(0, 9))
}
if (values.out !== undefined) writeFileSync(`${values.out}/curve.svg`, drawCurve(curve))
process.exitCode = wrong.length === 0 && same && faults.length === 0 && result.changes > 0 ? 0 : 1
