// @ts-check
import { addresses } from './addresses.mjs'
import { Network } from './network.mjs'
import { getPages, servePages } from './web.mjs'

/**
 * Builds the machines of a plan and what all clusters have: web servers on the real servers, and a
 * client.
 *
 * @param {import('./index.d.mts').Family} family
 * @param {import('./network.mjs').Plan} plan
 */
export async function assemble(family, plan) {
  /** @type {(() => Promise<void>)[]} */
  const closers = []
  const close = async () => {
    try {
      await closers.pop()?.()
    } finally {
      if (closers.length > 0) await close()
    }
  }
  try {
    const network = await Network.build(plan)
    closers.push(() => network.close())
    const realServers = network.machines.filter(({ id }) => id.startsWith('real'))
    const pages = await servePages(realServers)
    closers.push(() => pages.close())
    const client = network.machine('client')
    const { vip } = addresses[family]
    return {
      family,
      vip,
      network,
      client,
      director: network.machine('director'),
      realServers,
      /** @param {number} count @param {{ timeout?: number }} [options] */
      get: (count, { timeout = 5000 } = {}) => getPages(client, vip, count, timeout),
      /** @param {() => Promise<void>} closer */
      defer: (closer) => void closers.push(closer),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}
