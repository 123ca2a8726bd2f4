// The table of IPVS's settings against what this kernel really has, and the doors of /proc/sys.

import { mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'

import t from 'tap'
import { openHost } from 'ipvs-netlink'
import { ipvsSettingTable, kernelName } from '#lib/settings'

import { loadSchedulersWithSettings, makeBed, refusal, run, unloadIpvs } from './bed.js'

const [major = 0, minor = 0] = release().split('.').map(Number)
const isSince = (version: string): boolean => {
  const [, first, second] = /^Linux (\d+)\.(\d+)$/.exec(version) ?? []
  return major > Number(first) || (major === Number(first) && minor >= Number(second))
}

t.test('the first call loads IPVS', async (t) => {
  await unloadIpvs()
  const { host } = await makeBed(t)
  t.equal((await host.ipvsSettings()).expireNodestConn, false)
})

t.test('the table has what the kernel has, and the reverse', async (t) => {
  const { host, inside } = await makeBed(t)
  const names = (await inside('ls', '/proc/sys/net/ipv4/vs')).trim().split('\n')
  const expected = Object.entries(ipvsSettingTable)
    .filter(([, { needs }]) => !/module|DEBUG/.test(needs))
    .filter(([, { needs }]) => !needs.startsWith('Linux') || isSince(needs))
    .map(([property]) => property)
  t.same(names.sort(), expected.map(kernelName).sort())
  const settings = await host.ipvsSettings()
  t.same(Object.keys(settings).sort(), expected.sort())
  // A new namespace begins with what the documentation calls the default.
  const processors = (
    await readFile('/proc/sys/net/ipv4/vs/est_cpulist', 'utf8').catch(() => '')
  ).trim()
  t.match(settings, {
    amDroprate: 10,
    amemthresh: 1024,
    backupOnly: false,
    cacheBypass: false,
    connReuseMode: 1,
    conntrack: false,
    dropEntry: 0,
    dropPacket: 0,
    expireNodestConn: false,
    expireQuiescentTemplate: false,
    ignoreTunneled: false,
    natIcmpSend: false,
    pmtuDisc: true,
    runEstimation: true,
    scheduleIcmp: false,
    secureTcp: 0,
    sloppySctp: false,
    sloppyTcp: false,
    snatReroute: true,
    syncPersistMode: 0,
    syncPorts: 1,
    syncRefreshPeriod: 0,
    syncRetries: 0,
    syncSockSize: 0,
    syncThreshold: [3, 50],
    syncVersion: 1,
    ...(isSince('Linux 6.2') && { estNice: 0, estCpulist: processors }),
    ...(isSince('Linux 7.2') && { connLfactor: -2, svcLfactor: -2, connMax: 2 ** 30 }),
  })
})

/** Where the ranges of the table end, found by asking it. */
const ends = [-20, -8, 0, 1, 3, 8, 12, 19, 64, 2_147_483, 2 ** 30, 2 ** 31 - 1, 2 ** 53 - 1]

type Value = number | boolean | undefined

const endsOf = (property: string): readonly [Value, Value] | undefined => {
  const { take, parse } = ipvsSettingTable[property as keyof typeof ipvsSettingTable]
  if (typeof parse('1') === 'boolean') return [false, true]
  if (typeof parse('1') !== 'number') return undefined
  const allowed = ends.filter((value) => {
    try {
      return take(value, '') === value
    } catch {
      return false
    }
  })
  return [allowed[0], allowed.at(-1)]
}

t.test('the ends of every range are taken as they are, and seen by sysctl(8)', async (t) => {
  const { host, inside } = await makeBed(t)
  const present = Object.keys(await host.ipvsSettings())
  const numeric = present.filter((property) => endsOf(property))
  t.ok(numeric.length >= 25)
  for (const end of [1, 0, 1] as const) {
    const changes = Object.fromEntries(numeric.map((each) => [each, endsOf(each)?.[end]]))
    t.match(await host.setIpvsSettings(changes), changes)
    const seen = await inside('sysctl', '-a', '-r', '^net\\.ipv4\\.vs\\.')
    for (const [property, value] of Object.entries(changes)) {
      const line = `net.ipv4.vs.${kernelName(property)} = ${Number(value)}\n`
      t.ok(seen.includes(line), line.trim())
    }
  }
  await host.setIpvsSettings({ syncThreshold: [0, 0] })
  const after = await host.setIpvsSettings({ syncThreshold: [7, 70], conntrack: true })
  t.match(after, { syncThreshold: [7, 70], conntrack: true })
  t.equal(await inside('sysctl', '-n', 'net.ipv4.vs.sync_threshold'), '7\t70\n')
})

t.test('what is beyond the table the kernel refuses too, where it checks', async (t) => {
  const { host } = await makeBed(t)
  const present = await host.ipvsSettings()
  const beyond = {
    connLfactor: [-9, 9],
    svcLfactor: [-9, 9],
    connMax: [-1, 2 ** 30 + 1],
    dropEntry: [-1, 4],
    dropPacket: [-1, 4],
    secureTcp: [-1, 4],
    estNice: [-21, 20],
    syncPorts: [0, 3],
    syncRetries: [-1, 4],
    syncVersion: [-1, 2],
    syncQlenMax: [-1],
    amDroprate: [2 ** 31],
    syncSockSize: [2 ** 31],
  }
  for (const [property, values] of Object.entries(beyond)) {
    if (!(property in present)) continue
    for (const value of values) {
      const name = `net.ipv4.vs.${kernelName(property)}`
      await t.rejects(host.setSysctl(name, value), refusal('ERR_HOST_REFUSED'), `${name}=${value}`)
    }
  }
})

t.test('settings of estimators, which older kernels lack', async (t) => {
  const { host, inside } = await makeBed(t)
  if (!isSince('Linux 6.2')) {
    const before = await inside('sysctl', '-a', '-r', 'ipv4.vs')
    await t.rejects(host.setIpvsSettings({ sloppyTcp: true, estNice: 5 }), {
      code: 'ERR_HOST_NO_SYSCTL',
      message: /net\.ipv4\.vs\.est_nice: this kernel, 6\.1.*needs Linux 6\.2.*Nothing was changed/,
    })
    t.equal(await inside('sysctl', '-a', '-r', 'ipv4.vs'), before)
    return
  }
  t.equal((await host.setIpvsSettings({ estCpulist: '0' })).estCpulist, '0')
  t.equal((await host.setIpvsSettings({ estCpulist: '' })).estCpulist, '')
  t.equal((await host.setIpvsSettings({ estCpulist: '0-N:1/2' })).estCpulist?.startsWith('0'), true)
  // A processor that is not there: the settings before it are put back.
  await t.rejects(
    host.setIpvsSettings({ sloppyTcp: true, estCpulist: '9999' }),
    refusal('ERR_HOST_REFUSED'),
  )
  t.equal(await inside('sysctl', '-n', 'net.ipv4.vs.sloppy_tcp'), '0\n')
})

t.test('settings of a scheduler, while it is loaded', async (t) => {
  const { host, ipvs } = await makeBed(t)
  const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
  await loadSchedulersWithSettings()
  await ipvs.addService({ ...service, scheduler: 'lblc' })
  await ipvs.addService({ ...service, port: 81, scheduler: 'lblcr' })
  t.match(await host.ipvsSettings(), { lblcExpiration: 86400, lblcrExpiration: 86400 })
  const after = await host.setIpvsSettings({ lblcExpiration: 60, lblcr_expiration: 2_147_483 })
  t.match(after, { lblcExpiration: 60, lblcrExpiration: 2_147_483 })
})

t.test('names below vs that are not known go by the kernel', async (t) => {
  const { host } = await makeBed(t)
  await t.rejects(host.setIpvsSettings({ not_yet_there: 1 }), refusal('ERR_HOST_NO_SYSCTL'))
  t.equal((await host.setIpvsSettings({ sync_threshold: '4 40' })).syncThreshold[1], 40)
  t.equal((await host.setIpvsSettings({ expire_nodest_conn: true })).expireNodestConn, true)
})

t.test('what is mounted over /proc/sys/net is not followed out of it', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sysctl-'))
  const secret = join(folder, 'secret')
  await writeFile(secret, 'untouched')
  const script = join(folder, 'look.mjs')
  await writeFile(
    script,
    `import { openHost } from ${JSON.stringify(import.meta.resolve('ipvs-netlink'))}
    const host = await openHost()
    for (const name of ['net.link', 'net.folder.secret', 'net.file', 'net.core.file', 'net.core.link']) {
      const read = await host.getSysctl(name).then((text) => text, (error) => error.code)
      const write = await host.setSysctl(name, 'evil').then(() => 'ok', (error) => error.code)
      console.log(name, read, write)
    }
    await host.close()`,
  )
  const stdout = await run(
    'unshare',
    '-m',
    'sh',
    '-ec',
    `mount -t tmpfs none /proc/sys/net
    ln -s ${secret} /proc/sys/net/link
    ln -s ${folder} /proc/sys/net/folder
    cp ${secret} /proc/sys/net/file
    mkdir /proc/sys/net/core
    cp ${secret} /proc/sys/net/core/file
    ln -s /proc/sys/kernel/hostname /proc/sys/net/core/link
    exec ${process.execPath} ${script}`,
  )
  t.same(
    stdout.trim().split('\n'),
    ['net.link', 'net.folder.secret', 'net.file', 'net.core.file', 'net.core.link'].map(
      (name) => `${name} ERR_HOST_NO_SYSCTL ERR_HOST_NO_SYSCTL`,
    ),
  )
  t.equal(await readFile(secret, 'utf8'), 'untouched')
})

t.test('persist writes the default file, and sysctl(8) takes it', async (t) => {
  const { host } = await makeBed(t)
  const other = await makeBed(t)
  await host.setIpvsSettings({ conntrack: true, syncThreshold: [5, 55], expireNodestConn: false })
  await host.ipForward(true)
  const { path } = await host.persist()
  t.equal(path, '/etc/sysctl.d/90-ipvs-netlink.conf')
  await other.inside('sysctl', '-q', '-p', path)
  t.match(await other.host.ipvsSettings(), { conntrack: true, syncThreshold: [5, 55] })
  t.equal(await other.host.ipForward(), true)
  t.match(await readFile(path, 'utf8'), /\nnet\.ipv4\.vs\.expire_nodest_conn = 0\n/)
  t.notOk((await readdir('/etc/sysctl.d')).some((name) => name.endsWith('.tmp')))
})

t.test('a handle on the own namespace reads its own', async (t) => {
  const host = await openHost()
  t.teardown(() => host.close())
  const seen = await run('sysctl', '-n', 'net.ipv4.vs.conn_reuse_mode')
  t.equal((await host.ipvsSettings()).connReuseMode, Number(seen))
})
