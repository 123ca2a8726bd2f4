// A thread that only sleeps: how late it wakes is what the machine does to every thread.

import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parentPort } from 'node:worker_threads'

import { delayOf } from './verdict.mjs'

const delay = monitorEventLoopDelay({ resolution: 20 })
delay.enable()
parentPort.on('message', () => parentPort.postMessage(delayOf(delay)))
