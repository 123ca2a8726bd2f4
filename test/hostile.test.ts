// What an attacker might pass where a name or a path is wanted: all of it is refused, and reaches
// nothing but what the call is for. Needs root for the namespaces.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'

import t from 'tap'
import type { Test } from 'tap'
import { openHost, openIpvs } from 'ipvs-netlink'

const folder = mkdtempSync(join(tmpdir(), 'ipvs-netlink-hostile-'))
const canary = join(folder, 'canary')
writeFileSync(canary, 'alive')
execFileSync('mkfifo', [join(folder, 'fifo')])
symlinkSync('/dev/zero', join(folder, 'zero'))
symlinkSync(join(folder, 'loop'), join(folder, 'loop'))
symlinkSync('/proc/self/ns/user', join(folder, 'user'))

const name = `hostile-${process.pid}`
execFileSync('ip', ['netns', 'add', name])
const netns = `/run/netns/${name}`
const host = await openHost({ netns })
const ipvs = await openIpvs({ netns })

t.teardown(async () => {
  await Promise.all([host.close(), ipvs.close()])
  execFileSync('ip', ['netns', 'delete', name])
  rmSync(folder, { recursive: true })
})

const isRefusal = (error: unknown): boolean => {
  const { code } = error as { code?: string }
  return ['ERR_INVALID_ARG_VALUE', 'ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE'].includes(code ?? '')
}

const words = (error: unknown): string => {
  const { code, message } = error as { code?: string; message?: string }
  return `${code ?? 'no code'}: ${message ?? String(error)}`
}

/** Each value is refused as a wrong argument, before anything is done. */
const refuses = (
  what: string,
  values: readonly unknown[],
  call: (value: never) => Promise<unknown>,
): void => {
  t.test(`${what}: ${values.length} hostile ones are refused`, async (t) => {
    for (const value of values) {
      const error: unknown = await call(value as never).then(
        () => new Error('it was taken'),
        (reason: unknown) => reason,
      )
      t.ok(isRefusal(error), `${inspect(value)}: ${words(error)}`)
    }
    t.equal(readFileSync(canary, 'utf8'), 'alive')
  })
}

const notTexts = [null, 1, true, {}, [], ['net'], Symbol('net'), { toString: () => 'net.ipv4' }]

const names = [
  '',
  '.',
  '..',
  '/',
  'net',
  'net.',
  '.net.ipv4.ip_forward',
  'net..ipv4',
  'net/../kernel/hostname',
  'net/ipv4/../../kernel/hostname',
  'net/../../../etc/passwd',
  '/proc/sys/net/ipv4/ip_forward',
  '../net/ipv4/ip_forward',
  'net/ipv4//ip_forward',
  'net/./ipv4/ip_forward',
  'net/ipv4/ip_forward/',
  'net/ipv4/ip_forward/..',
  'net.ipv4.conf.//.arp_ignore',
  'kernel.core_pattern',
  'kernel/core_pattern',
  'fs.protected_symlinks',
  'vm.overcommit_memory',
  'net.ipv4.ip_forward\0',
  'net.ipv4\0.ip_forward',
  'net.ipv4.ip_forward\n',
  'net.ipv4.ip_forward\nkernel.core_pattern',
  'net.ipv4.ip forward',
  ' net.ipv4.ip_forward',
  'net.ipv4.ip_forward ',
  'NET.ipv4.ip_forward',
  'net\\ipv4\\ip_forward',
  ...notTexts,
]
refuses('names of settings to read', names, async (value) => host.getSysctl(value))
refuses('names of settings to write', names, async (value) => host.setSysctl(value, 0))

refuses(
  'values of settings',
  [
    '1\n2',
    '1\0',
    '\n',
    ' ',
    '1\r\n',
    'x'.repeat(5000),
    Number.NaN,
    1.5,
    2 ** 60,
    ...notTexts.slice(3),
  ]
    // A number and a boolean are values.
    .filter((value) => value !== true),
  async (value) => host.setSysctl('net.ipv4.conf.lo.arp_ignore', value),
)

const devices = [
  '',
  '.',
  '..',
  '../lo',
  'lo/..',
  'all/../lo',
  'lo\0',
  'lo\n',
  'lo eth0',
  ' lo',
  // They stand for others: what is written there, the kernel writes to other devices, too.
  'all',
  'default',
  'x'.repeat(16),
  'ü'.repeat(8),
  ...notTexts,
]
const alone = devices.filter((value) => !Array.isArray(value))
refuses('devices of addresses', devices.filter(Boolean), async (value) => host.listAddresses(value))
refuses('devices of VIPs', devices, async (device) => host.addVip({ address: '10.0.0.1', device }))
refuses(
  'devices whose ARP is suppressed',
  // It is suppressed there in any case.
  alone.filter((value) => value !== 'all'),
  async (value) => host.suppressArp(value),
)
refuses('devices of real servers', alone, async (device) =>
  host.prepareRealServer({ forwarding: 'dr', vip: '10.0.0.1', device }),
)
refuses('devices of directors', alone, async (device) =>
  host.prepareDirector({ forwarding: 'dr', vip: '10.0.0.1', device }),
)
refuses('devices of a diagnosis', alone, async (device) =>
  host.diagnose({ role: 'realServer', forwarding: 'dr', vip: '10.0.0.1', device }),
)
refuses('devices of daemons', devices, async (value) =>
  ipvs.startSyncDaemon({ role: 'master', interface: value }),
)

refuses(
  'labels',
  ['', 'lo:', 'eth0:1', 'lo:\0', 'lo:a b', 'lo:a\n', 'lo:ü', `lo:${'x'.repeat(13)}`, ...notTexts],
  async (label) => host.addVip({ address: '10.0.0.1', label }),
)

