// What diagnose() says of network namespaces that are set up rightly and wrongly.

import t from 'tap'
import type { Test } from 'tap'
import type { Diagnosis, DiagnosisProfile, Host } from 'ipvs-netlink'
import { isKernelSince } from '#lib/diagnosis/facts'
import { checkEngines, checkFeatures, checkIpvs } from '#lib/diagnosis/kernel'
import { checkPrivilege, checkProcSys, checkSchedulers } from '#lib/diagnosis/kernel'
import { makeHost } from './fixtures/namespace.js'

interface Bed {
  readonly host: Host
  readonly inside: (...args: string[]) => string
  /** Severity of what is said about a code; the worst comes first. */
  readonly severities: (profile: DiagnosisProfile, code: string) => Promise<string[]>
}

/** A namespace with eth0, 10.0.0.2/24, and a default route by 10.0.0.1. */
const makeBed = async (t: Test): Promise<Bed> => {
  const { inside, host } = await makeHost(t)
  inside('ip', 'link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1')
  inside('ip', 'link', 'set', 'eth0', 'up')
  inside('ip', 'link', 'set', 'eth1', 'up')
  inside('ip', 'address', 'add', '10.0.0.2/24', 'dev', 'eth0')
  inside('ip', 'route', 'add', 'default', 'via', '10.0.0.1')
  for (const device of ['all', 'default', 'lo', 'eth0', 'eth1']) {
    inside('sysctl', '-qw', `net.ipv4.conf.${device}.rp_filter=0`)
  }
  const severities = async (profile: DiagnosisProfile, code: string): Promise<string[]> => {
    const { findings } = await host.diagnose(profile)
    return findings.filter((each) => each.code === code).map(({ severity }) => severity)
  }
  return { host, inside, severities }
}

const isOrdered = ({ findings }: Diagnosis): boolean => {
  const order = ['error', 'warning', 'info', 'ok']
  const ranks = findings.map(({ severity }) => order.indexOf(severity))
  return ranks.every((rank, index) => index === 0 || rank >= (ranks[index - 1] ?? 0))
}

t.test('a real server of dr, before and after it was prepared', async (t) => {
  const { host, severities } = await makeBed(t)
  const vip = '10.0.0.100'
  const profile = { role: 'realServer', forwarding: 'dr', vip, device: 'eth0' } as const
  const before = await host.diagnose(profile)
  t.equal(before.ok, false)
  t.same(
    before.findings.filter(({ severity }) => severity === 'error').map(({ code }) => code),
    ['ARP', 'VIP'],
  )
  t.match(
    before.text,
    /^error {3}ARP: eth0 does not hide .*\n {8}cure: host\.suppressArp\('eth0'\)/,
  )
  t.ok(isOrdered(before))
  for (const { severity, cure } of before.findings) {
    t.equal(cure !== undefined, severity === 'error' || severity === 'warning')
  }
  await using preparation = await host.prepareRealServer({ forwarding: 'dr', vip, device: 'eth0' })
  t.ok(preparation.changed.length > 0)
  const after = await host.diagnose(profile)
  t.same(
    after.findings.filter(({ severity }) => severity !== 'ok'),
    [],
  )
  t.equal(after.ok, true)
  t.same(await severities({ role: 'realServer', forwarding: 'dr' }, 'ARP'), ['ok'])
})

t.test('the virtual address in the wrong place', async (t) => {
  const { inside, severities } = await makeBed(t)
  const vip = '10.0.0.100'
  const at = (
    forwarding: 'nat' | 'dr' | 'tun',
    role: 'director' | 'realServer',
  ): Promise<string[]> => severities({ role, forwarding, vip, device: 'eth0' }, 'VIP')
  t.same(await at('nat', 'realServer'), ['ok'])
  t.same(await at('nat', 'director'), ['error'])
  inside('ip', 'address', 'add', `${vip}/24`, 'dev', 'eth0')
  t.same(await at('dr', 'realServer'), ['error'])
  t.same(await at('nat', 'realServer'), ['error'])
  t.same(await at('dr', 'director'), ['ok'])
  inside('ip', 'address', 'delete', `${vip}/24`, 'dev', 'eth0')
  inside('ip', 'address', 'add', `${vip}/24`, 'dev', 'lo')
  t.same(await at('tun', 'realServer'), ['error'])
  t.same(await at('dr', 'director'), ['ok'])
  inside('sysctl', '-qw', 'net.ipv4.conf.all.arp_ignore=1')
  t.same(await at('dr', 'director'), ['error'], 'nobody finds it')
})

