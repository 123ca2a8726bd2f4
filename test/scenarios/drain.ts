import t from 'tap'

import type { Ipvs } from 'ipvs-netlink'
import { refusal, tcp } from './scene.js'
import type { MakeScene } from './scene.js'

export const drain = (makeScene: MakeScene): void => {
  t.test('drains without traffic', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const mark = { fwmark: 7, family: 'ipv6' } as const
    const six = { address: '::1' }
    const four = { address: '127.0.0.1' }
    await ipvs.addService(mark)
    await ipvs.addDestination(mark, six)
    await ipvs.addService(tcp)
    const tunnel = { type: 'gue', port: 6080 } as const
    const config = { ...four, forwarding: 'tun', tunnel, weight: 3, upperThreshold: 9 } as const
    await ipvs.addDestination(tcp, config)
    await ipvs.addDestination(tcp, { address: '127.0.0.2' })

    const kept = await ipvs.drainDestination(tcp, four, { remove: false })
    t.match(kept, { drained: true })
    t.match(await ipvs.listDrains(), [{ service: tcp, destination: { ...config, weight: 0 } }])
    t.match(await ipvs.drainDestination(mark, six), { drained: true })
    t.match(await ipvs.drainService(mark), { drained: true })
    for (const { service, destination } of await ipvs.listDrains()) {
      t.match(await ipvs.drainDestination(service, destination), { drained: true })
    }
    t.same(await rules(), ['-A -t 10.0.0.1:80 -s wlc', '-a -t 10.0.0.1:80 -r 127.0.0.2:80 -g -w 1'])

    t.match(await ipvs.drainService(tcp, { remove: false }), { drained: true })
    t.match(await rules(), [/wlc/, /-w 0$/])
    t.match(await ipvs.drainService(tcp), { drained: true })
    t.same(await rules(), [])
    await t.rejects(ipvs.drainService(tcp), refusal('ERR_IPVS_NO_SERVICE'))
    await ipvs.addService(tcp)
    await t.rejects(
      ipvs.drainDestination(tcp, four),
      refusal('ERR_IPVS_NO_DESTINATION', {
        message:
          'Cannot drain 127.0.0.1:80 of tcp 10.0.0.1:80: the service has no such destination',
      }),
    )
  })

  t.test('what others delete between the first look and the weight of 0 is gone', async (t) => {
    const { ipvs, another } = await makeScene(t)
    const other = await another()
    const four = { address: '127.0.0.1' }
    const listDestinations = ipvs.listDestinations.bind<Ipvs['listDestinations']>(ipvs)
    const deletingBehindIt = async (remove: () => Promise<void>): Promise<void> => {
      await ipvs.addService(tcp, { ifExists: 'ignore' })
      await ipvs.addDestination(tcp, four)
      ipvs.listDestinations = (async (...given: Parameters<Ipvs['listDestinations']>) => {
        const found = await listDestinations(...given)
        ipvs.listDestinations = listDestinations
        await remove()
        return found
      }) as never
    }
    const gone = { drained: false, ended: 'gone', reason: 'somebody else deleted it' }
    await deletingBehindIt(() => other.deleteDestination(tcp, four))
    t.match(await ipvs.drainDestination(tcp, four), gone)
    await deletingBehindIt(() => other.deleteService(tcp))
    t.match(await ipvs.drainDestination(tcp, four), gone)
    await deletingBehindIt(() => other.deleteService(tcp))
    t.match(await ipvs.drainService(tcp), gone)
  })
}
