// Privileges, namespaces and load on a real kernel. The long forms are test/soak/*.mjs.

import { fileURLToPath } from 'node:url'

import t from 'tap'
import { openIpvs } from 'ipvs-netlink'

import { makeBed, refusal, run, tcp } from './bed.js'
import type { Bed } from './bed.js'

const soak = (name: string): string =>
  fileURLToPath(new URL(`../../test/soak/${name}.mjs`, import.meta.url))

/** Prints what became of a change, a reading and an address of its own. */
const script = `
  import { host, ipvs } from 'ipvs-netlink'
  const tell = async (call) => call.then(() => 'done', ({ code, message }) => code + ' ' + message)
  console.log(JSON.stringify({
    change: await tell(ipvs.addService({ fwmark: 7 })),
    reading: await tell(ipvs.snapshot()),
    vip: await tell(host.addVip({ address: '10.0.0.9' })),
    addresses: await tell(host.listAddresses()),
    setting: await tell(host.getSysctl('net.ipv4.ip_forward')),
  }))
`

const node = [process.execPath, '--input-type=module', '-e', script]

const told = async (printed: Promise<string>): Promise<Record<string, string>> =>
  JSON.parse(await printed) as Record<string, string>

const asNobody = async ({ inside }: Bed, ...capabilities: string[]): Promise<string> =>
  inside('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...capabilities, ...node)

t.test('CAP_NET_ADMIN alone is enough, without root', async (t) => {
  const bed = await makeBed(t)
  const capabilities = ['--inh-caps=-all,+net_admin', '--ambient-caps=-all,+net_admin']
  t.same(await told(asNobody(bed, ...capabilities)), {
    change: 'done',
    reading: 'done',
    vip: 'done',
    addresses: 'done',
    setting: 'done',
  })
  t.same(await bed.rules(), ['-A -f 7 -s wlc'])
})

t.test('without it the error names it, and nothing is changed', async (t) => {
  const bed = await makeBed(t)
  const answers = await told(asNobody(bed))
  t.match(answers, {
    change: /^ERR_IPVS_PERMISSION .*CAP_NET_ADMIN in the initial user namespace/,
    reading: /^ERR_IPVS_PERMISSION /,
    vip: /^ERR_HOST_PERMISSION .*CAP_NET_ADMIN/,
    addresses: 'done',
    setting: 'done',
  })
  t.same(await bed.rules(), [])
})

t.test('in a user namespace the error says that its capabilities do not count', async (t) => {
  const answers = await told(run('unshare', '--user', '--map-root-user', '--net', ...node))
  t.match(answers, {
    change: /^ERR_IPVS_PERMISSION .*child user namespace.*do not count/,
    reading: /^ERR_IPVS_PERMISSION .*child user namespace.*do not count/,
    // The kernel asks the owner of the network namespace for those.
    vip: 'done',
    addresses: 'done',
  })
})

t.test('handles of many namespaces never mix, and the own table stays', async (t) => {
  const own = await run('ipvsadm', '-Sn')
  const beds: Bed[] = []
  for (let n = 0; n < 4; ++n) beds.push(await makeBed(t))
  await Promise.all(
    beds.flatMap(({ ipvs }, index) =>
      Array.from({ length: 20 }, async (_, n) => ipvs.addService({ fwmark: 100 * index + n + 1 })),
    ),
  )
  for (const [index, bed] of beds.entries()) {
    const expected = Array.from({ length: 20 }, (_, n) => `-A -f ${100 * index + n + 1} -s wlc`)
    t.same(await bed.rules(), expected)
  }
  t.equal(await run('ipvsadm', '-Sn'), own)
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
