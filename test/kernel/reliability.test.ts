// Privileges, namespaces and load on a real kernel. The long forms are test/soak/*.mjs.

import { fileURLToPath } from 'node:url'

import t from 'tap'
import type { Test } from 'tap'
import { openIpvs } from 'ipvs-netlink'

import { makeBed, refusal, run, tcp } from './bed.js'
import type { Bed } from './bed.js'

const soak = (name: string): string =>
  fileURLToPath(new URL(`../../test/soak/${name}.mjs`, import.meta.url))

/** Prints what became of a change of each kind, and of readings, by the capabilities that it has. */
const script = `
  import { host, ipvs, openHost, openIpvs } from 'ipvs-netlink'
  const tell = async (call) => call.then(() => 'done', ({ code, message }) => code + ' ' + message)
  const [netns] = process.argv.slice(-1)
  const real = { forwarding: 'dr', vip: '10.0.0.8', device: 'k0' }
  console.log(JSON.stringify({
    change: await tell(ipvs.addService({ fwmark: 7 })),
    reading: await tell(ipvs.snapshot()),
    timeouts: await tell(ipvs.setTimeouts({ udp: 100 })),
    vip: await tell(host.addVip({ address: '10.0.0.9' })),
    announced: await tell(host.addVip({ address: '10.0.0.7', device: 'k0', announce: true })),
    addresses: await tell(host.listAddresses()),
    setting: await tell(host.getSysctl('net.ipv4.ip_forward')),
    set: await tell(host.setSysctl('net.ipv4.conf.k0.arp_ignore', 1)),
    ipvsSettings: await tell(host.setIpvsSettings({ conntrack: true })),
    director: await tell(host.prepareDirector({ forwarding: 'nat', vip: '10.0.0.6' })),
    realServer: await tell(host.prepareRealServer(real)),
    otherTable: await tell(openIpvs({ netns }).then((table) => table.snapshot())),
    otherHost: await tell(openHost({ netns }).then((other) => other.listAddresses())),
  }))
`

const node = [process.execPath, '--input-type=module', '-e', script]

const told = async (printed: Promise<string>): Promise<Record<string, string>> =>
  JSON.parse(await printed) as Record<string, string>

/** In a namespace with a device of its own, beside another namespace. */
const asNobody = async (t: Test, bed: Bed, ...capabilities: string[]): Promise<string> => {
  const { netns } = await makeBed(t)
  await bed.inside('ip', 'link', 'add', 'k0', 'type', 'dummy')
  await bed.inside('ip', 'link', 'set', 'k0', 'up')
  const ids = ['--reuid=65534', '--regid=65534', '--clear-groups']
  return bed.inside('setpriv', ...ids, ...capabilities, ...node, netns)
}

t.test('CAP_NET_ADMIN alone is enough, without root', async (t) => {
  const bed = await makeBed(t)
  const capabilities = ['--inh-caps=-all,+net_admin', '--ambient-caps=-all,+net_admin']
  const { announced, otherTable, otherHost, ...others } = await told(
    asNobody(t, bed, ...capabilities),
  )
  for (const [call, outcome] of Object.entries(others)) t.equal(outcome, 'done', call)
  // What needs more says what.
  t.match(announced, /^ERR_HOST_PERMISSION .*CAP_NET_RAW/)
  t.match(otherTable, /^ERR_IPVS_PERMISSION .*CAP_SYS_ADMIN/)
  t.match(otherHost, /^ERR_HOST_PERMISSION .*CAP_SYS_ADMIN/)
  t.same(await bed.rules(), ['-A -f 7 -s wlc'])
  const shown = await bed.inside('ip', '-o', 'address', 'show')
  t.same(shown.match(/10\.0\.0\.\d+/g), ['10.0.0.9', '10.0.0.6', '10.0.0.8'])
  const paths = ['conf.k0.arp_ignore', 'conf.all.arp_announce', 'vs.conntrack', 'ip_forward']
  const values = paths.map((path) => `net.ipv4.${path}`)
  t.equal(await bed.inside('sysctl', '-n', ...values), '1\n2\n1\n1\n')
})

t.test('without it the error names it, and nothing is changed', async (t) => {
  const bed = await makeBed(t)
  const before = await bed.inside('sysctl', '-a', '-r', '^net\\.ipv4\\.(vs|conf|ip_forward)')
  const { addresses, setting, ...others } = await told(asNobody(t, bed))
  t.same([addresses, setting], ['done', 'done'])
  const { otherTable, otherHost, ...own } = others
  for (const [call, outcome] of Object.entries(own)) {
    t.match(outcome, /^ERR_(IPVS|HOST)_PERMISSION .*CAP_NET_(ADMIN|RAW)/, call)
  }
  t.match(own['change'], /CAP_NET_ADMIN in the initial user namespace/)
  t.match([otherTable, otherHost], [/_PERMISSION .*CAP_SYS_ADMIN/, /_PERMISSION .*CAP_SYS_ADMIN/])
  t.same(await bed.rules(), [])
  t.notMatch(await bed.inside('ip', '-o', 'address', 'show'), '10.0.0')
  const after = await bed.inside('sysctl', '-a', '-r', '^net\\.ipv4\\.(vs|conf|ip_forward)')
  t.equal(after.replace(/^net\.ipv4\.conf\.k0\..*\n/gm, ''), before)
})

