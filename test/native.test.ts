// The addon against this machine's own netlink, in network namespaces made for the purpose. Needs
// root, and fails without; needs no IPVS.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'

import t from 'tap'
import type { Test } from 'tap'

import { host, ipvs, IpvsError, openHost, openIpvs } from 'ipvs-netlink'
import type { Host, HostAddress } from 'ipvs-netlink'
import { limit } from './fixtures/limits.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const execute = promisify(execFile)

// Without what tap has node load into every process and thread.
const env = { ...process.env, NODE_OPTIONS: '' }

/** Answers standard output; rejects when the program fails. */
const run = async (program: string, ...args: string[]): Promise<string> => {
  const { stdout } = await execute(program, args, { cwd: root, timeout: limit(50_000), env })
  return stdout
}

const runScript = async (script: string, ...args: string[]): Promise<string> =>
  run(process.execPath, '--input-type=module', '-e', script, ...args)

if (process.getuid?.() !== 0) {
  t.fail('these tests make network namespaces: run them as root')
  process.exit(1)
}

t.setTimeout(limit(600_000))

let count = 0

interface Namespace {
  readonly path: string
  readonly inside: (program: string, ...args: string[]) => Promise<string>
}

/** A network namespace with its `lo` up, until the test ends. */
const makeNamespace = async (t: Test): Promise<Namespace> => {
  const name = `unit-${process.pid}-${++count}`
  await run('ip', 'netns', 'add', name)
  t.teardown(async () => run('ip', 'netns', 'delete', name))
  const inside = async (program: string, ...args: string[]): Promise<string> =>
    run('ip', 'netns', 'exec', name, program, ...args)
  await inside('ip', 'link', 'set', 'lo', 'up')
  return { path: `/run/netns/${name}`, inside }
}

const openIn = async (t: Test, netns: string): Promise<Host> => {
  const opened = await openHost({ netns })
  t.teardown(async () => opened.close())
  return opened
}

interface IpLink {
  readonly ifname: string
  readonly addr_info: readonly {
    readonly family: 'inet' | 'inet6'
    readonly local: string
    readonly prefixlen: number
    readonly scope: string
    readonly label?: string
    readonly tentative?: boolean
  }[]
}

const sorted = (addresses: readonly object[]): string[] =>
  addresses.map((address) => JSON.stringify(Object.entries(address).toSorted())).toSorted()

/** The addresses of `ip -j address`, as this library describes them. */
const addressesOfIp = (json: string): Omit<HostAddress, 'none'>[] =>
  (JSON.parse(json) as IpLink[]).flatMap(({ ifname, addr_info }) =>
    addr_info.map(({ family, local, prefixlen, scope, label, tentative }) => ({
      address: local,
      family: family === 'inet' ? 'ipv4' : 'ipv6',
      prefixLength: prefixlen,
      device: ifname,
      ...(label !== undefined && { label }),
      scope: scope as HostAddress['scope'],
      tentative: tentative ?? false,
    })),
  )

t.test('the addresses of this machine are those that ip(8) shows', async (t) => {
  const expected = addressesOfIp(await run('ip', '-j', 'address'))
  t.ok(expected.length > 0)
  t.same(sorted(await host.listAddresses()), sorted(expected))
  t.same(
    sorted(await host.listAddresses('lo')),
    sorted(expected.filter(({ device }) => device === 'lo')),
  )
})

