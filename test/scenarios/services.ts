import t from 'tap'
import type { ServiceConfig } from 'ipvs-netlink'

import { refusal, tcp, udp6 } from './scene.js'
import type { MakeScene } from './scene.js'

/** What we write, and what the kernel's reference tool reads. */
const written: readonly (readonly [ServiceConfig, string])[] = [
  [tcp, '-A -t 10.0.0.1:80 -s wlc'],
  [{ ...tcp, port: 81, scheduler: 'rr' }, '-A -t 10.0.0.1:81 -s rr'],
  [{ ...udp6, scheduler: 'wrr' }, '-A -u [2001:db8::1]:53 -s wrr'],
  [
    { protocol: 'sctp', address: '10.0.0.1', port: 65535, scheduler: 'lc' },
    '-A --sctp-service 10.0.0.1:65535 -s lc',
  ],
  [{ fwmark: 1, scheduler: 'sed' }, '-A -f 1 -s sed'],
  [{ fwmark: 2147483647, family: 'ipv6', scheduler: 'nq' }, '-A -f 2147483647 -6 -s nq'],
  [{ ...tcp, port: 82, persistence: {} }, '-A -t 10.0.0.1:82 -s wlc -p 360'],
  [
    { ...tcp, port: 0, persistence: { timeout: 10, prefixLength: 24 } },
    '-A -t 10.0.0.1:0 -s wlc -p 10 -M 255.255.255.0',
  ],
  [
    { ...udp6, port: 54, persistence: { timeout: 2_678_400, prefixLength: 64 } },
    '-A -u [2001:db8::1]:54 -s wlc -p 2678400 -M 64',
  ],
  [
    { ...tcp, port: 83, scheduler: 'sh', schedulerFlags: ['sh-port', 'sh-fallback'] },
    '-A -t 10.0.0.1:83 -s sh -b sh-fallback,sh-port',
  ],
  [
    { ...tcp, port: 84, scheduler: 'mh', schedulerFlags: ['mh-port'] },
    '-A -t 10.0.0.1:84 -s mh -b mh-port',
  ],
  [
    { ...tcp, port: 85, scheduler: 'wrr', schedulerFlags: ['flag-1', 'flag-2', 'flag-3'] },
    '-A -t 10.0.0.1:85 -s wrr -b flag-1,flag-2,flag-3',
  ],
  [{ ...udp6, port: 55, onePacket: true, scheduler: 'rr' }, '-A -u [2001:db8::1]:55 -s rr -o'],
  [
    { protocol: 'udp', address: '10.0.0.1', port: 5060, persistence: { engine: 'sip' } },
    '-A -u 10.0.0.1:5060 -s wlc -p 360 --pe sip',
  ],
]

export const services = (makeScene: MakeScene): void => {
  t.test('what is added is what ipvsadm reads, and what we read can be written back', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    for (const [config] of written) await ipvs.addService(config)
    const expected = written.map(([, rule]) => rule).sort()
    t.same((await rules()).sort(), expected)

    const services = await ipvs.listServices()
    t.equal(services.length, written.length)
    await ipvs.clear()
    t.same(await rules(), [])
    for (const service of services) await ipvs.addService(service)
    t.same((await rules()).sort(), expected)
  })

  t.test('editService replaces everything that is not the identity', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const full = { ...tcp, scheduler: 'sh', schedulerFlags: ['sh-port'], persistence: {} } as const
    await ipvs.addService(full)
    await ipvs.editService({ ...tcp, scheduler: 'wrr' })
    t.same(await rules(), ['-A -t 10.0.0.1:80 -s wrr'])
    await ipvs.editService(full)
    t.same(await rules(), ['-A -t 10.0.0.1:80 -s sh -p 360 -b sh-port'])
  })

  t.test('a service goes with its destinations', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    await ipvs.addService(tcp)
    await ipvs.addDestination(tcp, { address: '127.0.0.2' })
    await ipvs.deleteService(tcp)
    t.same(await rules(), [])
    t.same(await ipvs.snapshot(), [])
    t.same(await ipvs.listServices(), [])
  })

  t.test('firewall marks up to 2^32-1, and the same mark for both families', async (t) => {
    const { ipvs } = await makeScene(t)
    await ipvs.addService({ fwmark: 4_294_967_295 })
    await ipvs.addService({ fwmark: 4_294_967_295, family: 'ipv6' })
    const families = (await ipvs.listServices()).filter((service) => 'fwmark' in service)
    t.same(families.map(({ family }) => family).sort(), ['ipv4', 'ipv6'])
    for (const service of families) t.match(service, { fwmark: 4_294_967_295 })
  })

  t.test('counters as bigint', async (t) => {
    const { ipvs } = await makeScene(t)
    await ipvs.addService(tcp)
    const { stats } = await ipvs.getService(tcp, { bigint: true })
    t.equal(stats.connections, 0n)
    t.equal(stats.connectionsPerSecond, 0)
    t.equal((await ipvs.listServices({ bigint: true }))[0]?.stats.bytesIn, 0n)
    t.equal((await ipvs.snapshot({ bigint: true }))[0]?.stats.bytesOut, 0n)
  })

  t.test('what the kernel refuses has a code of its own', async (t) => {
    const { ipvs } = await makeScene(t)
    await ipvs.addService(tcp)
    const absent = { ...tcp, port: 8080 }
    await t.rejects(
      ipvs.addService(tcp),
      refusal('ERR_IPVS_SERVICE_EXISTS', { errno: -17, command: 'NEW_SERVICE', service: tcp }),
    )
    await t.rejects(ipvs.editService(absent), refusal('ERR_IPVS_NO_SERVICE', { errno: -3 }))
    await t.rejects(ipvs.deleteService(absent), refusal('ERR_IPVS_NO_SERVICE'))
    await t.rejects(ipvs.getService(absent), refusal('ERR_IPVS_NO_SERVICE'))
    await t.rejects(
      ipvs.addService({ ...absent, scheduler: 'nosuch' }),
      refusal('ERR_IPVS_NO_SCHEDULER', { message: /ip_vs_nosuch/ }),
    )
    await t.rejects(
      ipvs.editService({ ...tcp, scheduler: 'nosuch' }),
      refusal('ERR_IPVS_NO_SCHEDULER'),
    )
    await t.rejects(
      ipvs.addService({ ...absent, scheduler: 'rr', persistence: { engine: 'nosuch' } }),
      refusal('ERR_IPVS_NO_PERSISTENCE_ENGINE', { message: /ip_vs_pe_nosuch/ }),
    )
    await t.rejects(
      ipvs.addService({ ...absent, scheduler: 'nosuch', persistence: { engine: 'nosuch' } }),
      refusal('ERR_IPVS_NO_SCHEDULER'),
    )
    t.equal((await ipvs.listServices()).length, 1)
  })

  t.test('info', async (t) => {
    const { ipvs } = await makeScene(t)
    await ipvs.addService(tcp)
    const { version, connectionTableSize } = await ipvs.info()
    t.equal(version, '1.2.1')
    t.ok(connectionTableSize >= 256)
  })
}
