// The file in which the desired state stands.

import { watch } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

const defaults = {
  /** Milliseconds, and how many answers in a row make a server healthy again, or not. */
  check: { interval: 2000, timeout: 1000, rise: 2, fall: 3 },
  drain: { timeout: 60_000 },
  metrics: { address: '127.0.0.1', port: 9117 },
  /** Whether services that the file does not name are removed. */
  exclusive: false,
}

/** Reads the file; `check` refuses what the library would. */
export const readSettings = async (path, check) => {
  const given = JSON.parse(await readFile(path, 'utf8'))
  const settings = {
    ...defaults,
    ...given,
    check: { ...defaults.check, ...given.check },
    drain: { ...defaults.drain, ...given.drain },
  }
  // What the library takes, apart from what is only ours.
  settings.virtualServers = given.virtualServers.map(({ health, ...server }) => ({
    server,
    health,
  }))
  await check(settings.virtualServers.map(({ server }) => server))
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
