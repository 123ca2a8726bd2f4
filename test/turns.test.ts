// Long work in pieces: by a clock of the test's own.

import t from 'tap'
import type { Test } from 'tap'

import type { OperationOutcome, VirtualServerState } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'
import { ChangeQueue } from '#lib/batch'
import { Controller } from '#lib/controller'
import { Handle } from '#lib/handle'
import { inTurns, stepInTurns } from '#lib/turns'
import type { Steps } from '#lib/turns'

const eachOf =
  (step: (index: number) => void) =>
  (from: number, end: number): void => {
    for (let index = from; index < end; ++index) step(index)
  }

t.test('short work is done at once', (t) => {
  const done: number[] = []
  t.equal(
    inTurns(
      5,
      eachOf((index) => void done.push(index)),
    ),
    undefined,
  )
  t.same(done, [0, 1, 2, 3, 4])
  t.equal(
    inTurns(
      0,
      eachOf(() => t.fail('there is nothing to do')),
    ),
    undefined,
  )
  t.end()
})

t.test('long work lets others have their turn, and every step is made once', async (t) => {
  let time = 0
  t.intercept(performance, 'now', { value: () => time, configurable: true })
  const done: number[] = []
  let turn = 0
  const turns: number[] = []
  const ticking = setInterval(() => {}, 1000)
  const nextTurn = (): void => {
    ++turn
    if (done.length < 1000) setImmediate(nextTurn)
  }
  setImmediate(nextTurn)
  // Each step takes a tenth of a millisecond.
  await inTurns(
    1000,
    eachOf((index) => {
      time += 0.1
      done.push(index)
      turns.push(turn)
    }),
  )
  clearInterval(ticking)
  t.same(
    done,
    Array.from({ length: 1000 }, (_, index) => index),
  )
  const longest = Math.max(
    ...[...new Set(turns)].map((one) => turns.filter((each) => each === one).length),
  )
  // 100 ms of work: no turn has 10 ms of it.
  t.ok(longest < 100, `${longest} steps in one turn`)
  t.ok(new Set(turns).size > 10)
})

t.test('a step that fails ends the work', async (t) => {
  t.throws(
    () =>
      inTurns(3, () => {
        throw new Error('no')
      }),
    { message: 'no' },
  )
  let time = 0
  t.intercept(performance, 'now', { value: () => (time += 100), configurable: true })
  let made = 0
  const work = inTurns(
    1000,
    eachOf((index) => {
      ++made
      if (index === 500) throw new Error('late')
    }),
  )
  if (!work) throw new Error('it was not put off')
  await t.rejects(work, { message: 'late' })
  t.equal(made, 501)
})

/** How often the loop turns while `work` goes on. */
const turnsDuring = async (work: () => Promise<void>): Promise<number> => {
  let [turns, going] = [0, true]
  const count = (): void => {
    ++turns
    if (going) setImmediate(count)
  }
  setImmediate(count)
  await work().finally(() => (going = false))
  return turns
}

t.test(
  'calls that are answered at once, one after the other, let others have theirs',
  async (t) => {
    const native = { open: async () => undefined, apply: async () => undefined, close: () => {} }
    const handle = new Handle<never>('ipvs', undefined, () => native as never)
    const queue = new ChangeQueue(handle)
    const calls = {
      'reads and settings': async () => handle.run('test', async () => undefined),
      changes: async () => {
        const group = queue.groupFor(undefined)
        const index = group.add({ command: 'DEL_SERVICE', service: { family: 2, fwmark: 1 } })
        queue.send('test', group, index, undefined)
        await group.ended()
      },
    }
    for (const [what, call] of Object.entries(calls)) {
      const turns = await turnsDuring(async () => {
        for (let n = 0; n < 160; ++n) await call()
      })
      // A lone call waits for none, as a rule.
      t.ok(turns >= 9 && turns <= 11, `160 ${what}: ${turns} turns`)
    }
  },
)

/** A clock by which every look at it is late, so that each piece has as few steps as it can have. */
const hurry = (t: Test): void => {
  let time = 0
  t.intercept(performance, 'now', { value: () => (time += 100), configurable: true })
}

