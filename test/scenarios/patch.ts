import t from 'tap'

import { refusal, tcp } from './scene.js'
import type { MakeScene } from './scene.js'

const sip = { protocol: 'udp', address: '10.0.0.1', port: 5060 } as const

export const patch = (makeScene: MakeScene): void => {
  t.test('patchService changes what is named and keeps all else', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const persistence = { timeout: 90, prefixLength: 24, engine: 'sip' } as const
    await ipvs.addService({ ...sip, scheduler: 'sh', schedulerFlags: ['sh-port'], persistence })
    const rule = async (): Promise<string | undefined> => (await rules())[0]
    t.equal(await rule(), '-A -u 10.0.0.1:5060 -s sh -p 90 -M 255.255.255.0 --pe sip -b sh-port')

    await ipvs.patchService(sip, { persistence: { timeout: 91 } })
    t.equal(await rule(), '-A -u 10.0.0.1:5060 -s sh -p 91 -M 255.255.255.0 --pe sip -b sh-port')
    await ipvs.patchService(sip, { onePacket: true })
    t.equal(await rule(), '-A -u 10.0.0.1:5060 -s sh -p 91 -M 255.255.255.0 --pe sip -o -b sh-port')
    await ipvs.patchService(sip, { schedulerFlags: ['sh-fallback'], onePacket: false })
    t.equal(
      await rule(),
      '-A -u 10.0.0.1:5060 -s sh -p 91 -M 255.255.255.0 --pe sip -b sh-fallback',
    )
    await ipvs.patchService(sip, { scheduler: 'sh' })
    t.match(await rule(), /-b sh-fallback$/, 'the same scheduler keeps its flags')
    await ipvs.patchService(sip, { scheduler: 'rr' })
    t.equal(await rule(), '-A -u 10.0.0.1:5060 -s rr -p 91 -M 255.255.255.0 --pe sip')
    await ipvs.patchService(sip, { persistence: { engine: null, prefixLength: 32 } })
    t.equal(await rule(), '-A -u 10.0.0.1:5060 -s rr -p 91')
    await ipvs.patchService(sip, { persistence: null })
    t.equal(await rule(), '-A -u 10.0.0.1:5060 -s rr')
    await ipvs.patchService(sip, { persistence: { engine: null } })
    t.equal(await rule(), '-A -u 10.0.0.1:5060 -s rr', 'taking an engine away switches nothing on')
    await ipvs.patchService(sip, { persistence: { prefixLength: 16 } })
    t.equal(await rule(), '-A -u 10.0.0.1:5060 -s rr -p 360 -M 255.255.0.0')
    await ipvs.patchService(sip, {})
    t.equal(await rule(), '-A -u 10.0.0.1:5060 -s rr -p 360 -M 255.255.0.0')
  })

  t.test("scheduler flags with another scheduler's name are refused", async (t) => {
    const { ipvs, rules } = await makeScene(t)
    await ipvs.addService({ ...tcp, scheduler: 'mh', schedulerFlags: ['mh-port'] })
    await t.rejects(
      ipvs.patchService(tcp, { schedulerFlags: ['sh-port'] }),
      refusal('ERR_IPVS_REFUSED', { message: /flags belong to another scheduler/ }),
    )
    await ipvs.patchService(tcp, { schedulerFlags: ['mh-fallback', 'mh-port'] })
    t.same(await rules(), ['-A -t 10.0.0.1:80 -s mh -b mh-fallback,mh-port'])
  })

  t.test('patchDestination changes what is named and keeps all else', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    await ipvs.addService(tcp)
    const key = { address: '127.0.0.1' }
    const tunnel = { type: 'gue', port: 6080, checksum: 'csum' } as const
    const config = { ...key, forwarding: 'tun', tunnel, weight: 5, upperThreshold: 9 } as const
    await ipvs.addDestination(tcp, { ...config, lowerThreshold: 3 })
    await ipvs.addDestination(tcp, { address: '127.0.0.2' })

    await ipvs.patchDestination(tcp, key, { weight: 0 })
    const read = async (): Promise<object | undefined> =>
      (await ipvs.listDestinations(tcp)).find(({ address }) => address === key.address)
    t.match(await read(), { ...config, weight: 0, lowerThreshold: 3 })
    await ipvs.patchDestination(tcp, key, { upperThreshold: 8, forwarding: 'tun' })
    t.match(await read(), { tunnel, weight: 0, upperThreshold: 8, lowerThreshold: 3 })
    await ipvs.patchDestination(tcp, key, { forwarding: 'nat' })
    t.notOk('tunnel' in ((await read()) ?? {}))
    await ipvs.patchDestination(tcp, key, { tunnel: { type: 'ipip' } })
    t.match(await read(), { forwarding: 'tun', tunnel: { type: 'ipip' } })
    t.same((await rules()).slice(1).sort(), [
      '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -i -w 0 --tun-type ipip',
      '-a -t 10.0.0.1:80 -r 127.0.0.2:80 -g -w 1',
    ])
  })

  t.test('patches of one tick see each other, in order with other changes', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const key = { address: '127.0.0.1' }
    await Promise.all([
      ipvs.addService(tcp),
      ipvs.addDestination(tcp, key),
      ipvs.patchDestination(tcp, key, { weight: 2 }),
      ipvs.patchDestination(tcp, key, { forwarding: 'nat' }),
      ipvs.patchService(tcp, { scheduler: 'rr' }),
      ipvs.patchService(tcp, { persistence: {} }),
    ])
    t.same(await rules(), [
      '-A -t 10.0.0.1:80 -s rr -p 360',
      '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -m -w 2',
    ])
    const outcomes = await ipvs.batch([
      { op: 'patchService', service: tcp, changes: { persistence: null } },
      { op: 'patchDestination', service: tcp, destination: key, changes: { weight: 3 } },
      { op: 'patchService', service: { ...tcp, port: 1 }, changes: {} },
    ])
    t.match(outcomes, [{ ok: true }, { ok: true }, { error: refusal('ERR_IPVS_NO_SERVICE') }])
    t.match(await rules(), ['-A -t 10.0.0.1:80 -s rr', /-m -w 3$/])
  })

  t.test('patching what is not there', async (t) => {
    const { ipvs } = await makeScene(t)
    const key = { address: '127.0.0.1' }
    await t.rejects(ipvs.patchService(tcp, {}), refusal('ERR_IPVS_NO_SERVICE'))
    await t.rejects(ipvs.patchDestination(tcp, key, {}), refusal('ERR_IPVS_NO_SERVICE'))
    await ipvs.addService(tcp)
    await t.rejects(ipvs.patchDestination(tcp, key, {}), refusal('ERR_IPVS_NO_DESTINATION'))
    await t.rejects(
      ipvs.patchService(tcp, { persistence: { engine: 'nosuch' } }),
      refusal('ERR_IPVS_NO_PERSISTENCE_ENGINE', { message: /ip_vs_pe_nosuch/ }),
    )
    await t.rejects(
      ipvs.patchService(tcp, { scheduler: 'nosuch' }),
      refusal('ERR_IPVS_NO_SCHEDULER', { message: /ip_vs_nosuch/ }),
    )
    await ipvs.addDestination(tcp, { ...key, upperThreshold: 5, lowerThreshold: 5 })
    await t.rejects(
      ipvs.patchDestination(tcp, key, { upperThreshold: 4 }),
      refusal('ERR_IPVS_REFUSED', { errno: -34, message: /lower threshold/ }),
    )
  })
}
