#!/usr/bin/env node
// Keeps the virtual server table as a file says, without the real servers that do not answer.
//
//   node controller.js FILE

import { once } from 'node:events'
import { createServer } from 'node:http'
import { resolve } from 'node:path'

import { Counter, Gauge, register } from 'prom-client'

import { ipvs } from 'ipvs-netlink'
import { IpvsCollector } from 'ipvs-netlink/prometheus'
import { Drains } from './drains.js'
import { HealthChecks } from './health.js'
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
const unhealthy = new Gauge({
  name: 'ipvs_controller_unhealthy_destinations',
  help: 'Real servers that do not answer.',
})
new IpvsCollector({ ipvs, onError: (error) => log(error.message) })

const metrics = createServer(async (request, response) => {
  if (request.url !== '/metrics') return response.writeHead(404).end()
  response.setHeader('content-type', register.contentType)
  return response.end(await register.metrics())
})
metrics.listen(settings.metrics.port, settings.metrics.address)
await once(metrics, 'listening')

const checks = new HealthChecks()
const drains = new Drains({ log, ended: (how) => (ended.inc({ ended: how }), wake()) })

/** What `batch` takes of a change of a plan. */
const operationOf = (change) => {
  const operation = { ...change }
  for (const name of ['before', 'after', 'reason']) delete operation[name]
  return operation
}

const isRemoval = ({ op }) => op === 'deleteDestination' || op === 'deleteService'

/** One step nearer to what the file says. What goes is drained, and comes back if it is wanted. */
const reconcile = async () => {
  const { virtualServers, check, drain, exclusive } = settings
  const urlOf = ({ server, health }, each) => HealthChecks.urlOf(server, health, each)
  const urls = virtualServers.flatMap((each) =>
    each.server.destinations.map((destination) => urlOf(each, destination)),
  )
  await checks.round(
    urls.filter((url) => url !== undefined),
    check,
  )
  const desired = virtualServers.map((each) => ({
    ...each.server,
    destinations: each.server.destinations.filter((one) => checks.isHealthy(urlOf(each, one))),
  }))
  unhealthy.set(urls.filter((url) => !checks.isHealthy(url)).length)

  const { changes } = await ipvs.plan(desired, { prune: exclusive })
  await drains.set(changes.filter(isRemoval), drain.timeout)
  const others = changes.filter((change) => !isRemoval(change))
  const outcomes = await ipvs.batch(others.map(operationOf))
  for (const [index, { op, reason }] of others.entries()) {
    const { ok, error } = outcomes[index]
    log(ok ? `${op}: ${reason}` : error.message)
  }
}

log(`serving ${path}`)
signal.addEventListener('abort', () => wake())
while (!signal.aborted) {
  const woken = new Promise((done) => {
    wake = done
  })
  const timer = setTimeout(() => wake(), settings.check.interval)
  // The next round tries again.
  await reconcile().catch((error) => log(error.message))
  if (!signal.aborted) await woken
  clearTimeout(timer)
}

// The table stays as it is and goes on serving without us. What was being drained stays at weight 0,
// and the next start goes on with it: it is not desired, and so it is drained.
metrics.close()
metrics.closeAllConnections()
await ipvs.close()
