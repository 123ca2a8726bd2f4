// How processes that use the package begin and end. Needs root, and no IPVS.

import { execFileSync, fork, spawn } from 'node:child_process'
import cluster from 'node:cluster'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import t from 'tap'

import { host, openHost, openIpvs } from 'ipvs-netlink'
import { openFiles, openSockets } from './fixtures/descriptors.js'
import { limit } from './fixtures/limits.js'
import { makeNamespace } from './fixtures/namespace.js'

const fixture = (name: string): string =>
  fileURLToPath(new URL(`./fixtures/${name}.js`, import.meta.url))

// Without what tap has node load into every process.
const env = { ...process.env, NODE_OPTIONS: '' }

t.setTimeout(limit(600_000))

interface End {
  readonly code: number | null
  readonly signal: string | null
  readonly words: string
}

const runEnding = async (...args: string[]): Promise<End> => {
  const child = spawn(process.execPath, [fixture('ending'), ...args], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let words = ''
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    words += piece
  })
  const late = setTimeout(() => child.kill('SIGABRT'), limit(60_000))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearTimeout(late)
  return { code, signal, words }
}

const expectedEnds = {
  nothing: { code: 0, signal: null, words: /^$/ },
  exit: { code: 0, signal: null, words: /^$/ },
  uncaught: { code: 1, signal: null, words: /on purpose/ },
  rejection: { code: 1, signal: null, words: /on purpose/ },
  SIGTERM: { code: null, signal: 'SIGTERM', words: /^$/ },
} as const

/** What a process writes in full, or not at all. */
const wholeFiles = {
  rules: /^-A -t 10\.0\.0\.1:80 .*\n-a -t .* 10\.0\.0\.2:80 .*\n/,
  settings: /\nnet\.ipv4\.ip_forward = 1\n$/,
}

for (const stage of ['imported', 'called', 'running', 'settling', 'settled', 'closing']) {
  t.test(`a process whose calls are ${stage} ends as it should`, async (t) => {
    const { netns } = makeNamespace(t)
    for (const [end, expected] of Object.entries(expectedEnds)) {
      const folder = t.testdir()
      const ending = await runEnding(stage, end, netns, folder)
      t.match(ending, expected, end)
      t.notMatch(ending.words, /Sanitizer|runtime error/, 'what a sanitizer says')
      for (const [name, whole] of Object.entries(wholeFiles)) {
        const file = join(folder, name)
        if (existsSync(file)) t.match(readFileSync(file, 'utf8'), whole, `${end}: ${name}`)
      }
    }
  })
}

t.test('a forked process starts afresh', async (t) => {
  const { netns } = makeNamespace(t)
  const given = openSync(netns, 'r')
  t.teardown(() => closeSync(given))
  const handles = [await openHost({ netns }), await openHost({ netns: given })]
  for (const each of [...handles, host]) await each.listAddresses()
  // Keeps its socket for the next change, also where there is no IPVS.
  const table = await openIpvs({ netns })
  const before = openSockets().length
  await table.clear().catch(() => undefined)
  const sockets = openSockets()
  t.equal(sockets.length, before + 1)
  t.equal(openFiles().filter((name) => name === netns).length, 4, 'that of the test is one')
  const child = fork(fixture('forked'), [...sockets, netns], { env, execArgv: [] })
  const [[message], [code]] = (await Promise.all([
    once(child, 'message'),
    once(child, 'exit'),
  ])) as [unknown[], unknown[]]
  t.equal(code, 0)
  t.match(message, { inherited: 0 }, 'no descriptor of ours reaches it')
  t.ok((message as { addresses: number }).addresses > 0)
  await Promise.all([...handles, table].map(async (each) => each.close()))
})

t.test('the workers of a cluster use it side by side', async (t) => {
  cluster.setupPrimary({ exec: fixture('forked'), execArgv: [] })
  const workers = Array.from({ length: 3 }, () => cluster.fork({ NODE_OPTIONS: '' }))
  await Promise.all(
    workers.map(async (worker) => {
      const [[message], [code]] = (await Promise.all([
        once(worker, 'message'),
        once(worker, 'exit'),
      ])) as [unknown[], unknown[]]
      t.equal(code, 0)
      t.ok((message as { addresses: number }).addresses > 0)
    }),
  )
})

t.test('a namespace that is deleted meanwhile lives on in its handle, and no longer', async (t) => {
  const name = `life-${process.pid}-gone`
  execFileSync('ip', ['netns', 'add', name])
  const netns = `/run/netns/${name}`
  const opened = await openHost({ netns })
  await opened.addVip({ address: '10.0.0.1' })
  const calls = Array.from({ length: 50 }, async () => opened.listAddresses('lo'))
  execFileSync('ip', ['netns', 'delete', name])
  for (const listed of await Promise.all(calls)) {
    t.match(listed, [{ address: '10.0.0.1' }])
  }
  t.match(await opened.listAddresses('lo'), [{ address: '10.0.0.1' }])
  await opened.close()
  await t.rejects(openHost({ netns }), { code: 'ERR_IPVS_NO_NETNS' })
})

t.test('close() finishes what was called, and rejects what comes after', async (t) => {
  const { netns, inside } = makeNamespace(t)
  for (let round = 0; round < 50; ++round) {
    const opened = await openHost({ netns })
    const name = 'net.ipv4.conf.lo.arp_ignore'
    const set = opened.setSysctl(name, round % 2)
    const reads = [opened.listAddresses(), opened.getSysctl(name)]
    const closing = opened.close()
    const late = opened.getSysctl(name)
    await t.rejects(late, { code: 'ERR_IPVS_CLOSED' })
    await Promise.all([set, ...reads, closing])
    await t.rejects(opened.listAddresses(), { code: 'ERR_IPVS_CLOSED' })
    t.equal(inside('sysctl', '-n', name), `${round % 2}\n`)
  }
})

t.test('many handles of many namespaces never mix, and the own namespace stays', async (t) => {
  const own = JSON.stringify(await host.listAddresses())
  const paths = Array.from({ length: 12 }, () => makeNamespace(t).netns)
  const handles = await Promise.all(
    paths.flatMap((path) => [openHost({ netns: path }), openHost({ netns: openSync(path, 'r') })]),
  )
  const address = (index: number): string => `10.9.${index >> 1}.1`
  await Promise.all(
    handles.map(async (each, index) => {
      if (index % 2 === 0) await each.addVip({ address: address(index) })
    }),
  )
  for (let round = 0; round < 20; ++round) {
    const listed = await Promise.all(handles.map(async (each) => each.listAddresses('lo')))
    for (const [index, addresses] of listed.entries()) {
      const ours = addresses.filter((each) => each.address.startsWith('10.9.'))
      t.match(ours, [{ address: address(index) }])
      t.equal(ours.length, 1)
    }
  }
  t.equal(JSON.stringify(await host.listAddresses()), own)
  await Promise.all(handles.map(async (each) => each.close()))
})

t.test('opening with a descriptor that is no namespace', async (t) => {
  const file = openSync('/dev/null', 'r')
  await t.rejects(openIpvs({ netns: file }), { code: 'ERR_IPVS_NO_NETNS' })
  await t.rejects(openHost({ netns: 1_000_000 }), { code: 'ERR_IPVS_NO_NETNS' })
})