t.test('in a user namespace the error says that its capabilities do not count', async (t) => {
  const answers = await told(
    run('unshare', '--user', '--map-root-user', '--net', ...node, '/run/netns/none'),
  )
  t.match(answers, {
    change: /^ERR_IPVS_PERMISSION .*child user namespace.*do not count/,
    reading: /^ERR_IPVS_PERMISSION .*child user namespace.*do not count/,
    // The kernel asks the owner of the network namespace for those.
    vip: 'done',
    addresses: 'done',
  })
})

/** Table, addresses and settings, as other programs see them. */
const ownView = async (): Promise<string[]> =>
  Promise.all([
    run('ipvsadm', '-Sn'),
    run('ip', '-o', 'address', 'show'),
    run('sysctl', '-a', '-r', '^net\\.ipv4\\.conf'),
  ])

t.test('handles of many namespaces never mix, and the own one stays as it is', async (t) => {
  const own = await ownView()
  const [namespaces, rounds] = [12, 20]
  const beds: Bed[] = []
  for (let n = 0; n < namespaces; ++n) beds.push(await makeBed(t))
  const others = await Promise.all(beds.map(async ({ another }) => another()))
  for (let round = 1; round <= rounds; ++round) {
    await Promise.all(
      beds.map(async ({ ipvs, host }, index) => {
        const service = { fwmark: 1000 * index + round }
        const destination = { address: `10.1.${index}.${round}`, port: 80 }
        await ipvs.addService(service)
        await Promise.all([
          ipvs.addDestination(service, destination),
          others[index]?.editService({ ...service, scheduler: 'rr' }),
          host.addVip({ address: `10.2.${index}.${round}` }),
          host.setSysctl('net.ipv4.conf.lo.tag', 1000 * index + round),
        ])
        if (round > 1) await others[index]?.deleteService({ fwmark: service.fwmark - 1 })
      }),
    )
  }
  for (const [index, bed] of beds.entries()) {
    const mark = 1000 * index + rounds
    t.same(await bed.rules(), [
      `-A -f ${mark} -s rr`,
      `-a -f ${mark} -r 10.1.${index}.${rounds}:80 -g -w 1`,
    ])
    const shown = await bed.inside('ip', '-o', '-4', 'address', 'show', 'dev', 'lo')
    const vips = Array.from({ length: rounds }, (_, n) => `10.2.${index}.${n + 1}/32`)
    t.same(shown.match(/10\.\d+\.\d+\.\d+\/32/g), vips)
    t.equal(await bed.inside('sysctl', '-n', 'net.ipv4.conf.lo.tag'), `${mark}\n`)
  }
  t.same(await ownView(), own)
})

t.test('a handle of a namespace that is deleted meanwhile goes on with its table', async (t) => {
  const name = `gone-${process.pid}`
  await run('ip', 'netns', 'add', name)
  const opened = await openIpvs({ netns: `/run/netns/${name}` })
  await opened.addService(tcp)
  const calls = Array.from({ length: 20 }, async (_, n) => opened.addService({ fwmark: n + 1 }))
  await run('ip', 'netns', 'delete', name)
  await Promise.all(calls)
  t.equal((await opened.listServices()).length, 21)
  await opened.close()
  await t.rejects(openIpvs({ netns: `/run/netns/${name}` }), refusal('ERR_IPVS_NO_NETNS'))
})

t.test('several handles, a worker thread and ipvsadm change one table at once', async (t) => {
  const { inside } = await makeBed(t)
  const options = [
    '--changes',
    '2000',
    '--seconds',
    '3',
    '--handles',
    '2',
    '--workers',
    '1',
    '--size',
    '64',
  ]
  const printed = await inside(process.execPath, soak('load'), ...options)
  const result = JSON.parse(printed) as Record<string, number | boolean>
  t.match(result, { wrongOutcomes: 0, kernelIsTheModel: true })
  t.ok(Number(result['changes']) >= 64 && Number(result['foreignEdits']) > 0)
  t.ok(Number(result['requests']) > 0 && Number(result['entriesInKernel']) > 0)
  t.comment(printed.trim())
})

t.test('handles, calls and worker threads come and go, and nothing is left behind', async (t) => {
  const printed = await run(
    process.execPath,
    soak('lifecycle'),
    ...['--opens', '20', '--calls', '200', '--batches', '3', '--workers', '1'],
  )
  t.match(printed, /"hasIpvs":true/)
  t.comment(printed.trim())
})
