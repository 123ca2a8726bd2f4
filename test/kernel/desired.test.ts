// Desired state on a real kernel: the scenarios, judged by ipvsadm, and what only a kernel has.

import t from 'tap'

import type { VirtualServer } from 'ipvs-netlink'

import { applyTwice } from '../scenarios/applying.js'
import { desired as scenarios } from '../scenarios/desired.js'
import { makeBed, tcp } from './bed.js'
import { sendRaw } from './raw.js'

scenarios(makeBed)

const six = { protocol: 'tcp', address: '2001:db8::1', port: 443 } as const

t.test('destinations on the director itself and of another family stay as declared', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'lo')
  await inside('ip', 'address', 'add', '2001:db8::1/128', 'dev', 'lo', 'nodad')
  const tunnels = [
    { type: 'ipip' },
    { type: 'gre', checksum: 'csum' },
    { type: 'gue', port: 6080 },
  ] as const
  const own = ['127.0.0.1', '10.0.0.1'].flatMap((address) =>
    (['nat', 'dr', 'tun'] as const).map((forwarding, index) => ({
      ...tcp,
      port: 80 + index,
      address,
      destinations: [{ address, forwarding }],
    })),
  )
  const mixed = tunnels.map((tunnel, index) => ({
    ...six,
    port: 443 + index,
    destinations: [
      { address: '127.0.0.1', forwarding: 'tun', tunnel } as const,
      { address: '10.0.0.1', forwarding: 'tun', tunnel } as const,
      { address: '2001:db8::1', forwarding: 'tun', tunnel } as const,
      { address: '::1', forwarding: 'dr' } as const,
    ],
  }))
  const desired = [...own, ...mixed] as readonly VirtualServer[]
  await applyTwice(ipvs, desired)
  const table = await ipvs.snapshot()
  t.same(
    table.flatMap(({ destinations }) => destinations.map(({ forwarding }) => forwarding)).sort(),
    desired.flatMap(({ destinations }) => destinations.map(({ forwarding }) => forwarding)).sort(),
  )
})

t.test('what is not declared stays, unless it is ours and pruned', async (t) => {
  const { ipvs, netns, inside, rules } = await makeBed(t)
  const ours = { ...tcp, port: 81 }
  const settings = { scheduler: 'rr', flags: 0, timeout: 0, netmask: Uint8Array.of(255, 0, 255, 0) }
  const address = Uint8Array.of(10, 0, 0, 1)
  const odd = { family: 2, protocol: 47, address, port: 0 }
  const server = {
    address: Uint8Array.of(127, 0, 0, 1),
    family: 2,
    port: 0,
    weight: 1,
    upperThreshold: 0,
    lowerThreshold: 0,
  }
  await sendRaw(netns, 'NEW_SERVICE', { ...odd, ...settings })
  // Forwarding that only the kernel's own code uses.
  await sendRaw(netns, 'NEW_DEST', odd, { ...server, forwarding: 1 })
  await sendRaw(netns, 'NEW_DEST', odd, { ...server, port: 1, forwarding: 4 })
  await inside('ipvsadm', '-A', '-f', '7', '-s', 'rr', '-p', '-M', '255.0.255.0')
  await ipvs.addService(ours)
  const foreign = await rules()
  const desired = [{ ...tcp, destinations: [{ address: '127.0.0.1' }] }]

  await applyTwice(ipvs, desired)
  t.equal((await rules()).length, foreign.length + 2)
  await applyTwice(ipvs, desired, { owns: () => true })
  t.equal((await rules()).length, foreign.length + 2, 'owns alone removes nothing')

  const asked: unknown[] = []
  await applyTwice(ipvs, desired, {
    prune: true,
    owns: (service) => {
      asked.push('fwmark' in service ? service.fwmark : `${service.protocol}:${service.port}`)
      return 'port' in service && service.port === 81
    },
  })
  t.same([...new Set(asked)].sort(), ['47:0', 7, 'tcp:81'], 'not about what is declared')
  t.equal((await rules()).length, foreign.length + 1)

  // A snapshot with what cannot be declared is refused, at its path.
  await t.rejects(ipvs.apply(await ipvs.snapshot()), {
    name: 'TypeError',
    message: /persistence\.netmask/,
    code: 'ERR_INVALID_ARG_VALUE',
  })
  await applyTwice(ipvs, desired, { prune: true })
  t.same(await rules(), ['-A -t 10.0.0.1:80 -s wlc', '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1'])

  // Declared, it is made what can be declared.
  const declared = { family: 2, protocol: 6, address, port: 80 }
  await sendRaw(netns, 'SET_DEST', declared, { ...server, port: 80, forwarding: 1 })
  t.match(await ipvs.plan(desired), { changes: [{ reason: 'forwarding local -> dr' }] })
  await applyTwice(ipvs, desired)
})
