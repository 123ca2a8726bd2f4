import t from 'tap'

import { services } from '../scenarios/services.js'
import { makeBed, tcp } from './bed.js'

services(makeBed)

t.test('what ipvsadm adds is what we read, every default filled in', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside(
    'ipvsadm',
    '-A',
    '-t',
    '10.0.0.1:80',
    '-s',
    'sh',
    '-b',
    'sh-port',
    '-p',
    '90',
    '-M',
    '255.255.0.0',
  )
  await inside('ipvsadm', '-A', '-f', '7', '-6')
  t.match(await ipvs.getService(tcp), {
    protocol: 'tcp',
    address: '10.0.0.1',
    port: 80,
    scheduler: 'sh',
    schedulerFlags: ['sh-port'],
    onePacket: false,
    persistence: { timeout: 90, prefixLength: 16 },
    stats: { connections: 0, packetsIn: 0, bytesOut: 0, connectionsPerSecond: 0 },
  })
  const fwmark = await ipvs.getService({ fwmark: 7, family: 'ipv6' })
  t.match(fwmark, { fwmark: 7, family: 'ipv6', scheduler: 'wlc', schedulerFlags: [] })
  t.notOk('persistence' in fwmark)
  t.notOk('address' in fwmark)
})
