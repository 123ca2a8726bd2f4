// The file in which the desired state stands.

import { watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

import { HealthChecks } from './health.js'

const defaults = {
  /** Milliseconds, and how many answers in a row make a server healthy again, or not. */
  check: { interval: 2000, timeout: 1000, rise: 2, fall: 3 },
  drain: { timeout: 60_000 },
  metrics: { address: '127.0.0.1', port: 9117 },
  /** Whether services that the file does not name are removed. */
  exclusive: false,
}

/** Throws unless every real server that is to be checked has a URL. */
const checkUrls = (virtualServers) => {
  for (const [number, { server, health }] of virtualServers.entries()) {
    for (const [index, destination] of server.destinations.entries()) {
      const url = HealthChecks.urlOf(server, health, destination)
      if (url === undefined || URL.canParse(url)) continue
      const path = `virtualServers[${number}].destinations[${index}]`
      throw new Error(`${path}: health has no page to ask for (${url}); see its port and path`)
    }
  }
}

/** Reads the file; `check` refuses what the library would. */
export const readSettings = async (path, check) => {
  const given = JSON.parse(await readFile(path, 'utf8'))
  if (!Array.isArray(given?.virtualServers)) throw new Error('virtualServers must be an array')
  const settings = {
    ...defaults,
    ...given,
    check: { ...defaults.check, ...given.check },
    drain: { ...defaults.drain, ...given.drain },
    metrics: { ...defaults.metrics, ...given.metrics },
  }
  // What the library takes, apart from what is only ours.
  settings.virtualServers = given.virtualServers.map((each) => {
    const { health, ...server } = each ?? {}
    return { server, health }
  })
  await check(settings.virtualServers.map(({ server }) => server))
  checkUrls(settings.virtualServers)
  return settings
}

/** Calls back soon after the file was written or replaced; editors do either. */
export const watchSettings = (path, changed, signal) => {
  let timer
  watch(dirname(path), { signal }, (_, name) => {
    if (name !== basename(path)) return
    clearTimeout(timer)
    timer = setTimeout(changed, 100)
  })
}
