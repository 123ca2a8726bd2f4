// Long work in pieces: by a clock of the test's own.

import t from 'tap'

import { ChangeQueue } from '#lib/batch'
import { Handle } from '#lib/handle'
import { inTurns } from '#lib/turns'

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
  await work()
  going = false
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
        await group.done
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
