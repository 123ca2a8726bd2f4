// On a machine without the addon: what is wrong is refused first, by every call, and what is right is
// not available.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import t from 'tap'
import { host, ipvs, openHost, openIpvs } from 'ipvs-netlink'
import { callsOfHost, callsOfIpvs, verbsOf } from './fixtures/calls.js'
import type { Calls } from './fixtures/calls.js'

// How node-gyp-build is told of another build: here there is none.
process.env['IPVS_NETLINK_PREBUILD'] = mkdtempSync(join(tmpdir(), 'ipvs-netlink-none-'))

const calls: Calls = {
  ...callsOfIpvs(ipvs),
  ...callsOfHost(host),
  openIpvs: [() => openIpvs(), () => openIpvs({ timeout: 0 })],
  openHost: [() => openHost(), () => openHost({ netns: '' })],
}

const wrong = new Set(['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'])

const codeOf = async (call: () => unknown): Promise<unknown> => {
  try {
    await call()
    return 'nothing'
  } catch (error) {
    return (error as { readonly code?: unknown }).code
  }
}

for (const [verb, [right, ...others]] of Object.entries(calls)) {
  t.test(`without the addon ${verb} refuses what is wrong, and is not available`, async (t) => {
    for (const call of others) {
      const code = await codeOf(call)
      t.ok(wrong.has(String(code)), `${call.toString()}: ${String(code)}`)
    }
    t.equal(await codeOf(right), 'ERR_IPVS_NOT_AVAILABLE')
  })
}

t.test('no verb is left out', async (t) => {
  const ours = [...verbsOf(ipvs), ...verbsOf(host), 'openIpvs', 'openHost']
  t.same(Object.keys(calls).sort(), ours.sort())
})
