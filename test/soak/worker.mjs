// An actor on a worker thread: works until it is told to stop, and reports as it goes.

import { parentPort, workerData } from 'node:worker_threads'

import { Actor } from './actor.mjs'

const { number, size, rate } = workerData
const actor = await Actor.open(number)
let going = true
parentPort.once('message', () => {
  going = false
})
const isOver = () => {
  const { heapUsed } = process.memoryUsage()
  parentPort.postMessage({ changes: actor.changes, refused: actor.refused, heapUsed })
  return !going
}
await actor.work(size, rate, isOver)
await actor.close()
parentPort.postMessage({
  changes: actor.changes,
  refused: actor.refused,
  wrong: actor.wrong,
  expected: actor.expected(),
})
