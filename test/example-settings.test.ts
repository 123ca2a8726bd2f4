// The settings of examples/controller: what the file leaves out, and what is refused in it.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import t from 'tap'
import type { Test } from 'tap'

import { createFakeIpvs } from 'ipvs-netlink/testing'
import type { VirtualServer } from 'ipvs-netlink'

type ReadSettings = (
  path: string,
  check: (servers: readonly VirtualServer[]) => Promise<unknown>,
) => Promise<Readonly<Record<string, unknown>>>

const example = new URL('../examples/controller/settings.js', import.meta.url)
const { readSettings } = (await import(example.href)) as { readonly readSettings: ReadSettings }

const read = async (t: Test, settings: unknown) => {
  const path = join(t.testdir(), 'settings.json')
  await writeFile(path, JSON.stringify(settings))
  return readSettings(path, async (servers) => createFakeIpvs().plan(servers))
}

t.test('what is left out gets its default, also beside what is given', async (t) => {
  const given = { metrics: { port: 9999 }, check: { rise: 5 }, virtualServers: [] }
  t.match(await read(t, given), {
    metrics: { address: '127.0.0.1', port: 9999 },
    check: { interval: 2000, rise: 5 },
    drain: { timeout: 60_000 },
    virtualServers: [],
  })
})

const mark = { fwmark: 1, destinations: [{ address: '127.0.0.2', port: 80 }] }
const noPort = { fwmark: 1, destinations: [...mark.destinations, { address: '127.0.0.1' }] }

t.test('a file with a fault is refused with its path', async (t) => {
  const refused = [
    [{}, /^virtualServers must be an array$/],
    [null, /^virtualServers must be an array$/],
    [{ virtualServers: [null] }, /\[0\]/],
    [{ virtualServers: [{ protocol: 'tpc' }] }, /\[0\]\.protocol/],
    [
      { virtualServers: [{ ...noPort, health: { path: '/' } }] },
      /^virtualServers\[0\]\.destinations\[1\]: health .* port/,
    ],
    [
      { virtualServers: [{ ...mark, health: { path: 'status' } }] },
      /^virtualServers\[0\]\.destinations\[0\]: health .* path/,
    ],
  ] as const
  for (const [settings, message] of refused) {
    await t.rejects(read(t, settings), { message }, JSON.stringify(settings))
  }
})

t.test('a health check names the port, or there is none', async (t) => {
  const checked = { ...noPort, health: { port: 8080 } }
  for (const server of [noPort, checked]) await t.resolves(read(t, { virtualServers: [server] }))
})
