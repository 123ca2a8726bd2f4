// What is refused where a namespace or a file is wanted is not even opened, since that alone may do
// something: it lets go whoever waits to write into a pipe, arms a watchdog, gives a process a terminal.

import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import t from 'tap'
import { host, openHost, openIpvs } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'
import { limit } from './fixtures/limits.js'

t.setTimeout(limit(600_000))

const run = promisify(execFile)
const fake = createFakeIpvs()

const folder = mkdtempSync(join(tmpdir(), 'ipvs-netlink-opening-'))
const at = (name: string): string => join(folder, name)
const fifo = at('fifo')
const canary = at('canary')
execFileSync('mkfifo', [fifo])
writeFileSync(canary, 'alive')
symlinkSync(canary, at('link'))
symlinkSync(fifo, at('to-fifo'))
symlinkSync('/dev/zero', at('zero'))
symlinkSync(at('loop'), at('loop'))
const server = createServer().listen(at('socket'))
await once(server, 'listening')

t.teardown(() => {
  server.close()
  rmSync(folder, { recursive: true })
})

type Calls = Readonly<Record<string, (path: string) => Promise<unknown>>>

const ofNamespaces: Calls = {
  openIpvs: (netns: string) => openIpvs({ netns }),
  openHost: (netns: string) => openHost({ netns }),
}
const ofFiles: Calls = {
  restoreFromFile: (path: string) => fake.restoreFromFile(path),
  saveToFile: (path: string) => fake.saveToFile(path),
  persist: (path: string) => host.persist(path),
}

const isAsleep = (pid: number | undefined): boolean =>
  readFileSync(`/proc/${pid ?? 0}/stat`, 'utf8').includes(') S ')

for (const [name, call] of Object.entries({ ...ofNamespaces, ...ofFiles })) {
  for (const path of [fifo, at('to-fifo')]) {
    t.test(`${name} of ${path}: who waits to write there still waits`, async (t) => {
      const writer = spawn('sh', ['-c', 'echo; exec 3> "$1"; echo text >&3', '', fifo])
      const ended = once(writer, 'close')
      await once(writer.stdout, 'data')
      while (!isAsleep(writer.pid)) await sleep(10)
      await t.rejects(call(path))
      // One that was let go would write to nobody meanwhile.
      await sleep(200)
      const read = await run('timeout', ['10', 'cat', fifo]).catch((error: unknown) => error)
      t.match(read, { stdout: 'text\n' })
      writer.kill()
      t.same(await ended, [0, null], 'the writer ended well')
    })
  }
}

t.test('a terminal does not become that of a session leader', async (t) => {
  const leader = fileURLToPath(new URL('fixtures/leader.js', import.meta.url))
  const program = [
    'import os, subprocess, sys',
    'terminal = os.ttyname(os.openpty()[1])',
    'subprocess.run(sys.argv[1:] + [terminal], start_new_session=True, check=True)',
  ].join('\n')
  const { stdout } = await run('python3', ['-c', program, process.execPath, leader])
  t.same(stdout.trim().split('\n'), [
    'before 0',
    'openIpvs ERR_IPVS_NO_NETNS 0',
    'openHost ERR_IPVS_NO_NETNS 0',
    'restoreFromFile EINVAL 0',
    'saveToFile EINVAL 0',
    'persist EINVAL 0',
  ])
})

const notFiles = [
  folder,
  `${canary}/..`,
  `${canary}/x`,
  fifo,
  at('socket'),
  at('zero'),
  at('loop'),
  '/dev/null',
  '/dev/tty',
  '/dev/ptmx',
  '/proc/self/ns/net',
  'x'.repeat(5000),
  '$(touch pwned)/x',
  '; rm -rf /',
]

const codes = /^(EISDIR|ENOTDIR|EINVAL|ELOOP|ENAMETOOLONG|ENOENT|EACCES|EPERM)$/

for (const [name, call] of Object.entries(ofFiles)) {
  t.test(`${name}: ${notFiles.length} paths of no file are refused`, async (t) => {
    for (const path of notFiles) await t.rejects(call(path), { code: codes }, path.slice(0, 60))
    t.equal(readFileSync(canary, 'utf8'), 'alive')
  })
}

t.test('a link is followed where a file is restored, and nowhere else', async (t) => {
  await t.rejects(fake.restoreFromFile(at('link')), { code: 'ERR_IPVS_BAD_RULE' })
  await t.rejects(fake.saveToFile(at('link')), { code: 'ELOOP' })
  await t.rejects(host.persist(at('link')), { code: 'ELOOP' })
  t.equal(readFileSync(canary, 'utf8'), 'alive')
})

t.test('a file that is too large is not read', async (t) => {
  const path = at('large')
  writeFileSync(path, '')
  truncateSync(path, 2 ** 28 + 1)
  const message = `EFBIG: larger than 256 MiB, open '${path}'`
  await t.rejects(fake.restoreFromFile(path), { code: 'EFBIG', path, message })
  await t.rejects(host.persist(path), { code: 'EFBIG', path, message })
})
