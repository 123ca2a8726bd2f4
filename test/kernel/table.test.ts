import t from 'tap'
import { ipvs as ownTable, openIpvs } from 'ipvs-netlink'

import { table } from '../scenarios/table.js'
import { makeBed, run, tcp, unloadIpvs } from './bed.js'

const serviceOf = (index: number) =>
  ({
    protocol: 'tcp',
    address: `10.1.${index >> 8}.${index & 255}`,
    port: 80,
    scheduler: 'rr',
  }) as const

// Elsewhere than in a virtual machine of our own, somebody may be using the module.
const skip = process.env['VM_KERNEL'] === undefined && 'it unloads modules of the machine'

table(makeBed)

t.test('a snapshot has every service with its destinations', async (t) => {
  const { ipvs, rules } = await makeBed(t)
  // More than fits into one datagram of a dump, so that the kernel resumes it.
  const services = Array.from({ length: 250 }, (_, index) => serviceOf(index))
  await Promise.all(services.map((service) => ipvs.addService(service)))
  await Promise.all(
    services.flatMap((service, index) =>
      Array.from({ length: index % 4 }, (_, n) =>
        ipvs.addDestination(service, { address: `127.0.1.${n + 1}`, weight: index }),
      ),
    ),
  )
  const [first] = services
  if (!first) throw new Error('no services')
  await Promise.all(
    Array.from({ length: 200 }, (_, n) => ipvs.addDestination(first, { address: `127.0.2.${n}` })),
  )
  for (const snapshot of [await ipvs.snapshot(), await ipvs.snapshot({ consistent: true })]) {
    t.equal(snapshot.length, services.length)
    const lines = snapshot.flatMap((service) => {
      if (!('address' in service)) return []
      const name = `-t ${service.address}:${service.port}`
      return [
        `-A ${name} -s ${service.scheduler}`,
        ...service.destinations.map(
          ({ address, port, weight }) => `-a ${name} -r ${address}:${port} -g -w ${weight}`,
        ),
      ]
    })
    t.same(lines.sort(), (await rules()).sort())
  }
  t.equal((await ipvs.listServices()).length, services.length)
  await ipvs.clear()
  t.same(await ipvs.snapshot({ consistent: true }), [])
})

t.test('handles of two namespaces and of the own never mix', async (t) => {
  const [one, two] = [await makeBed(t), await makeBed(t)]
  t.teardown(async () => ownTable.clear())
  await Promise.all([
    one.ipvs.addService({ ...tcp, port: 1 }),
    two.ipvs.addService({ ...tcp, port: 2 }),
    ownTable.addService({ ...tcp, port: 3 }),
  ])
  t.match(await one.ipvs.listServices(), [{ port: 1 }])
  t.match(await two.ipvs.listServices(), [{ port: 2 }])
  t.match(await ownTable.listServices(), [{ port: 3 }])
  t.same(await one.rules(), ['-A -t 10.0.0.1:1 -s wlc'])
  t.match(await run('ipvsadm', '-Sn'), '-A -t 10.0.0.1:3 -s wlc')
  const again = await openIpvs({ netns: two.netns })
  t.match(await again.listServices(), [{ port: 2 }])
  await again.close()
})

t.test('a module that was unloaded is found again', { skip }, async (t) => {
  const before = await openIpvs()
  await before.addService({ ...tcp, scheduler: 'rr' })
  await before.clear()
  await unloadIpvs()
  t.notMatch(await run('lsmod'), /^ip_vs/m)
  await before.addService({ ...tcp, scheduler: 'rr' })
  t.match(await before.listServices(), [{ port: 80 }])
  await before.clear()
  await unloadIpvs()
  t.same(await before.snapshot(), [], 'a read finds it again as well')

  // Reads and changes at once, of which only one is the first to learn the new number.
  for (let round = 0; round < 3; ++round) {
    await unloadIpvs()
    const other = { ...tcp, port: 81, scheduler: 'rr' } as const
    const answers = await Promise.all([
      before.listServices(),
      before.addService({ ...tcp, scheduler: 'rr' }),
      before.info(),
      before.addService(other),
    ])
    t.equal(answers[2].version, '1.2.1')
    t.equal((await before.listServices()).length, 2)
    await before.clear()
  }
  await before.close()
})

t.test('what another program made can be read and deleted', async (t) => {
  const { ipvs, inside, rules } = await makeBed(t)
  await inside('ipvsadm', '-A', '-t', '0.0.0.0:80', '-s', 'rr', '-p', '10', '-M', '0.0.0.24')
  const [service] = await ipvs.listServices()
  t.match(service, { address: '0.0.0.0', persistence: { timeout: 10, netmask: '0.0.0.24' } })
  if (!service) throw new Error('it was not read')
  await t.rejects(ipvs.editService(service), { code: 'ERR_INVALID_ARG_VALUE' })
  t.match(await ipvs.getService(service), service)
  await ipvs.deleteService(service)
  t.same(await rules(), [])
})

t.test('without CAP_NET_ADMIN the error says what is needed', async (t) => {
  const script = `
    import { ipvs } from 'ipvs-netlink'
    await ipvs.listServices().catch((error) => console.log(error.code, error.message))
    await ipvs.addService(${JSON.stringify(tcp)}).catch((error) => console.log(error.code))
  `
  const output = await run(
    'setpriv',
    '--reuid=65534',
    '--clear-groups',
    process.execPath,
    '--input-type=module',
    '--eval',
    script,
  )
  t.match(output, /^ERR_IPVS_PERMISSION .*CAP_NET_ADMIN.*\nERR_IPVS_PERMISSION\n$/)
})

t.test('a process that used us ends by itself', async (t) => {
  const script = `
    import { ipvs, host } from 'ipvs-netlink'
    await ipvs.info()
    await host.listAddresses()
    console.log('used')
  `
  const output = await run(process.execPath, '--input-type=module', '--eval', script)
  t.equal(output, 'used\n')
})
