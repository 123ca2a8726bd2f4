// Names and values of kernel settings: what is refused before the kernel hears of it, and what the
// last door, in the addon, keeps out.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

import t from 'tap'
import { openHost } from 'ipvs-netlink'
import { loadAddon } from '#lib/native'
import { takeSettingName, takeSettingValue } from '#lib/sysctl'

const name = `sysctl-${process.pid}`
execFileSync('ip', ['netns', 'add', name])
t.teardown(() => execFileSync('ip', ['netns', 'delete', name]))
const inside = (...args: string[]): string =>
  execFileSync('ip', ['netns', 'exec', name, ...args], { encoding: 'utf8' })
const netns = `/run/netns/${name}`

const right: readonly (readonly [name: string, path: string])[] = [
  ['net.ipv4.ip_forward', 'ipv4/ip_forward'],
  ['net/ipv4/ip_forward', 'ipv4/ip_forward'],
  ['net.ipv4.conf.eth0/5.arp_ignore', 'ipv4/conf/eth0.5/arp_ignore'],
  ['net/ipv4/conf/eth0.5/arp_ignore', 'ipv4/conf/eth0.5/arp_ignore'],
  ['net.ipv4.conf.a/b/c.arp_ignore', 'ipv4/conf/a.b.c/arp_ignore'],
  ['net/ipv4/conf/a.b.c/arp_ignore', 'ipv4/conf/a.b.c/arp_ignore'],
  ['net/ipv4/conf/.../arp_ignore', 'ipv4/conf/.../arp_ignore'],
  ['net.ipv4.conf.eth0-_@%.arp_ignore', 'ipv4/conf/eth0-_@%/arp_ignore'],
  ['net/core', 'core'],
]

t.test('names as sysctl(8) takes them', async (t) => {
  for (const [name, path] of right) t.equal(takeSettingName(name, 'name').join('/'), path, name)
})

const hostile: readonly string[] = [
  '',
  '.',
  '/',
  'net',
  'net.',
  'net/',
  '.net.ipv4.ip_forward',
  '/net/ipv4/ip_forward',
  '/proc/sys/net/ipv4/ip_forward',
  'proc/sys/net/ipv4/ip_forward',
  '/etc/passwd',
  'kernel.hostname',
  'kernel/hostname',
  'vm.swappiness',
  'NET.ipv4.ip_forward',
  'network.ipv4',
  'net..ipv4.ip_forward',
  'net//ipv4/ip_forward',
  'net/ipv4/ip_forward/',
  'net.ipv4.ip_forward.',
  'net/../kernel/hostname',
  'net/./ipv4/ip_forward',
  'net/ipv4/..',
  'net/ipv4/../../kernel/hostname',
  'net/ipv4/conf/../../../kernel/hostname',
  'net.//.kernel.hostname',
  'net.ipv4.//.//.kernel.hostname',
  'net.ipv4./.ip_forward',
  'net.ipv4.//',
  'net/ipv4/ip_forward\0',
  'net/ipv4/ip_forward\0/../../kernel/hostname',
  '\0net.ipv4.ip_forward',
  'net.ipv4.ip_forward\n',
  'net.ipv4.ip_forward ',
  ' net.ipv4.ip_forward',
  'net.ipv4 .ip_forward',
  'net\\ipv4\\ip_forward',
  'net:ipv4:ip_forward',
  '~/net/ipv4',
  '../net/ipv4/ip_forward',
  'net.ipv4.ip_forward=1\nkernel.hostname=evil',
]

t.test('hostile names reach nothing', async (t) => {
  const host = await openHost({ netns })
  t.teardown(() => host.close())
  const refusal = { code: 'ERR_INVALID_ARG_VALUE', message: /"name" must be the name of a setting/ }
  for (const name of hostile) {
    await t.rejects(host.getSysctl(name), refusal, JSON.stringify(name))
    await t.rejects(host.setSysctl(name, 'evil'), refusal, JSON.stringify(name))
  }
  const untyped = host as unknown as Record<string, (name: unknown) => Promise<unknown>>
  for (const name of [undefined, null, 1, [], ['net.ipv4.ip_forward'], {}, Symbol('s')]) {
    await t.rejects(Promise.resolve(untyped['getSysctl']?.(name)), { code: 'ERR_INVALID_ARG_TYPE' })
  }
})

t.test('long names and names that are not there', async (t) => {
  const host = await openHost({ netns })
  t.teardown(() => host.close())
  const refusal = { name: 'IpvsError', code: 'ERR_HOST_NO_SYSCTL' }
  for (const name of [
    `net.ipv4.${'n'.repeat(255)}`,
    `net.ipv4.${'n'.repeat(256)}`,
    `net${'.n'.repeat(4000)}`,
    'net.ipv4.nosuch',
    'net.ipv4',
    'net.ipv4.ip_forward.below',
    'net.ipv4.conf.nosuch.arp_ignore',
  ]) {
    await t.rejects(host.getSysctl(name), refusal, name.slice(0, 40))
    await t.rejects(host.setSysctl(name, 1), refusal, name.slice(0, 40))
  }
})

