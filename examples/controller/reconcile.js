// One step from the table as it is to the table as the file says.

import { HealthChecks } from './health.js'

/** What `batch` takes of a change of a plan. */
const operationOf = (change) => {
  const operation = { ...change }
  for (const name of ['before', 'after', 'reason']) delete operation[name]
  return operation
}

const isRemoval = ({ op }) => op === 'deleteDestination' || op === 'deleteService'

const nameOfService = ({ protocol, address, port, fwmark, family }) =>
  fwmark === undefined ? `${protocol} ${address} ${port}` : `mark ${fwmark} ${family}`

/** The same in every round. */
const nameOf = ({ service, destination }) =>
  [nameOfService(service), destination?.address, destination?.port]
    .filter((part) => part !== undefined)
    .join(' ')

/** The names of what stays although it is to go: what is to serve in its place could not be added. */
const heldBack = async (ipvs, virtualServers, options, failed) => {
  const missing = failed.filter(({ op }) => op !== 'editService')
  if (missing.length === 0) return new Set()
  // Of all servers of the file: who does not answer serves nobody, and goes in any case.
  const desired = virtualServers.map(({ server }) => server)
  const { changes } = await ipvs.plan(desired, options)
  const services = new Set(missing.map(({ service }) => nameOfService(service)))
  const waits = ({ op, service }) => op === 'deleteService' || services.has(nameOfService(service))
  return new Set(changes.filter((each) => isRemoval(each) && waits(each)).map(nameOf))
}

/**
 * Adds and edits what differs, and then drains what goes. What is being drained and is wanted again gets
 * its weight back.
 */
export const reconcile = async ({ ipvs, settings, checks, drains, log }) => {
  const { virtualServers, check, drain, exclusive } = settings
  const urlOf = ({ server, health }, each) => HealthChecks.urlOf(server, health, each)
  const urls = virtualServers
    .flatMap((each) => each.server.destinations.map((one) => urlOf(each, one)))
    .filter((url) => url !== undefined)
  await checks.round(urls, check)
  const desired = virtualServers.map((each) => ({
    ...each.server,
    destinations: each.server.destinations.filter((one) => checks.isHealthy(urlOf(each, one))),
  }))

  const options = { prune: exclusive }
  const { changes } = await ipvs.plan(desired, options)
  const removals = new Map(changes.filter(isRemoval).map((each) => [nameOf(each), each]))
  await drains.giveUpBut(removals)

  const others = changes.filter((each) => !isRemoval(each))
  const outcomes = await ipvs.batch(others.map(operationOf))
  const failed = others.filter((_, index) => !outcomes[index].ok)
  others.forEach(({ op, reason }, index) => {
    const { ok, error } = outcomes[index]
    log(ok ? `${op}: ${reason}` : error.message)
  })

  const held = await heldBack(ipvs, virtualServers, options, failed)
  for (const [name, change] of removals) {
    if (held.has(name)) log(`kept ${name}: what is to serve in its place could not be added`)
    else drains.start(name, change, drain.timeout)
  }
}
