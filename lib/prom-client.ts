// Loads prom-client, which is an optional peer dependency: at once, so that its absence shows where
// it is asked for.

import { createRequire } from 'node:module'

import type * as PromClient from 'prom-client'

const load = (): typeof PromClient => {
  try {
    return createRequire(import.meta.url)('prom-client') as typeof PromClient
  } catch (cause) {
    const message =
      'ipvs-netlink/prometheus needs prom-client, an optional peer dependency: npm install prom-client'
    throw Object.assign(new Error(message, { cause }), { code: 'ERR_MODULE_NOT_FOUND' })
  }
}

export const promClient = load()