t.test('IPv6 addresses are compared in one form', async (t) => {
  const { inside, severities } = await makeBed(t)
  const vip = '2001:DB8:0::100'
  inside('ip', 'address', 'add', '2001:db8::100/128', 'dev', 'lo')
  t.same(await severities({ role: 'realServer', forwarding: 'dr', vip, device: 'eth0' }, 'VIP'), [
    'ok',
  ])
  t.same(await severities({ role: 'realServer', forwarding: 'dr', vip, device: 'eth0' }, 'ARP'), [])
  inside('sysctl', '-qw', 'net.ipv6.conf.all.forwarding=0')
  t.match(await severities({ role: 'director', forwarding: 'nat', vip }, 'IP_FORWARD'), ['error'])
})

t.test('forwarding and redirects of a nat director', async (t) => {
  const { host, inside, severities } = await makeBed(t)
  const profile = { role: 'director', forwarding: 'nat' } as const
  await host.ipForward(false)
  t.same(await severities(profile, 'IP_FORWARD'), ['error'])
  await host.ipForward(true)
  t.same(await severities(profile, 'IP_FORWARD'), ['ok'])
  inside('sysctl', '-qw', 'net.ipv4.conf.eth0.forwarding=0')
  t.same(await severities(profile, 'IP_FORWARD'), ['error', 'ok'])
  t.same(await severities({ role: 'director', forwarding: 'dr' }, 'IP_FORWARD'), ['info'])
  t.same(await severities(profile, 'SEND_REDIRECTS'), ['warning'])
  inside('sysctl', '-qw', 'net.ipv4.conf.eth0.send_redirects=0')
  t.same(await severities(profile, 'SEND_REDIRECTS'), ['warning'], 'all counts too')
  inside('sysctl', '-qw', 'net.ipv4.conf.all.send_redirects=0')
  t.same(await severities(profile, 'SEND_REDIRECTS'), ['ok'])
})

t.test('the way back', async (t) => {
  const { inside, severities } = await makeBed(t)
  const back = (profile: Partial<DiagnosisProfile>): Promise<string[]> =>
    severities({ role: 'realServer', forwarding: 'nat', ...profile }, 'RETURN_PATH')
  t.same(await back({}), ['info'])
  t.same(await back({ director: '10.0.0.1' }), ['ok'])
  t.same(await back({ director: '10.0.0.9' }), ['error'])
  t.same(await back({ forwarding: 'dr', director: '10.0.0.1' }), ['warning'])
  t.same(await back({ forwarding: 'dr', director: '10.0.0.9' }), ['ok'])
  t.same(await back({ vip: '2001:db8::1' }), ['warning'])
  inside('ip', '-6', 'address', 'add', '2001:db8::2/64', 'dev', 'eth0', 'nodad')
  inside('ip', '-6', 'route', 'add', 'default', 'via', '2001:db8::9')
  t.same(await back({ vip: '2001:db8::1', director: '2001:db8:0::9' }), ['ok'])
  inside('ip', 'route', 'delete', 'default')
  t.same(await back({ forwarding: 'dr' }), ['warning'])
})

t.test('filters by the way back', async (t) => {
  const { inside, severities } = await makeBed(t)
  const profile = { role: 'realServer', forwarding: 'dr', device: ['eth0', 'eth1'] } as const
  t.same(await severities(profile, 'RP_FILTER'), ['ok', 'ok'])
  inside('sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=1')
  t.same(await severities(profile, 'RP_FILTER'), ['warning', 'ok'], 'the larger of both')
  inside('sysctl', '-qw', 'net.ipv4.conf.eth1.rp_filter=2')
  t.same(await severities(profile, 'RP_FILTER'), ['ok', 'ok'])
})

t.test('tunnels: what fits, and what takes packets out', async (t) => {
  const { host, inside, severities } = await makeBed(t)
  const director = { role: 'director', forwarding: 'tun', device: 'eth0' } as const
  const said = async (tunnel: 'ipip' | 'gue' | 'gre'): Promise<string | undefined> => {
    const { findings } = await host.diagnose({ ...director, tunnel })
    return findings.find(({ code }) => code === 'TUNNEL_MTU')?.message
  }
  t.match(await said('ipip'), /at most 1480 bytes/)
  t.match(await said('gre'), /at most 1476 bytes/)
  t.match(await said('gue'), /at most 1468 bytes/)
  inside('ip', 'link', 'set', 'eth0', 'mtu', '1600')
  t.same(await severities(director, 'TUNNEL_MTU'), ['ok'])
  const realServer = { role: 'realServer', forwarding: 'tun', device: 'eth0' } as const
  t.same(await severities(realServer, 'TUNNEL_MTU'), [])
  t.ok((await severities(realServer, 'TUNNEL')).length > 0)
})

t.test('a device that is not there, and one that it finds itself', async (t) => {
  const { severities, host } = await makeBed(t)
  const profile = { role: 'realServer', forwarding: 'dr', device: ['nosuch', 'eth0'] } as const
  t.same(await severities(profile, 'DEVICE'), ['error'])
  const { findings } = await host.diagnose({ role: 'realServer', forwarding: 'dr' })
  t.match(
    findings.filter(({ code }) => code === 'ARP'),
    [{ message: /^eth0 / }],
  )
})

