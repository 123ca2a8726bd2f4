#!/usr/bin/env node
// Keeps the virtual server table as a file says, without the real servers that do not answer.
//
//   node controller.js FILE

import { once } from 'node:events'
import { createServer } from 'node:http'
import { resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'

import { Counter, Gauge, register } from 'prom-client'

import { ipvs } from 'ipvs-netlink'
import { IpvsCollector } from 'ipvs-netlink/prometheus'
import { Drains } from './drains.js'
import { HealthChecks } from './health.js'
import { reconcile } from './reconcile.js'
import { readSettings, watchSettings } from './settings.js'

const log = (text) => console.log(text)

const path = resolve(process.argv[2] ?? '/etc/ipvs-controller.json')
const stopping = new AbortController()
const { signal } = stopping
process.once('SIGTERM', () => stopping.abort()).once('SIGINT', () => stopping.abort())

// Whatever is wrong in the file is said before anything is changed.
const read = () => readSettings(path, (servers) => ipvs.plan(servers))
let settings = await read()

let wake = () => undefined
const reload = async () => {
  try {
    settings = await read()
    log(`read ${path}`)
  } catch (error) {
    log(`${path} is not used: ${error.message}`)
  }
  wake()
}
watchSettings(path, reload, signal)
process.on('SIGHUP', reload)

const ended = new Counter({
  name: 'ipvs_controller_drains_total',
  help: 'Drains, by how they ended.',
  labelNames: ['ended'],
})
const checks = new HealthChecks()
new Gauge({
  name: 'ipvs_controller_unhealthy_destinations',
  help: 'Real servers that do not answer.',
  collect() {
    this.set(checks.unhealthy)
  },
})
// Not in the registry, which would make the text of a large table in one go.
const table = new IpvsCollector({
  ipvs,
  registers: [],
  onError: (error) => log(error.message),
})

async function* textOfMetrics() {
  yield* table.stream()
  yield await register.metrics()
}

const metrics = createServer(async (request, response) => {
  if (request.url !== '/metrics') return response.writeHead(404).end()
  response.setHeader('content-type', register.contentType)
  // It rejects when who asked has gone.
  return pipeline(textOfMetrics(), response).catch(() => undefined)
})
metrics.listen(settings.metrics.port, settings.metrics.address)
await once(metrics, 'listening')

const drains = new Drains({ ipvs, log, ended: (how) => (ended.inc({ ended: how }), wake()) })

log(`serving ${path}`)
signal.addEventListener('abort', () => wake())
while (!signal.aborted) {
  const woken = new Promise((done) => {
    wake = done
  })
  const timer = setTimeout(() => wake(), settings.check.interval)
  // The next round tries again.
  await reconcile({ ipvs, settings, checks, drains, log }).catch((error) => log(error.message))
  if (!signal.aborted) await woken
  clearTimeout(timer)
}

// The table stays as it is and goes on serving without us. What was being drained stays at weight 0,
// and the next start goes on with it: it is not desired, and so it is drained.
metrics.close()
metrics.closeAllConnections()
await ipvs.close()
