// Loads the addon: at the first call, so that importing succeeds on every machine.

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

import { IpvsError } from './errors.js'
import type { Addon } from '../types/addon.js'

let loaded: Addon | undefined

const unavailable = (why: string, cause?: unknown): IpvsError =>
  new IpvsError(
    `IPVS is not available: ${why}`,
    { code: 'ERR_IPVS_NOT_AVAILABLE', errno: 0, command: '' },
    { cause },
  )

const load = (): Addon => {
  if (process.platform !== 'linux') {
    throw unavailable(`ipvs-netlink runs on Linux only, and this is ${process.platform}`)
  }
  const require = createRequire(import.meta.url)
  const root = fileURLToPath(new URL('..', import.meta.url))
  try {
    const find = require('node-gyp-build') as (folder: string) => Addon
    return find(root)
  } catch (cause) {
    throw unavailable(
      `no addon for ${process.platform}-${process.arch} could be loaded. If npm skipped its build, run: npm install-scripts approve ipvs-netlink && npm rebuild ipvs-netlink (needs python3, make and g++)`,
      cause,
    )
  }
}

/** The addon; throws `ERR_IPVS_NOT_AVAILABLE`. A failure is not kept: the next call tries again. */
export const loadAddon = (): Addon => {
  loaded ??= load()
  return loaded
}
