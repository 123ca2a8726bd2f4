// What the kernel refuses because of the machine it runs on, and what only another program stores.

import t from 'tap'

import { refusals } from '../scenarios/refusals.js'
import { makeBed, refusal, tcp } from './bed.js'

const server = { address: '127.0.0.1' }

refusals(makeBed)

t.test('addresses that are none of one machine', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'up', 'type', 'dummy')
  await inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'eth0')
  await ipvs.addService(tcp)
  const why = { errno: -22, command: 'NEW_DEST', message: /address is not one of a machine/ }
  for (const address of ['192.0.2.255', '127.255.255.255']) {
    await t.rejects(
      ipvs.addDestination(tcp, { address }),
      refusal('ERR_IPVS_REFUSED', { ...why, destination: { address, port: 80 } }),
    )
  }
  t.same(await ipvs.listDestinations(tcp), [])
  // Nobody is there, or nobody can be, but the kernel does not mind.
  for (const address of ['192.0.2.1', '192.0.2.9', '203.0.113.1', '240.0.0.1', '169.254.0.1']) {
    await ipvs.addDestination(tcp, { address })
  }
  t.equal((await ipvs.listDestinations(tcp)).length, 5)
})

t.test('daemons on devices that are down, and what they forbid', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'link', 'add', 'eth0', 'type', 'dummy')
  const master = { role: 'master', interface: 'eth0' } as const
  await t.rejects(
    ipvs.startSyncDaemon(master),
    refusal('ERR_IPVS_REFUSED', {
      errno: -101,
      command: 'NEW_DAEMON',
      message: /master daemon on eth0: the device is down or has no address/,
    }),
  )
  t.same(await ipvs.syncDaemons(), [])

  await inside('ip', 'link', 'set', 'eth0', 'up')
  await inside('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'eth0')
  await ipvs.startSyncDaemon(master)
  await ipvs.addService(tcp)
  const mixed = { address: '::1', forwarding: 'tun' } as const
  const forbidden = { errno: -22, message: /synchronisation daemon runs/ }
  for (const [command, call] of [
    ['NEW_DEST', async () => ipvs.addDestination(tcp, mixed)],
    ['SET_DEST', async () => ipvs.editDestination(tcp, mixed)],
  ] as const) {
    await t.rejects(call(), refusal('ERR_IPVS_REFUSED', { ...forbidden, command }))
  }
  await t.rejects(ipvs.deleteDestination(tcp, mixed), refusal('ERR_IPVS_NO_DESTINATION'))
  await ipvs.addDestination(tcp, { ...server, forwarding: 'tun' })
  await t.rejects(
    ipvs.stopSyncDaemon('backup'),
    refusal('ERR_IPVS_NO_DAEMON', { errno: -3, command: 'DEL_DAEMON' }),
  )
  t.match(await ipvs.syncDaemons(), [master])
  await ipvs.stopSyncDaemon('master')
})

t.test('what another program stored and we would not is read, patched and deleted', async (t) => {
  const { ipvs, inside, rules } = await makeBed(t)
  await inside('ipvsadm', '-A', '-t', '10.0.0.1:80', '-p', '90', '-M', '255.0.255.0')
  await inside('ipvsadm', '-A', '-t', '0.0.0.0:80', '-s', 'rr')
  await inside('ipvsadm', '-a', '-t', '0.0.0.0:80', '-r', '127.0.0.1')
  const read = await ipvs.getService(tcp)
  t.match(read, { persistence: { timeout: 90, netmask: '255.0.255.0' } })
  const invalid = { code: 'ERR_INVALID_ARG_VALUE', message: /persistence\.netmask/ }
  await t.rejects(ipvs.editService(read), invalid)
  await ipvs.patchService(read, { scheduler: 'rr' })
  await ipvs.patchService(tcp, { persistence: { timeout: 91 } })
  t.ok((await rules()).includes('-A -t 10.0.0.1:80 -s rr -p 91 -M 255.0.255.0'))

  const [any] = (await ipvs.snapshot()).filter(
    (service) => 'address' in service && service.address === '0.0.0.0',
  )
  if (!any) return t.fail('it was not read')
  await t.rejects(ipvs.editService(any), { code: 'ERR_INVALID_ARG_VALUE', message: /unspecified/ })
  for (const each of any.destinations) {
    await ipvs.patchDestination(any, each, { weight: 2 })
    await ipvs.deleteDestination(any, each)
  }
  await ipvs.deleteService(any)
  await ipvs.deleteService(read)
  t.same(await ipvs.snapshot(), [])
  return undefined
})
