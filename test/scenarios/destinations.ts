import t from 'tap'
import type { DestinationConfig } from 'ipvs-netlink'

import { refusal, tcp, udp6 } from './scene.js'
import type { MakeScene } from './scene.js'

const mostNumber = 2 ** 31 - 1

const written: readonly (readonly [DestinationConfig, string])[] = [
  [{ address: '127.0.0.1' }, '-r 127.0.0.1:80 -g -w 1'],
  [{ address: '127.0.0.2', forwarding: 'nat', port: 8080, weight: 0 }, '-r 127.0.0.2:8080 -m -w 0'],
  [
    { address: '127.0.0.3', forwarding: 'dr', weight: mostNumber },
    `-r 127.0.0.3:80 -g -w ${mostNumber}`,
  ],
  [{ address: '127.0.0.4', forwarding: 'tun' }, '-r 127.0.0.4:80 -i -w 1 --tun-type ipip'],
  [
    {
      address: '127.0.0.5',
      forwarding: 'tun',
      tunnel: { type: 'gue', port: 6080, checksum: 'remcsum' },
    },
    '-r 127.0.0.5:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum',
  ],
  [
    { address: '127.0.0.6', forwarding: 'tun', tunnel: { type: 'gre', checksum: 'csum' } },
    '-r 127.0.0.6:80 -i -w 1 --tun-type gre --tun-csum',
  ],
  [{ address: '::1', forwarding: 'tun' }, '-r [::1]:80 -i -w 1 --tun-type ipip'],
]

export const destinations = (makeScene: MakeScene): void => {
  t.test('what is added is what ipvsadm reads, and what we read can be written back', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    await ipvs.addService(tcp)
    for (const [config] of written) await ipvs.addDestination(tcp, config)
    const expected = written.map(([, rule]) => `-a -t 10.0.0.1:80 ${rule}`).sort()
    const destinationRules = async (): Promise<string[]> =>
      (await rules()).filter((rule) => rule.startsWith('-a')).sort()
    t.same(await destinationRules(), expected)

    const destinations = await ipvs.listDestinations(tcp)
    t.equal(destinations.length, written.length)
    for (const destination of destinations) {
      await ipvs.editDestination(tcp, destination)
      await ipvs.deleteDestination(tcp, destination)
      await ipvs.addDestination(tcp, destination)
    }
    t.same(await destinationRules(), expected)
  })

  t.test('every default is filled in when read', async (t) => {
    const { ipvs } = await makeScene(t)
    await ipvs.addService({ ...udp6, scheduler: 'rr' })
    await ipvs.addDestination(udp6, {
      address: '::1',
      upperThreshold: mostNumber,
      lowerThreshold: 7,
    })
    const [destination] = await ipvs.listDestinations(udp6)
    t.match(destination, {
      address: '::1',
      port: 53,
      family: 'ipv6',
      forwarding: 'dr',
      weight: 1,
      upperThreshold: mostNumber,
      lowerThreshold: 7,
      activeConnections: 0,
      inactiveConnections: 0,
      persistentConnections: 0,
      stats: { connections: 0, bytesOutPerSecond: 0 },
    })
    t.notOk('tunnel' in (destination ?? {}))
    t.equal((await ipvs.listDestinations(udp6, { bigint: true }))[0]?.stats.packetsIn, 0n)
  })

  t.test('editDestination replaces everything that is not the identity', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    await ipvs.addService(tcp)
    const key = { address: '127.0.0.1' }
    const tunnel = { type: 'gre', checksum: 'csum' } as const
    await ipvs.addDestination(tcp, {
      ...key,
      forwarding: 'tun',
      tunnel,
      weight: 9,
      upperThreshold: 5,
    })
    await ipvs.editDestination(tcp, { ...key, forwarding: 'tun' })
    t.equal((await rules())[1], '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -i -w 1 --tun-type ipip')
    t.match(await ipvs.listDestinations(tcp), [{ upperThreshold: 0, tunnel: { type: 'ipip' } }])
    await ipvs.editDestination(tcp, { ...key, forwarding: 'nat', weight: 2 })
    t.equal((await rules())[1], '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -m -w 2')
  })

  t.test("the port of a destination is its service's own unless it is given", async (t) => {
    const { ipvs, rules } = await makeScene(t)
    await ipvs.addService({ fwmark: 3 })
    await ipvs.addDestination({ fwmark: 3 }, { address: '127.0.0.1' })
    await ipvs.addDestination({ fwmark: 3 }, { address: '127.0.0.1', port: 8080 })
    t.same((await rules()).sort(), [
      '-A -f 3 -s wlc',
      '-a -f 3 -r 127.0.0.1:0 -g -w 1',
      '-a -f 3 -r 127.0.0.1:8080 -g -w 1',
    ])
  })

  t.test('what the kernel refuses has a code of its own', async (t) => {
    const { ipvs } = await makeScene(t)
    const absent = { ...tcp, port: 8080 }
    const destination = { address: '127.0.0.1' }
    await ipvs.addService(tcp)
    t.same(await ipvs.listDestinations(tcp), [])
    await ipvs.addDestination(tcp, destination)
    await t.rejects(
      ipvs.addDestination(tcp, destination),
      refusal('ERR_IPVS_DESTINATION_EXISTS', {
        errno: -17,
        command: 'NEW_DEST',
        service: tcp,
        destination: { address: '127.0.0.1', port: 80 },
      }),
    )
    const other = { address: '127.0.0.9' }
    await t.rejects(ipvs.editDestination(tcp, other), refusal('ERR_IPVS_NO_DESTINATION'))
    await t.rejects(ipvs.deleteDestination(tcp, other), refusal('ERR_IPVS_NO_DESTINATION'))
    await t.rejects(ipvs.addDestination(absent, other), refusal('ERR_IPVS_NO_SERVICE'))
    await t.rejects(ipvs.editDestination(absent, other), refusal('ERR_IPVS_NO_SERVICE'))
    await t.rejects(ipvs.deleteDestination(absent, other), refusal('ERR_IPVS_NO_SERVICE'))
    await t.rejects(
      ipvs.listDestinations(absent),
      refusal('ERR_IPVS_NO_SERVICE', { command: 'GET_DEST', errno: -3 }),
    )
  })
}
