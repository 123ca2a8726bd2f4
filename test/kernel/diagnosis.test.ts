// What diagnose() says of real kernels.

import { release } from 'node:os'

import t from 'tap'
import type { Diagnosis } from 'ipvs-netlink'

import { loadSchedulersWithSettings, makeBed, run, tcp, unloadIpvs } from './bed.js'

const find = ({ findings }: Diagnosis, code: string): { severity?: string; message?: string } =>
  findings.find((each) => each.code === code) ?? {}

t.test('before IPVS is loaded, and after', async (t) => {
  await unloadIpvs()
  const { host, ipvs } = await makeBed(t)
  const profile = { role: 'director', forwarding: 'dr', vip: tcp.address } as const
  const before = await host.diagnose(profile)
  t.equal(find(before, 'IPVS').severity, 'info')
  t.notMatch(await run('cat', '/proc/modules'), /^ip_vs /m, 'looking loads nothing')
  t.equal(find(before, 'VIP').severity, 'error')
  const schedulers = /: (.*?)[;.]/.exec(find(before, 'SCHEDULERS').message ?? '')?.[1]?.split(', ')
  t.ok((schedulers?.length ?? 0) >= 13)
  t.equal(schedulers?.includes('twos'), !release().startsWith('6.1.'))
  // What it says can be loaded is, and nothing else.
  await loadSchedulersWithSettings()
  for (const [port, scheduler] of (schedulers ?? []).entries()) {
    await ipvs.addService({ ...tcp, port: port + 1, scheduler })
  }
  t.equal(find(before, 'PERSISTENCE_ENGINES').severity, 'ok')
  t.equal(find(before, 'KERNEL_FEATURES').severity, 'ok')
  t.equal(find(before, 'PRIVILEGE').severity, 'ok')
  t.equal(find(before, 'PROC_SYS').severity, 'ok')
  await host.addVip({ address: tcp.address })
  const after = await host.diagnose(profile)
  t.match(find(after, 'IPVS'), { severity: 'ok', message: /IP Virtual Server version 1\.2\.1/ })
  t.equal(find(after, 'VIP').severity, 'ok')
  t.equal(after.ok, true, after.text)
})

t.test('settings that contradict each other', async (t) => {
  const { host } = await makeBed(t)
  const profile = { role: 'director', forwarding: 'dr' } as const
  await host.setIpvsSettings({ dropPacket: 3, amDroprate: 1, runEstimation: false, syncRetries: 2 })
  const wrong = await host.diagnose(profile)
  t.equal(find(wrong, 'DROP_PACKET').severity, 'error')
  t.equal(find(wrong, 'ESTIMATION').severity, 'warning')
  t.equal(find(wrong, 'SYNC_RETRIES').severity, 'warning')
  t.equal(wrong.ok, false)
  await host.setIpvsSettings({
    dropPacket: 0,
    amDroprate: 10,
    runEstimation: true,
    syncRefreshPeriod: 8,
    connReuseMode: 0,
    syncPersistMode: 1,
  })
  const better = await host.diagnose(profile)
  t.equal(find(better, 'DROP_PACKET').severity, undefined)
  t.equal(find(better, 'ESTIMATION').severity, 'ok')
  t.equal(find(better, 'SYNC_RETRIES').severity, undefined)
  t.equal(find(better, 'CONN_REUSE_MODE').severity, 'warning')
  t.equal(find(better, 'SYNC_PERSIST_MODE').severity, 'warning')
  t.equal(better.ok, true)
})