t.test('the last door: names that no check has seen', async (t) => {
  const connection = new (loadAddon().HostConnection)(undefined, 1000)
  t.equal(await connection.open(), undefined)
  t.teardown(() => connection.close())
  const hostname = readFileSync('/proc/sys/kernel/hostname', 'utf8')
  for (const name of [
    '',
    '.',
    '..',
    '/',
    '../kernel/hostname',
    'ipv4/../../kernel/hostname',
    './ipv4/ip_forward',
    'ipv4//ip_forward',
    '/proc/sys/kernel/hostname',
    '/etc/hostname',
    'ipv4//',
    'ipv4/ip_forward\0x',
    '..\0',
  ]) {
    t.match((await connection.readSetting(name)).failure, { stage: 4, errno: 22 }, name)
    t.match((await connection.readSettings(name)).failure, { stage: 4, errno: 22 }, name)
    t.match(await connection.writeSetting(name, 'evil'), { stage: 4, errno: 22 }, name)
  }
  for (const name of [
    '../sys/kernel/hostname',
    '/etc/hostname',
    'dev/../../status',
    'DEV',
    '.',
    '..',
  ]) {
    t.match((await connection.readText(name)).failure, { stage: 4, errno: 22 }, name)
  }
  t.equal(readFileSync('/proc/sys/kernel/hostname', 'utf8'), hostname)
})

t.test('values are checked', async (t) => {
  const taken = [
    [true, '1'],
    [false, '0'],
    [0, '0'],
    [-8, '-8'],
    [2 ** 53 - 1, '9007199254740991'],
    ['3 50', '3 50'],
    ['3\t50', '3\t50'],
    ['', '\n'],
  ] as const
  for (const [value, text] of taken) t.equal(takeSettingValue(value, 'value'), text)
  const wrong = [
    NaN,
    Infinity,
    1.5,
    2 ** 53,
    ' ',
    '\t',
    '1\n',
    '1\n2',
    '1\r',
    '\0',
    '1\0',
    'x'.repeat(4001),
  ]
  for (const value of wrong) {
    t.throws(
      () => takeSettingValue(value, 'value'),
      { code: 'ERR_INVALID_ARG_VALUE' },
      String(value),
    )
  }
  for (const value of [undefined, null, 1n, {}, [], [1], () => 1, Symbol('s')]) {
    t.throws(() => takeSettingValue(value, 'value'), { code: 'ERR_INVALID_ARG_TYPE' })
  }
})

t.test('what the kernel takes in part is no success', async (t) => {
  const host = await openHost({ netns })
  t.teardown(() => host.close())
  const setting = 'net.ipv4.conf.lo.arp_ignore'
  await t.rejects(host.setSysctl(setting, '1 2'), {
    code: 'ERR_HOST_REFUSED',
    message: /only the beginning/,
  })
  t.equal(inside('sysctl', '-n', setting), '1\n')
  await host.setSysctl(setting, '2 \t')
  t.equal(inside('sysctl', '-n', setting), '2\n')
})

t.test('a setting that can only be read, or only be written, is told so', async (t) => {
  const host = await openHost({ netns })
  t.teardown(() => host.close())
  const code = 'ERR_HOST_PERMISSION'
  const [reading, writing] = [
    /or the setting can only be read$/,
    /or the setting can only be written$/,
  ]
  const readable = 'net.ipv4.tcp_available_congestion_control'
  await t.rejects(host.setSysctl(readable, 'reno'), { code, message: reading })
  await t.rejects(host.getSysctl('net.ipv4.route.flush'), { code, message: writing })
})

t.test('a value that was refused is quoted', async (t) => {
  const host = await openHost({ netns })
  t.teardown(() => host.close())
  await t.rejects(host.setSysctl('net.ipv4.conf.lo.arp_ignore', ''), {
    code: 'ERR_HOST_REFUSED',
    message: /^Cannot write "" to net\.ipv4\.conf\.lo\.arp_ignore: .+$/,
  })
  await t.rejects(host.setSysctl('net.ipv4.conf.lo.arp_ignore', 'a"b'), { message: /"a\\"b"/ })
})

t.test('forwarding of both families, in the namespace alone', async (t) => {
  const host = await openHost({ netns })
  t.teardown(() => host.close())
  const own = (): string[] =>
    ['ipv4/ip_forward', 'ipv6/conf/all/forwarding'].map((path) =>
      readFileSync(`/proc/sys/net/${path}`, 'utf8'),
    )
  const before = own()
  for (const [family, setting] of [
    ['ipv4', 'net.ipv4.ip_forward'],
    ['ipv6', 'net.ipv6.conf.all.forwarding'],
  ] as const) {
    for (const on of [true, false, true]) {
      t.equal(await host.ipForward(on, { family }), on)
      t.equal(inside('sysctl', '-n', setting), on ? '1\n' : '0\n')
      t.equal(await host.ipForward({ family }), on)
    }
  }
  t.same(own(), before)
})
