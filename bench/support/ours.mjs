// @ts-check
// This package, measured: one process, which becomes warm.
//
//   node ours.mjs batch|promises|awaited SERVICES EACH EDITS NETNS [WARM_NETNS]
//       adds EACH destinations to each service, then changes all weights so many times; prints what
//       each pass took, on a line. Of calls awaited one by one, what the median call took. Becomes
//       warm in the other namespace first, if there is one.
//   node ours.mjs snapshot|columns|stream PASSES NETNS
//       reads the table; prints what each pass took, on a line, then the peak of its memory in bytes
//   node ours.mjs grow PASSES (SERVICES EACH NETNS)...
//       adds by batch(), then changes all weights and reads the table so many times; prints what the
//       add, the median change and the median snapshot() took, a line for each table
//
// What is printed are nanoseconds of CPU time of the whole process, so with the thread that speaks to
// the kernel, the compiler's and the garbage collector's. The arguments of the calls are made
// beforehand.
import { openIpvs } from 'ipvs-netlink'
import { objects } from './table.mjs'

/** @typedef {Awaited<ReturnType<typeof openIpvs>>} Ipvs */
/** @typedef {'addDestination' | 'editDestination' | 'deleteDestination'} Verb */
/** @typedef {ReturnType<typeof operations>} Operations */

/**
 * What a batch takes, and the calls one by one, too.
 *
 * @param {Verb} op
 * @param {import('./table.mjs').Size} size
 * @param {number} weight
 */
const operations = (op, size, weight) =>
  objects(size, weight).map(({ service, destination }) => ({ op, service, destination }))

/** @param {() => Promise<unknown>} work */
async function cost(work) {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return 1000 * (user + system)
}

/** @param {number[]} values */
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1] ?? NaN

/** @type {Record<string, (ipvs: Ipvs, changes: Operations) => Promise<number>>} */
const changing = {
  batch: async (ipvs, changes) =>
    cost(async () => {
      const outcomes = await ipvs.batch(changes)
      for (const outcome of outcomes) if (!outcome.ok) throw outcome.error
    }),
  promises: async (ipvs, changes) =>
    cost(() =>
      Promise.all(changes.map(({ op, service, destination }) => ipvs[op](service, destination))),
    ),
  awaited: async (ipvs, changes) => {
    const each = []
    for (const { op, service, destination } of changes) {
      // Nothing else runs meanwhile, so that time is CPU time too, and finer.
      const start = process.hrtime.bigint()
      await ipvs[op](service, destination)
      each.push(Number(process.hrtime.bigint() - start))
    }
    return median(each)
  },
}

/** @type {Record<string, (ipvs: Ipvs) => Promise<unknown>>} */
const reading = {
  snapshot: (ipvs) => ipvs.snapshot(),
  columns: (ipvs) => ipvs.columns(),
  stream: async (ipvs) => {
    for await (const server of ipvs.stream()) void server
  },
}

/** V8 compiles the last of it after some 200,000 changes. */
const warmUp = { size: { services: 10, each: 10 }, rounds: 70, passes: 25 }

/**
 * Of few destinations, which the kernel takes back from among those that were deleted: so its memory
 * is as it was.
 *
 * @param {string} way
 * @param {string} netns
 */
async function becomeWarm(way, netns) {
  const { size, passes } = warmUp
  // Awaited one by one, each takes a turn of the event loop, and ten times as long.
  const rounds = way === 'awaited' ? warmUp.rounds / 10 : warmUp.rounds
  const ipvs = await openIpvs({ netns })
  const add = operations('addDestination', size, 1)
  const remove = operations('deleteDestination', size, 1)
  await changing[way]?.(ipvs, add)
  for (let pass = 0; pass < passes; ++pass) {
    const edit = operations('editDestination', size, 2 + pass)
    const changes = Array.from({ length: rounds }, (_, round) =>
      round % 5 === 0 ? [...remove, ...add, ...edit] : edit,
    )
    // As map() makes the lists that are measured: V8 tells them from those of flat().
    const list = changes.flat().map((change) => change)
    await changing[way]?.(ipvs, list)
  }
  await ipvs.close()
}

/** @param {string} way @param {string[]} given */
async function measureChanges(way, [services, each, edits, netns = '', warmNetns]) {
  const size = { services: Number(services), each: Number(each) }
  const adds = operations('addDestination', size, 1)
  const changes = Array.from({ length: Number(edits) }, (_, pass) =>
    operations('editDestination', size, 2 + pass),
  )
  const ipvs = await openIpvs({ netns })
  // With both handles, as V8 optimises for a single one what only that has made.
  if (warmNetns !== undefined) await becomeWarm(way, warmNetns)
  const costs = [await changing[way]?.(ipvs, adds)]
  for (const edit of changes) costs.push(await changing[way]?.(ipvs, edit))
  await ipvs.close()
  console.log(costs.join(' '))
}

/** @param {string} way @param {string[]} given */
async function measureReads(way, [passes, netns]) {
  const ipvs = await openIpvs({ netns: netns ?? '' })
  const costs = []
  for (let pass = 0; pass < Number(passes); ++pass) {
    costs.push(await cost(async () => reading[way]?.(ipvs)))
  }
  await ipvs.close()
  console.log(costs.join(' '))
  console.log(1024 * process.resourceUsage().maxRSS)
}

/** @param {number} length @param {(pass: number) => Promise<number>} measure */
async function medianOf(length, measure) {
  const costs = []
  for (let pass = 0; pass < length; ++pass) costs.push(await measure(pass))
  return median(costs)
}

/** @param {string[]} given */
async function measureGrowth([passes, ...tables]) {
  const { batch } = changing
  for (let at = 0; batch && at < tables.length; at += 3) {
    const [services, each, netns = ''] = tables.slice(at)
    const size = { services: Number(services), each: Number(each) }
    const ipvs = await openIpvs({ netns })
    const add = await batch(ipvs, operations('addDestination', size, 1))
    const edit = await medianOf(Number(passes), (pass) =>
      batch(ipvs, operations('editDestination', size, 2 + pass)),
    )
    const read = await medianOf(Number(passes), () => cost(() => ipvs.snapshot()))
    await ipvs.close()
    console.log([add, edit, read].join(' '))
  }
}

const [way = '', ...given] = process.argv.slice(2)
if (way in changing) await measureChanges(way, given)
else if (way in reading) await measureReads(way, given)
else if (way === 'grow') await measureGrowth(given)
else throw new Error(`no such way: ${way}`)