t.test('the addresses of another namespace are those that ip(8) shows inside', async (t) => {
  const { path, inside } = await makeNamespace(t)
  await inside('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'eth0.5')
  await inside('ip', 'link', 'set', 'v0', 'up')
  await inside('ip', 'link', 'set', 'eth0.5', 'up')
  const more = [
    ['10.1.0.1/24', 'dev', 'v0'],
    ['10.1.0.2/24', 'dev', 'v0', 'label', 'v0:web'],
    ['10.1.0.3', 'peer', '10.9.9.9/32', 'dev', 'v0'],
    ['10.2.0.1/32', 'dev', 'lo', 'scope', 'link'],
    ['10.2.0.2/8', 'dev', 'eth0.5', 'scope', 'host'],
    ['2001:db8::1/64', 'dev', 'v0', 'nodad'],
    ['2001:db8::2/128', 'dev', 'lo'],
    ['fec0::1/64', 'dev', 'eth0.5', 'nodad'],
    ['2001:db8:1::1', 'peer', '2001:db8:1::2/128', 'dev', 'v0', 'nodad'],
  ]
  for (const each of more) await inside('ip', 'address', 'add', ...each)
  const namespace = await openIn(t, path)
  // Duplicate addresses are still looked for; both views are of one moment when they agree.
  let ours: string[] = []
  let theirs: string[] = ['none']
  for (let attempt = 0; attempt < 5 && ours.join() !== theirs.join(); ++attempt) {
    theirs = sorted(addressesOfIp(await inside('ip', '-j', 'address')))
    ours = sorted(await namespace.listAddresses())
  }
  t.same(ours, theirs)
  t.ok(ours.length >= more.length + 2)
  const ofDevice = (await namespace.listAddresses('eth0.5')).map(({ device }) => device)
  t.same([...new Set(ofDevice)], ['eth0.5'])
})

t.test('many addresses are listed completely', async (t) => {
  const { path, inside } = await makeNamespace(t)
  const folder = await mkdtemp(join(tmpdir(), 'ipvs-netlink-unit-'))
  t.teardown(async () => rm(folder, { recursive: true }))
  const lines = Array.from(
    { length: 2000 },
    (_, n) => `address add 10.${n >> 8}.${n & 255}.1/32 dev lo`,
  )
  await writeFile(join(folder, 'lines'), lines.join('\n'))
  await inside('ip', '-batch', join(folder, 'lines'))
  const namespace = await openIn(t, path)
  const listed = await namespace.listAddresses('lo')
  t.equal(new Set(listed.map(({ address }) => address)).size, 2002)
})

t.test('a VIP is added and deleted as ip(8) sees it', async (t) => {
  const { path, inside } = await makeNamespace(t)
  const namespace = await openIn(t, path)
  const before = await inside('ip', '-j', 'address')
  const outside = addressesOfIp(await run('ip', '-j', 'address'))
  const vips = [
    [{ address: '10.0.0.1' }, { prefixLength: 32, label: 'lo:0', device: 'lo' }],
    [
      { address: '10.0.0.2', label: 'lo:web' },
      { prefixLength: 32, label: 'lo:web' },
    ],
    [
      { address: '10.0.0.3', prefixLength: 24 },
      { prefixLength: 24, label: 'lo:1' },
    ],
    [{ address: '2001:DB8:0::1' }, { prefixLength: 128, address: '2001:db8::1' }],
  ] as const
  for (const [vip, expected] of vips) {
    const added = await namespace.addVip(vip)
    t.match(added, expected)
    const seen = addressesOfIp(await inside('ip', '-j', 'address'))
    t.ok(sorted(seen).includes(sorted([added])[0] ?? ''), JSON.stringify(added))
  }
  t.same(addressesOfIp(await run('ip', '-j', 'address')), outside, 'and nowhere else')
  for (const [vip] of vips) await namespace.deleteVip(vip)
  t.same(addressesOfIp(await inside('ip', '-j', 'address')), addressesOfIp(before))
})

t.test('a VIP that is there, or is not, or has no device is refused', async (t) => {
  const { path } = await makeNamespace(t)
  const namespace = await openIn(t, path)
  const vip = { address: '10.0.0.1' }
  await namespace.addVip(vip)
  await t.rejects(namespace.addVip(vip), {
    code: 'ERR_HOST_ADDRESS_EXISTS',
    errno: -17,
    command: 'RTM_NEWADDR',
  })
  await t.rejects(namespace.deleteVip({ address: '10.0.0.2' }), {
    code: 'ERR_HOST_NO_ADDRESS',
    errno: -99,
    command: 'RTM_DELADDR',
  })
  await t.rejects(namespace.deleteVip({ ...vip, prefixLength: 24 }), {
    code: 'ERR_HOST_NO_ADDRESS',
  })
  const nowhere = { ...vip, device: 'nosuch' }
  await t.rejects(namespace.addVip(nowhere), { code: 'ERR_HOST_NO_DEVICE', errno: -19 })
  await t.rejects(namespace.deleteVip(nowhere), { code: 'ERR_HOST_NO_DEVICE', errno: -19 })
  await t.rejects(namespace.listAddresses('nosuch'), { code: 'ERR_HOST_NO_DEVICE', errno: -19 })
  t.ok((await namespace.listAddresses('lo')).some(({ address }) => address === '10.0.0.1'))
})

t.test('a device with a name beyond ASCII is listed and used under its name', async (t) => {
  const { path, inside } = await makeNamespace(t)
  await inside('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'bücher')
  await inside('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'bücher')
  const namespace = await openIn(t, path)
  t.match(await namespace.listAddresses('bücher'), [{ device: 'bücher', address: '10.0.0.1' }])
  t.match(
    await namespace
      .addVip({ address: '10.0.0.2', device: 'bücher' })
      .catch((error: unknown) => error),
    { device: 'bücher' },
  )
})

t.test('a device whose name only resembles another is not that other', async (t) => {
  const { path } = await makeNamespace(t)
  const namespace = await openIn(t, path)
  await namespace.addVip({ address: '10.0.0.1' })
  // The low bytes of these two characters are those of "lo".
  const device = '\u016c\u016f'
  await t.rejects(namespace.deleteVip({ address: '10.0.0.1', device }), {
    code: 'ERR_HOST_NO_DEVICE',
  })
  t.ok((await namespace.listAddresses('lo')).some(({ address }) => address === '10.0.0.1'))
})

t.test('a setting is that of the namespace, and the own one stays', async (t) => {
  const { path, inside } = await makeNamespace(t)
  const namespace = await openIn(t, path)
  const name = 'net.ipv4.conf.lo.arp_ignore'
  const file = '/proc/sys/net/ipv4/conf/lo/arp_ignore'
  const own = readFileSync(file, 'utf8').trim()
  t.equal(await host.getSysctl(name), own)
  await namespace.setSysctl(name, 8)
  t.equal(await namespace.getSysctl(name), '8')
  t.equal((await inside('cat', file)).trim(), '8')
  t.equal(readFileSync(file, 'utf8').trim(), own)
  t.equal(await host.getSysctl('net/ipv4/conf/lo/arp_ignore'), own)
})

t.test('a setting of several values and one that is not there', async (t) => {
  const { path } = await makeNamespace(t)
  const namespace = await openIn(t, path)
  await namespace.setSysctl('net.ipv4.ip_local_port_range', '10000 20000')
  t.equal(await namespace.getSysctl('net.ipv4.ip_local_port_range'), '10000\t20000')
  for (const name of [
    'net.ipv4.nosuch',
    'net.ipv4',
    'net.ipv4.ip_forward.x',
    `net.${'x'.repeat(300)}`,
  ]) {
    const error: unknown = await namespace.getSysctl(name).catch((reason: unknown) => reason)
    t.ok(IpvsError.is(error), name)
    t.match(error, { code: /ERR_HOST_(NO_SYSCTL|REFUSED)/, command: 'sysctl' })
  }
  await t.rejects(namespace.setSysctl('net.ipv4.ip_default_ttl', 256), {
    code: 'ERR_HOST_REFUSED',
    errno: -22,
  })
})

t.test('ARP is suppressed for a real server, and everything is put back', async (t) => {
  const { path, inside } = await makeNamespace(t)
  await inside('ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1')
  const namespace = await openIn(t, path)
  const preparation = await namespace.prepareRealServer({
    forwarding: 'dr',
    vip: '10.0.0.1',
    device: 'v0',
  })
  t.match(await namespace.arpSuppression('v0'), [
    { arpIgnore: 1, arpAnnounce: 2, suppressed: true },
  ])
  t.equal(preparation.changed.length, 5)
  await preparation.undo()
  t.match(await namespace.arpSuppression('v0'), [
    { arpIgnore: 0, arpAnnounce: 0, suppressed: false },
  ])
  t.notMatch(await inside('ip', 'address'), /10\.0\.0\.1/)
})

const opened = [
  ['openIpvs', openIpvs],
  ['openHost', openHost],
] as const

for (const [name, open] of opened) {
  t.test(`${name} takes a path or a descriptor, which stays the caller's`, async (t) => {
    const { path } = await makeNamespace(t)
    const byPath = await open({ netns: path })
    await byPath.close()
    const descriptor = openSync(path, 'r')
    t.teardown(() => closeSync(descriptor))
    const byDescriptor = await open({ netns: descriptor })
    await byDescriptor.close()
    const again = await open({ netns: descriptor })
    await again.close()
    t.ok(existsSync(`/proc/self/fd/${descriptor}`))
  })

  t.test(`${name} refuses what is no network namespace`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'ipvs-netlink-unit-'))
    t.teardown(async () => rm(folder, { recursive: true }))
    const file = join(folder, 'file')
    await writeFile(file, '')
    const fifo = join(folder, 'fifo')
    await run('mkfifo', fifo)
    const closed = openSync(file, 'r')
    closeSync(closed)
    const regular = openSync(file, 'r')
    t.teardown(() => closeSync(regular))
    const wrong = [
      join(folder, 'nosuch'),
      file,
      fifo,
      folder,
      join(file, 'x'),
      '/dev/null',
      '/proc/self/ns/uts',
      '/proc/self/ns/user',
      'x'.repeat(5000),
      closed,
      regular,
      2 ** 31 - 1,
    ]
    for (const netns of wrong) {
      const error: unknown = await open({ netns }).then(
        async (handle) => handle.close(),
        (reason: unknown) => reason,
      )
      t.match(error, { code: 'ERR_IPVS_NO_NETNS' }, String(netns).slice(0, 100))
      t.match((error as Error | undefined)?.message, String(netns))
    }
  })
}

