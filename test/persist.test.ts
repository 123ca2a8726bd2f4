// What persist() writes: what was set and not put back, merged with what the file said before.

import { chmodSync, chownSync, readFileSync, readdirSync, statSync } from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'
import type { Test } from 'tap'
import { openHost } from 'ipvs-netlink'
import { makeHost } from './fixtures/namespace.js'
import type { Namespace } from './fixtures/namespace.js'

const makeBed = async (t: Test) => ({
  ...(await makeHost(t)),
  path: join(t.testdir(), '90-test.conf'),
})

/** The settings of the file, as sysctl(8) would read them. */
const linesOf = (path: string): string[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))

t.test('what was set stands there, in an order in which it can be written', async (t) => {
  const { host, path, inside } = await makeBed(t)
  inside('ip', 'link', 'add', 'eth0.5', 'type', 'veth', 'peer', 'name', 'eth0.6')
  await host.setSysctl('net.ipv4.ip_local_port_range', '10000\t20000')
  await host.suppressArp('eth0.5')
  await host.ipForward(true)
  await host.ipForward(true, { family: 'ipv6' })
  await host.setSysctl('net.core.somaxconn', 1000)
  await host.setSysctl('net.core.somaxconn', 2000)
  await host.setSysctl('net.ipv4.ip_local_reserved_ports', '')
  await host.getSysctl('net.ipv4.tcp_syncookies')
  await t.rejects(host.setSysctl('net.ipv4.ip_default_ttl', 256))
  const persisted = await host.persist(path)
  const lines = [
    'net.ipv4.ip_forward = 1',
    'net.ipv6.conf.all.forwarding = 1',
    'net.ipv4.conf.all.arp_announce = 2',
    'net.ipv4.conf.all.arp_ignore = 1',
    'net.ipv4.conf.eth0/5.arp_announce = 2',
    'net.ipv4.conf.eth0/5.arp_ignore = 1',
    'net.core.somaxconn = 2000',
    'net.ipv4.ip_local_port_range = 10000\t20000',
    'net.ipv4.ip_local_reserved_ports =',
  ]
  t.same(linesOf(path), lines)
  t.equal(persisted.path, path)
  t.same(
    persisted.settings.map(({ name, value }) => `${name} = ${value}`.trimEnd()),
    lines,
  )
  const text = readFileSync(path, 'utf8')
  t.match(text, /^# Written by ipvs-netlink/)
  t.match(text, /\n# Forwarding\nnet\.ipv4\.ip_forward = 1\n/)
  t.ok(text.endsWith('=\n'))
  t.equal(statSync(path).mode & 0o777, 0o644)
  await host.persist(path)
  t.equal(readFileSync(path, 'utf8'), text, 'the same again')
})

t.test('sysctl(8) reads the file, and another namespace is as this one then', async (t) => {
  const { host, path, inside } = await makeBed(t)
  const other = await makeBed(t)
  for (const { inside: here } of [{ inside }, other]) {
    here('ip', 'link', 'add', 'eth0.5', 'type', 'veth', 'peer', 'name', 'eth0.6')
  }
  await host.ipForward(true)
  await host.suppressArp('eth0.5')
  await host.setSysctl('net.ipv4.conf.eth0/5.rp_filter', 2)
  await host.persist(path)
  other.inside('sysctl', '-q', '-p', path)
  const settings = (here: Namespace['inside']): string =>
    here('sysctl', '-a', '-r', '(ip_forward$|arp_(ignore|announce)$|rp_filter$)')
  t.equal(settings(other.inside), settings(inside))
})

t.test('what undo() put back is not there', async (t) => {
  const { host, path } = await makeBed(t)
  await host.setSysctl('net.ipv4.conf.all.arp_announce', 1)
  const preparation = await host.prepareRealServer({
    forwarding: 'dr',
    vip: '10.0.0.1',
    device: 'lo',
  })
  await host.persist(path)
  t.ok(linesOf(path).includes('net.ipv4.conf.all.arp_ignore = 1'))
  t.ok(linesOf(path).includes('net.ipv4.conf.all.arp_announce = 2'))
  await preparation.undo()
  await host.persist(path)
  // That was asked for before the preparation came.
  t.same(linesOf(path), ['net.ipv4.conf.all.arp_announce = 1'])
})

t.test('a program that is started again loses nothing', async (t) => {
  const { host, path, netns } = await makeBed(t)
  await host.ipForward(true)
  await host.suppressArp('lo')
  await host.persist(path)
  const before = linesOf(path)
  const again = await openHost({ netns })
  t.teardown(() => again.close())
  await again.suppressArp('lo')
  await again.setSysctl('net.core.somaxconn', 1000)
  await again.ipForward(false)
  await again.persist(path)
  t.same(
    linesOf(path),
    [...before, 'net.core.somaxconn = 1000'].map((line) =>
      line.replace('ip_forward = 1', 'ip_forward = 0'),
    ),
  )
  // It puts back what it changed itself, and what the file said is that.
  const preparation = await again.prepareRealServer({
    forwarding: 'dr',
    vip: '10.0.0.1',
    device: 'lo',
  })
  await preparation.undo()
  const after = linesOf(path)
  await again.persist(path)
  t.same(linesOf(path), after)
})

t.test('a preparation that a killed program made is persisted by the next one', async (t) => {
  const { host, netns } = await makeBed(t)
  const folder = t.testdir()
  const profile = { forwarding: 'dr', vip: '10.0.0.1', device: 'lo' } as const
  await host.prepareRealServer(profile)
  await host.persist(join(folder, 'first'))
  const lines = linesOf(join(folder, 'first'))
  t.equal(lines.length, 4)

  const again = await openHost({ netns })
  t.teardown(() => again.close())
  const preparation = await again.prepareRealServer(profile)
  t.same(preparation.changed, [], 'all is as it should be')
  await again.persist(join(folder, 'second'))
  t.same(linesOf(join(folder, 'second')), lines)

  t.same(await preparation.undo(), { restored: [], left: [] })
  await again.persist(join(folder, 'third'))
  t.same(linesOf(join(folder, 'third')), [], 'nobody wants it any more')
  t.equal(await again.getSysctl('net.ipv4.conf.all.arp_ignore'), '1', 'it was there before')
})

t.test("somebody else's lines stay as they are", async (t) => {
  const { host, path } = await makeBed(t)
  const theirs = '# mine\n; mine too\nvm.swappiness=10\n\n-net.ipv4.conf.*.rp_filter = 2\n'
  writeFileSync(path, theirs)
  chmodSync(path, 0o640)
  chownSync(path, 1234, 2345)
  await host.ipForward(true)
  await host.persist(path)
  const text = readFileSync(path, 'utf8')
  t.ok(text.startsWith(`${theirs}\n# Written by`), text)
  t.match(statSync(path), { uid: 1234, gid: 2345, mode: 0o100640 })
  await host.persist(path)
  t.equal(readFileSync(path, 'utf8'), text)
  t.same(readdirSync(join(path, '..')), ['90-test.conf'])
})

t.test(
  'a pattern that stands in our part of the file goes, and is not taken for a name',
  async (t) => {
    const { host, path } = await makeBed(t)
    await host.setSysctl('net.core.somaxconn', 1000)
    await host.persist(path)
    const text = readFileSync(path, 'utf8')
    const patterns = [
      '*.rp_filter = 2',
      'l?.rp_filter = 2',
      '[l]o.rp_filter = 2',
      'a=b.rp_filter = 2',
    ]
    writeFileSync(path, text + patterns.map((each) => `net.ipv4.conf.${each}\n`).join(''))
    await host.persist(path)
    t.equal(readFileSync(path, 'utf8'), text)
  },
)

t.test('nothing was set: a file that says so', async (t) => {
  const { host, path } = await makeBed(t)
  t.same(await host.persist(path), { path, settings: [] })
  t.same(linesOf(path), [])
})

t.test('several handles at once: each adds its own', async (t) => {
  const { host, path, netns } = await makeBed(t)
  const others = await Promise.all([1, 2, 3].map(() => openHost({ netns })))
  t.teardown(() => Promise.all(others.map((each) => each.close())))
  const names = ['arp_ignore', 'arp_announce', 'rp_filter', 'accept_local']
  await Promise.all(
    [host, ...others].map(async (each, index) => {
      await each.setSysctl(`net.ipv4.conf.lo.${names[index] ?? ''}`, 1)
      await each.persist(path)
    }),
  )
  t.same(linesOf(path).sort(), names.map((each) => `net.ipv4.conf.lo.${each} = 1`).sort())
})

t.test('files that are refused, and paths', async (t) => {
  const { host, path } = await makeBed(t)
  await host.ipForward(true)
  writeFileSync(path, 'target')
  symlinkSync(path, `${path}.link`)
  await t.rejects(host.persist(`${path}.link`), {
    code: 'ELOOP',
    message: `ELOOP: a symbolic link is not followed, open '${path}.link'`,
  })
  t.equal(readFileSync(path, 'utf8'), 'target')
  await t.rejects(host.persist(join(path, '..')), { code: 'EISDIR' })
  await t.rejects(host.persist(join(path, '..', 'no', 'such')), { code: 'ENOENT' })
  await t.rejects(host.persist('/dev/null'), { code: 'EINVAL' })
  for (const value of ['', '/tmp/a\0b']) {
    await t.rejects(host.persist(value), { code: 'ERR_INVALID_ARG_VALUE', message: /"path"/ })
  }
  const untyped = host.persist.bind(host) as (path: unknown) => Promise<unknown>
  for (const value of [null, 1, {}, [path], Buffer.from(path), new URL('file:///tmp/x')]) {
    await t.rejects(untyped(value), { code: 'ERR_INVALID_ARG_TYPE', message: /"path"/ })
  }
})