t.test('a tunnel of a real server', async (t) => {
  const { host, inside } = await makeBed(t)
  await inside('modprobe', 'ipip')
  const profile = { role: 'realServer', forwarding: 'tun', device: 'lo' } as const
  const severities = async (): Promise<(string | undefined)[]> => {
    const { findings } = await host.diagnose(profile)
    const about = findings.filter(({ message }) => message.startsWith('tunl0'))
    return about.map(({ code, severity }) => `${code} ${severity}`).sort()
  }
  await inside('sysctl', '-qw', 'net.ipv4.conf.tunl0.rp_filter=1')
  t.same(await severities(), ['RP_FILTER error', 'TUNNEL error'], 'it is down')
  await inside('ip', 'link', 'set', 'tunl0', 'up')
  t.same(await severities(), ['RP_FILTER error', 'TUNNEL ok'])
  await inside('sysctl', '-qw', 'net.ipv4.conf.tunl0.rp_filter=2')
  t.same(await severities(), ['RP_FILTER error', 'TUNNEL ok'], 'it has no address')
  await inside('sysctl', '-qw', 'net.ipv4.conf.tunl0.rp_filter=0')
  t.same(await severities(), ['RP_FILTER ok', 'TUNNEL ok'])
})

t.test("what fits into a director's tunnels, as the kernel reckons it", async (t) => {
  const { host, inside } = await makeBed(t)
  await inside('modprobe', 'fou')
  await inside('ip', 'link', 'add', 'eth0', 'mtu', '1500', 'type', 'dummy')
  await inside('ip', 'link', 'set', 'eth0', 'up')
  const ends = ['local', '10.0.0.1', 'remote', '10.0.0.2', 'dev', 'eth0']
  const gue = ['encap', 'gue', 'encap-sport', 'auto', 'encap-dport', '6080']
  for (const [type, ...options] of [
    ['ipip', ...ends],
    ['gre', ...ends],
    ['ipip', ...ends, ...gue],
  ] as const) {
    const tunnel = options.length > ends.length ? 'gue' : type
    await inside('ip', 'link', 'add', tunnel, 'type', type, ...options)
    const mtu = / mtu (\d+) /.exec(await inside('ip', 'link', 'show', 'dev', tunnel))?.[1]
    // The next would be the same tunnel to the kernel, which has no two of them.
    await inside('ip', 'link', 'delete', tunnel)
    const profile = { role: 'director', forwarding: 'tun', tunnel, device: 'eth0' } as const
    const narrow = find(await host.diagnose(profile), 'TUNNEL_MTU')
    t.equal(narrow.severity, 'warning')
    t.match(narrow.message, `at most ${mtu} bytes fit into ${tunnel} on eth0 (MTU 1500)`)
    await inside('ip', 'link', 'set', 'eth0', 'mtu', String(1500 + 1500 - Number(mtu)))
    t.match(find(await host.diagnose(profile), 'TUNNEL_MTU'), {
      severity: 'ok',
      message: 'Packets of 1500 bytes fit',
    })
    await inside('ip', 'link', 'set', 'eth0', 'mtu', '1500')
  }
})

t.test('without privileges, in a user namespace, and with a read-only /proc/sys', async (t) => {
  const script = `
    import { openHost } from ${JSON.stringify(import.meta.resolve('ipvs-netlink'))}
    const look = async (who) => {
      const host = await openHost()
      const { findings } = await host.diagnose({ role: 'director', forwarding: 'nat' })
      for (const { code, severity } of findings) console.log(who, code, severity)
      await host.close()
    }
    await look('root')
    if (process.argv[1] === 'become nobody') {
      process.setgroups([])
      process.setgid(65534)
      process.setuid(65534)
      await look('nobody')
    }`
  const look = async (...how: string[]): Promise<string[]> => (await run(...how)).trim().split('\n')
  const node = [process.execPath, '--input-type=module', '-e', script]
  await run('modprobe', 'ip_vs')
  const readOnly =
    'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$@"'
  // One process, as each takes seconds to start in an emulated machine.
  const args = ['-m', 'sh', '-ec', readOnly, 'sh', ...node, 'become nobody']
  const found = await look('unshare', ...args)
  for (const line of [
    'root PRIVILEGE ok',
    'root PROC_SYS warning',
    'nobody PRIVILEGE error',
    'nobody IPVS ok',
    'nobody IP_FORWARD error',
  ]) {
    t.ok(found.includes(line), line)
  }
  t.ok((await look('unshare', '-U', '-r', '-n', ...node)).includes('root PRIVILEGE error'))
})
