import t from 'tap'

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
    await t.rejects(ipvs.drainDestination(tcp, four), refusal('ERR_IPVS_NO_DESTINATION'))
  })
}