type Facts = Parameters<typeof checkIpvs>[0]

const facts = (changes: Partial<Facts>): Facts =>
  ({
    role: 'director',
    release: '6.12.1',
    loaded: new Set(),
    loadable: new Set(),
    capabilities: 0x1ffffffffffn,
    isInitialUserNamespace: true,
    isReadOnly: false,
    ...changes,
  }) as Facts

t.test('kernels that lack something', async (t) => {
  const severity = ([first]: readonly { severity: string }[]): string | undefined => first?.severity
  t.equal(severity(checkIpvs(facts({ ipvs: 'IP Virtual Server version 1.2.1 (size=4096)' }))), 'ok')
  t.equal(severity(checkIpvs(facts({ loadable: new Set(['ip_vs']) }))), 'info')
  t.equal(severity(checkIpvs(facts({ loaded: new Set(['ip_vs']), loadable: undefined }))), 'info')
  t.match(checkIpvs(facts({ loadable: undefined })), [{ severity: 'error', cure: /host/ }])
  t.match(checkIpvs(facts({})), [{ severity: 'error', cure: /Install/ }])
  t.equal(severity(checkSchedulers(facts({}))), 'error')
  t.match(checkSchedulers(facts({ loaded: new Set(['ip_vs_rr']) })), [
    { severity: 'warning', message: /: rr; not wrr, .*wlc/ },
  ])
  t.equal(severity(checkSchedulers(facts({ loadable: new Set(['ip_vs_wlc']) }))), 'ok')
  t.equal(severity(checkEngines(facts({}))), 'info')
  t.equal(severity(checkEngines(facts({ loadable: new Set(['ip_vs_pe_sip']) }))), 'ok')
  t.equal(severity(checkFeatures(facts({}))), 'ok')
  t.match(checkFeatures(facts({ release: '5.2.0-rc1' })), [{ severity: 'warning', message: /GRE/ }])
  t.equal(checkFeatures(facts({ release: '3.10.0' })).length, 4)
  t.equal(isKernelSince('10.0.0', '5.3'), true)
  t.equal(isKernelSince('5.3', '5.3'), true)
  t.equal(isKernelSince('5.2.99-amd64', '5.3'), false)
})

t.test('privileges that are missing', async (t) => {
  t.match(checkPrivilege(facts({ capabilities: 0n })), [{ severity: 'error' }])
  t.match(checkPrivilege(facts({ capabilities: 1n << 12n })), [{ severity: 'ok' }])
  t.match(checkPrivilege(facts({ capabilities: ~(1n << 12n) & 0xffffn })), [{ severity: 'error' }])
  t.match(checkPrivilege(facts({ capabilities: undefined })), [{ code: 'UNKNOWN' }])
  const child = { isInitialUserNamespace: false }
  t.match(checkPrivilege(facts(child)), [{ severity: 'error', message: /user namespace/ }])
  t.match(checkPrivilege(facts({ ...child, role: 'realServer' })), [{ severity: 'ok' }])
  t.match(checkProcSys(facts({ isReadOnly: true })), [{ severity: 'warning' }])
  t.match(checkProcSys(facts({})), [{ severity: 'ok' }])
})

t.test('profiles that are none', async (t) => {
  const { host } = await makeBed(t)
  const untyped = host.diagnose.bind(host) as (profile: unknown) => Promise<unknown>
  const right = { role: 'director', forwarding: 'nat' }
  for (const [changes, path] of [
    [{ role: 'router' }, 'profile.role'],
    [{ role: undefined }, 'profile.role'],
    [{ forwarding: 'local' }, 'profile.forwarding'],
    [{ forwarding: undefined }, 'profile.forwarding'],
    [{ vip: '10.0.0.256' }, 'profile.vip'],
    [{ vip: [] }, 'profile.vip'],
    [{ vip: ['10.0.0.1', '0.0.0.0'] }, 'profile.vip[1]'],
    [{ device: 'a/b' }, 'profile.device'],
    [{ device: '../all' }, 'profile.device'],
    [{ director: 'router' }, 'profile.director'],
    [{ tunnel: 'vxlan' }, 'profile.tunnel'],
    [{ vips: '10.0.0.1' }, 'profile.vips'],
  ] as const) {
    await t.rejects(untyped({ ...right, ...changes }), {
      code: /^ERR_INVALID_ARG/,
      message: new RegExp(`"${path.replaceAll(/[[\].]/g, '\\$&')}"`),
    })
  }
  await t.rejects(untyped(undefined), { code: 'ERR_INVALID_ARG_TYPE' })
})