t.test('a namespace lives on while a handle has it, and its path may go', async (t) => {
  const name = `unit-${process.pid}-${++count}`
  await run('ip', 'netns', 'add', name)
  const namespace = await openHost({ netns: `/run/netns/${name}` })
  await run('ip', 'netns', 'delete', name)
  await namespace.setSysctl('net.ipv4.conf.lo.arp_ignore', 2)
  t.equal(await namespace.getSysctl('net.ipv4.conf.lo.arp_ignore'), '2')
  t.same(await namespace.listAddresses(), [])
  await namespace.close()
  await t.rejects(openHost({ netns: `/run/netns/${name}` }), { code: 'ERR_IPVS_NO_NETNS' })
})

const ownNamespace = readlinkSync('/proc/self/ns/net')

const namespaceOfThread = (task: string): string => {
  try {
    return readlinkSync(`/proc/self/task/${task}/ns/net`)
  } catch {
    return ownNamespace // It has ended.
  }
}

/** A thread that was waited for may still be on its way out, but none is left in another one. */
const areAllInOwnNamespace = async (): Promise<boolean> => {
  for (let tries = 0; tries < 100; ++tries) {
    const isOwn = (task: string): boolean => namespaceOfThread(task) === ownNamespace
    if (readdirSync('/proc/self/task').every(isOwn)) return true
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return false
}

t.test('no thread of the process is ever left in another namespace', async (t) => {
  const { path } = await makeNamespace(t)
  const namespace = await openIn(t, path)
  const other = await openIpvs({ netns: path })
  t.teardown(async () => other.close())
  for (let round = 0; round < 20; ++round) {
    const results = await Promise.allSettled([
      ...Array.from({ length: 8 }, async () => namespace.listAddresses()),
      ...Array.from({ length: 8 }, async () => namespace.getSysctl('net.ipv4.ip_forward')),
      namespace.setSysctl('net.ipv4.conf.lo.arp_ignore', round % 3),
      namespace.addVip({ address: `10.0.0.${round + 1}` }),
      other.snapshot(),
      other.clear(),
    ])
    t.equal(results.filter(({ status }) => status === 'fulfilled').length >= 18, true)
    t.ok(await areAllInOwnNamespace())
  }
})

// The two files by which a kernel with IPVS is told, in this namespace.
const hasIpvs = existsSync('/proc/net/ip_vs')
const skip = hasIpvs && 'the kernel of this machine has IPVS'

t.test('a kernel without IPVS is told as such, at every call anew', { skip }, async (t) => {
  const { path } = await makeNamespace(t)
  await using other = await openIpvs({ netns: path })
  const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
  for (const handle of [ipvs, other]) {
    const calls = [
      async () => handle.info(),
      async () => handle.info(),
      async () => handle.snapshot(),
      async () => handle.listServices(),
      async () => handle.getService(service),
      async () => handle.listDestinations(service),
      async () => handle.addService(service),
      async () => handle.addDestination(service, { address: '10.0.0.2' }),
      async () => handle.clear(),
    ]
    const errors = new Set<unknown>()
    for (const call of calls) {
      const error: unknown = await call().catch((reason: unknown) => reason)
      t.match(error, { name: 'IpvsError', code: 'ERR_IPVS_NOT_AVAILABLE', errno: -2 })
      t.match((error as Error).message, /this kernel has no IPVS/)
      errors.add(error)
    }
    t.equal(errors.size, calls.length, 'each call has its own error')
  }
  const outcomes = await ipvs.batch([{ op: 'clear' }, { op: 'addService', service }])
  t.match(outcomes, [
    { ok: false, error: { code: 'ERR_IPVS_NOT_AVAILABLE', command: 'FLUSH' } },
    { ok: false, error: { code: 'ERR_IPVS_NOT_AVAILABLE', command: 'NEW_SERVICE', service } },
  ])
})

const descriptors = (): number => readdirSync('/proc/self/fd').length

t.test('opening and closing a thousand times leaves no descriptor', async (t) => {
  const { path } = await makeNamespace(t)
  for (const [, open] of opened) {
    await (await open({ netns: path })).close()
    const before = descriptors()
    for (let n = 0; n < 500; ++n) await (await open({ netns: path })).close()
    t.equal(descriptors(), before)
  }
})

t.test('a thousand handles that were used leave no descriptor', async (t) => {
  const { path } = await makeNamespace(t)
  const use = async (): Promise<void> => {
    const [one, two] = await Promise.all([openHost({ netns: path }), openIpvs({ netns: path })])
    await Promise.allSettled([one.listAddresses('lo'), two.info(), two.clear()])
    await Promise.all([one.close(), two.close()])
  }
  await use()
  const before = descriptors()
  for (let n = 0; n < 500; ++n) await use()
  t.equal(descriptors(), before)
})

t.test('a handle made from a descriptor gives its copy back when it is closed', async (t) => {
  const { path } = await makeNamespace(t)
  const descriptor = openSync(path, 'r')
  t.teardown(() => closeSync(descriptor))
  for (const [name, open] of opened) {
    const before = descriptors()
    for (let n = 0; n < 20; ++n) await (await open({ netns: descriptor })).close()
    t.equal(descriptors(), before, name)
  }
})

t.test('what cannot be opened leaves no descriptor', async (t) => {
  const before = descriptors()
  for (let n = 0; n < 200; ++n) {
    for (const netns of ['/dev/null', '/nosuch', '/proc/self/ns/uts']) {
      await openHost({ netns }).catch(() => undefined)
    }
  }
  // Fewer when handles of earlier tests were collected meanwhile.
  t.ok(descriptors() <= before)
})

t.test('a script that imports, calls and does not close ends by itself', async (t) => {
  const { path } = await makeNamespace(t)
  const script = `
    import { host, ipvs, openHost, openIpvs } from 'ipvs-netlink'
    const other = await openHost({ netns: process.argv[1] })
    const table = await openIpvs({ netns: process.argv[1] })
    await Promise.allSettled([ipvs.info(), table.clear(), other.listAddresses()])
    console.log((await host.listAddresses('lo')).length > 0)
  `
  t.equal(await runScript(script, path), 'true\n')
})

t.test('a script that only imports loads no addon', async (t) => {
  const script = `
    import { readFileSync } from 'node:fs'
    import { host } from 'ipvs-netlink'
    const isLoaded = () => /[.]node$/m.test(readFileSync('/proc/self/maps', 'utf8'))
    const before = isLoaded()
    await host.listAddresses('lo')
    console.log(before, isLoaded())
  `
  t.equal(await runScript(script), 'false true\n', 'but a call does')
})

t.test('a script that ends while calls are under way ends cleanly', async (t) => {
  const script = `
    import { host, ipvs } from 'ipvs-netlink'
    await host.listAddresses()
    for (let n = 0; n < 100; ++n) { host.listAddresses(); ipvs.info().catch(() => {}) }
    process.exit(0)
  `
  for (let n = 0; n < 5; ++n) t.equal(await runScript(script), '')
})

t.test('require() gives the same exports as import', async (t) => {
  const script = `const all = require('ipvs-netlink'); console.log(Object.keys(all).sort().join())`
  const printed = await run(
    process.execPath,
    '--no-warnings',
    '--input-type=commonjs',
    '-e',
    script,
  )
  t.equal(
    printed,
    `${Object.keys(await import('ipvs-netlink'))
      .toSorted()
      .join()}\n`,
  )
  for (const name of ['IpvsError', 'host', 'ipvs', 'openHost', 'openIpvs']) t.match(printed, name)
})

const startWorker = (netns: string, forever: boolean): Worker =>
  new Worker(new URL('./fixtures/worker.js', import.meta.url), {
    workerData: { netns, forever },
    execArgv: [],
    env,
  })

t.test('four worker threads use the package side by side', async (t) => {
  const { path } = await makeNamespace(t)
  const workers = Array.from({ length: 4 }, () => startWorker(path, false))
  const expected = (await run('ip', '-j', 'address', 'show', 'lo')).includes('::1') ? 4 : 3
  const answers = await Promise.all(
    workers.map(async (worker) => {
      const [[message], [code]] = (await Promise.all([
        once(worker, 'message'),
        once(worker, 'exit'),
      ])) as [unknown[], unknown[]]
      t.equal(code, 0, 'it ends by itself')
      return message
    }),
  )
  for (const answer of answers) {
    t.match(answer, {
      addresses: expected,
      forwarding: '0',
      ...(!hasIpvs && { code: 'ERR_IPVS_NOT_AVAILABLE' }),
    })
  }
})

t.test('worker threads that are terminated in the middle of calls do no harm', async (t) => {
  const { path } = await makeNamespace(t)
  const before = descriptors()
  for (let n = 0; n < 50; ++n) {
    const worker = startWorker(path, true)
    await once(worker, 'message')
    await new Promise((resolve) => setTimeout(resolve, n % 7))
    await worker.terminate()
  }
  t.ok(await areAllInOwnNamespace())
  t.ok((await host.listAddresses('lo')).length > 0, 'the main thread goes on')
  t.ok(descriptors() <= before + 2, `${before} descriptors before, ${descriptors()} after`)
})

t.test('handles that were forgotten without being closed are given back', async (t) => {
  const { path } = await makeNamespace(t)
  const script = `
    import { readdirSync } from 'node:fs'
    import { openHost, openIpvs } from 'ipvs-netlink'
    const netns = process.argv[1]
    const count = () => readdirSync('/proc/self/fd').length
    const before = count()
    let most = 0
    for (let n = 0; n < 200; ++n) {
      const [host, table] = await Promise.all([openHost({ netns }), openIpvs({ netns })])
      if (n % 2 === 0) {
        await Promise.all([
          table.clear().catch(() => {}),
          table.info().catch(() => {}),
          host.listAddresses(),
          host.setSysctl('net.ipv4.conf.lo.tag', n),
        ])
      }
      most = Math.max(most, count() - before)
    }
    for (let n = 0; n < 10; ++n) { globalThis.gc(); await new Promise((done) => setTimeout(done, 10)) }
    console.log(most > 20, count() - before < 5)
  `
  t.equal(
    await run(process.execPath, '--expose-gc', '--input-type=module', '-e', script, path),
    'true true\n',
  )
})