const addresses = [
  '',
  '10.0.0',
  '10.0.0.256',
  '10.0.0.1/32',
  '010.0.0.1',
  '0x0a000001',
  '10.0.0.1 ',
  '10.0.0.1\0',
  '10.0.0.1\n',
  'localhost',
  'fe80::1%lo',
  ':::1',
  '1::2::3',
  '[::1]',
  '::ffff:10.0.0.1.1',
  '1'.repeat(100_000),
  ...notTexts,
]
refuses('addresses of VIPs', addresses, async (address) => host.addVip({ address }))
refuses('addresses of services', addresses, async (address) =>
  ipvs.addService({ protocol: 'tcp', address, port: 80 }),
)
refuses('addresses of destinations', addresses, async (address) =>
  ipvs.addDestination({ fwmark: 1 }, { address, port: 80 }),
)

const modules = [
  '',
  '../../etc/passwd',
  'wlc\0',
  'wlc ',
  'w lc',
  'wlc\n',
  'x'.repeat(17),
  'ü'.repeat(8),
  ...notTexts,
]
// The kernel makes the name of a module of it, which it hands to modprobe.
refuses('schedulers', modules, async (scheduler) => ipvs.addService({ fwmark: 1, scheduler }))
refuses('persistence engines', modules, async (engine) =>
  ipvs.addService({ fwmark: 1, persistence: { engine } }),
)

refuses(
  'namespaces',
  ['', 'a\0b', '\0', -1, 1.5, 2 ** 31, Number.NaN, null, {}, [], true],
  async (value) => openIpvs({ netns: value }),
)

const notNamespaces = [
  'x'.repeat(5000),
  '/nonexistent/namespace',
  '/',
  folder,
  canary,
  `${canary}/..`,
  join(folder, 'fifo'),
  join(folder, 'zero'),
  join(folder, 'loop'),
  join(folder, 'user'),
  '/dev/null',
  '/dev/tty',
  '/proc/self/ns/mnt',
  '/proc/self/environ',
  '/proc/sys/net/ipv4/ip_forward',
  '$(touch pwned)',
  '`id`',
  '; rm -rf /',
  0,
  2 ** 31 - 1,
]

t.test(`paths: ${notNamespaces.length} that are no network namespace are refused`, async (t) => {
  for (const path of notNamespaces) {
    const words = String(path).slice(0, 60)
    await t.rejects(openIpvs({ netns: path }), { code: 'ERR_IPVS_NO_NETNS' }, words)
    await t.rejects(openHost({ netns: path }), { code: 'ERR_IPVS_NO_NETNS' }, words)
  }
  t.equal(readFileSync(canary, 'utf8'), 'alive')
})

const inside = (...args: string[]): string =>
  execFileSync('ip', ['netns', 'exec', name, ...args], { encoding: 'utf8' })

/** The value of a setting of each device, as the kernel says it. */
const ignored = (): string =>
  inside('sysctl', '-a', '-r', String.raw`^net\.ipv4\.conf\..*arp_ignore$`)

/** A handle of its own sets ARP of a device of this name; then sysctl(8) reads what was persisted. */
const persisted = async (t: Test, device: string): Promise<{ error: unknown; text: string }> => {
  const path = join(folder, 'sysctl.conf')
  inside('ip', 'link', 'add', device, 'type', 'veth', 'peer', 'name', 'l')
  const setting = `net/ipv4/conf/${device}/arp_ignore`
  const own = await openHost({ netns })
  try {
    await own.setSysctl(setting, 2)
    const before = ignored()
    const error: unknown = await own.persist(path).catch((reason: unknown) => reason)
    const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
    if (text !== '') inside('sh', '-c', 'sysctl -q -p "$1" || true', 'sh', path)
    t.equal(ignored(), before, `${device}: nothing but the device is as it was not`)
    return { error, text }
  } finally {
    await own.close()
    inside('ip', 'link', 'delete', device)
    rmSync(path, { force: true })
  }
}

t.test('devices whose names are patterns are set, and written to no file', async (t) => {
  for (const device of ['*', 'l?', '[l]o', '{lo,l}', String.raw`\lo`, 'l=2']) {
    const { error, text } = await persisted(t, device)
    const named = `net.ipv4.conf.${device}.arp_ignore`
    t.match(error, { code: 'ERR_HOST_REFUSED', errno: 0, command: 'sysctl' }, words(error))
    t.ok(words(error).includes(`Cannot persist ${named}: `) && words(error).includes('* ? [ ]'))
    t.equal(text, '')
  }
})

t.test('devices whose names only look so are written', async (t) => {
  for (const device of ['-lo', '#lo', '~root', "'l'", 'l.o']) {
    const { error, text } = await persisted(t, device)
    t.notOk(error instanceof Error, words(error))
    t.ok(text.includes(`\nnet.ipv4.conf.${device.replace('.', '/')}.arp_ignore = 2\n`), device)
  }
})

t.test('properties from a prototype are checked like own ones', async (t) => {
  const code = 'ERR_INVALID_ARG_VALUE'
  const polluted = JSON.parse('{"fwmark":1,"__proto__":{"scheduler":"rr"}}') as never
  await t.rejects(ipvs.addService(polluted), { code })
  for (const [name, value] of [
    ['scheduler', '../../x'],
    ['sheduler', 'rr'],
  ] as const) {
    const inherited = Object.assign(Object.create({ [name]: value }) as object, { fwmark: 1 })
    await t.rejects(ipvs.addService(inherited), { code, message: new RegExp(name) })
  }
  const prototype = Object.prototype as unknown as Record<string, unknown>
  prototype['prune'] = true
  try {
    await t.rejects(ipvs.addService({ fwmark: 1 }), { code, message: /prune/ })
  } finally {
    delete prototype['prune']
  }
})
