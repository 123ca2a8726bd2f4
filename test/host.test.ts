// The order of host calls, and what giving them up does, in network namespaces of this machine.

import { execFileSync } from 'node:child_process'

import t from 'tap'
import type { Test } from 'tap'
import { openHost } from 'ipvs-netlink'
import type { Host } from 'ipvs-netlink'

let count = 0

const makeBed = async (t: Test): Promise<{ host: Host; inside: (...args: string[]) => string }> => {
  const name = `host-${process.pid}-${++count}`
  execFileSync('ip', ['netns', 'add', name])
  const inside = (...args: string[]): string =>
    execFileSync('ip', ['netns', 'exec', name, ...args], { encoding: 'utf8' })
  inside('ip', 'link', 'set', 'lo', 'up')
  const host = await openHost({ netns: `/run/netns/${name}` })
  t.teardown(async () => {
    await host.close()
    execFileSync('ip', ['netns', 'delete', name])
  })
  return { host, inside }
}

t.test('calls of one handle are carried out in their order', async (t) => {
  const { host } = await makeBed(t)
  const name = 'net.ipv4.conf.lo.arp_ignore'
  for (let round = 0; round < 50; ++round) {
    await Promise.all([1, 2, 8].map((value) => host.setSysctl(name, value)))
    t.equal(await host.getSysctl(name), '8')
  }
  const vips = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4']
  const added = await Promise.all(vips.map((address) => host.addVip({ address })))
  t.same(
    added.map(({ label }) => label),
    ['lo:0', 'lo:1', 'lo:2', 'lo:3'],
  )
})

t.test('what was given up before it was sent is not done', async (t) => {
  const { host, inside } = await makeBed(t)
  const controller = new AbortController()
  const call = host.addVip({ address: '10.0.0.1' }, { signal: controller.signal })
  controller.abort()
  await t.rejects(call, { name: 'AbortError', message: /before it was sent/ })
  await host.listAddresses()
  t.notMatch(inside('ip', '-o', 'address'), /10\.0\.0\.1/)
})

t.test('a preparation that is given up puts back what it changed', async (t) => {
  const { host, inside } = await makeBed(t)
  const settings = (): string => inside('sysctl', '-a', '-r', 'arp_(ignore|announce)')
  const before = settings()
  for (const delay of [0, 1, 2, 4]) {
    const controller = new AbortController()
    const profile = { forwarding: 'dr', vip: '10.0.0.1', device: 'lo' } as const
    const call = host.prepareRealServer(profile, { signal: controller.signal })
    setTimeout(() => controller.abort(), delay)
    const outcome = await call.then(
      (preparation) => preparation.undo(),
      (error: unknown) => error as Error,
    )
    // Whether it came too late or in time: everything is as it was.
    if (outcome instanceof Error) t.equal(outcome.name, 'AbortError')
    t.equal(settings(), before)
    t.notMatch(inside('ip', '-o', 'address'), /10\.0\.0\.1/)
  }
})

t.test('an undo that failed can be tried again', async (t) => {
  const { host, inside } = await makeBed(t)
  inside('ip', 'link', 'add', 'a0', 'type', 'veth', 'peer', 'name', 'a1')
  const profile = { forwarding: 'dr', vip: '10.0.0.1', device: 'a0' } as const
  const preparation = await host.prepareRealServer(profile)
  inside('ip', 'link', 'delete', 'a0')
  const { restored, left } = await preparation.undo()
  t.match(left, [{ name: /a0\.arp_announce/ }, { name: /a0\.arp_ignore/ }])
  t.match(restored, [{ kind: 'address' }, { name: /all/ }, { name: /all/ }])
  t.same(await preparation.undo(), { restored, left })
})

t.test('a list is emptied by an empty text', async (t) => {
  const { host, inside } = await makeBed(t)
  const name = 'net.ipv4.ip_local_reserved_ports'
  await host.setSysctl(name, '8080,9000-9010')
  t.equal(inside('sysctl', '-n', name), '8080,9000-9010\n')
  await host.setSysctl(name, '')
  t.equal(await host.getSysctl(name), '')
})