t.test('work that says where it can be interrupted', async (t) => {
  function* count(end: number): Steps<number> {
    for (let index = 0; index < end; ++index) yield
    return end
  }
  hurry(t)
  const turnsOf = async (end: number): Promise<number> =>
    turnsDuring(async () => {
      t.equal(await stepInTurns(count(end)), end)
    })
  t.equal(await turnsOf(10), 0, 'little of it waits for nothing')
  t.ok((await turnsOf(6400)) >= 100)
  function* failing(): Steps<never> {
    yield* count(100)
    throw new Error('late')
  }
  await t.rejects(async () => stepInTurns(failing()), { message: 'late' })

  const controller = new AbortController()
  let steps = 0
  function* endless(): Steps<never> {
    for (;;) {
      if (++steps === 1000) controller.abort('enough')
      yield
    }
  }
  const abort = { name: 'AbortError', cause: 'enough' }
  await t.rejects(async () => stepInTurns(endless(), controller.signal), abort)
  t.equal(steps, 1024, 'the piece in which it came is the last')
})

/** The verbs that are made of others, on a table that is read and changed at once. */
class Instant extends Controller {
  readonly table: readonly VirtualServerState[]

  constructor(table: readonly VirtualServerState[]) {
    super()
    this.table = table
  }

  async snapshot(): Promise<readonly VirtualServerState[]> {
    return this.table
  }

  async batch(operations: readonly unknown[]): Promise<OperationOutcome[]> {
    return operations.map(() => ({ ok: true }))
  }
}

const serviceOf = (count: number) => ({
  protocol: 'tcp' as const,
  address: '10.0.0.1',
  port: 80,
  destinations: Array.from({ length: count }, (_, index) => ({
    address: `10.1.${index >> 8}.${index & 255}`,
    port: 80,
  })),
})

const tableOf = async (count: number): Promise<VirtualServerState[]> => {
  const fake = createFakeIpvs()
  await fake.apply([serviceOf(count)])
  return fake.snapshot()
}

t.test('what goes over a whole table does so in turns, unless it is small', async (t) => {
  const large = 6400
  const works: Readonly<Record<string, (ipvs: never, count: number) => Promise<unknown>>> = {
    'plan of what is there': async (ipvs, count) =>
      Controller.prototype.plan.call(ipvs, [serviceOf(count)]),
    'apply of another state': async (ipvs, count) =>
      Controller.prototype.apply.call(ipvs, [{ ...serviceOf(count), address: '10.0.0.2' }], {
        prune: true,
      }),
    save: async (ipvs) => Controller.prototype.save.call(ipvs),
    restore: async (ipvs, count) => {
      const lines = serviceOf(count).destinations.map((each) => `-a -f 1 -r ${each.address}:80 -m`)
      await Controller.prototype.restore.call(ipvs, ['-A -f 1', ...lines].join('\n'))
    },
    'a look of a watch': async (ipvs) => {
      const looks = Controller.prototype.watch.call(ipvs)
      await looks.next()
      await looks.return()
    },
  }
  const tables = new Map([
    [10, await tableOf(10)],
    [large, await tableOf(large)],
  ])
  hurry(t)
  for (const [what, work] of Object.entries(works)) {
    const turnsFor = async (count: number): Promise<number> => {
      const instant = new Instant(tables.get(count) ?? [])
      return turnsDuring(async () => {
        await work(instant as never, count)
      })
    }
    const [few, many] = [await turnsFor(10), await turnsFor(large)]
    t.ok(few <= 1, `${what}: ${few} turns`)
    // Every piece is 64 steps, and every entry at least one of them.
    t.ok(many >= large / 64, `${what} with ${large}: ${many} turns`)
  }
})

t.test('the errors of a batch are made in turns', async (t) => {
  const { destinations, ...service } = serviceOf(3200)
  const operations = destinations.map((destination) => ({
    op: 'addDestination' as const,
    service,
    destination,
  }))
  const fake = createFakeIpvs()
  await fake.addService(service)
  hurry(t)
  const turnsOf = async (isOk: boolean): Promise<number> =>
    turnsDuring(async () => {
      const outcomes = await fake.batch(operations)
      t.ok(outcomes.every(({ ok }) => ok === isOk))
    })
  const [made, refused] = [await turnsOf(true), await turnsOf(false)]
  // The checks are, too; of what failed it is asked first whether it is in doubt.
  t.ok(made >= 40, `made: ${made} turns`)
  t.ok(refused >= made + 80, `refused: ${refused} turns`)
})
