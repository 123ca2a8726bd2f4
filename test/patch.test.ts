// Patches: which fields of the records a change names, and that it names no other; laying them over
// what the kernel has is the addon's (test/native).

import { inspect } from 'node:util'

import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'

import { openIpvs } from 'ipvs-netlink'
import { takeDestinationKey, takeDestinationPatch } from '#lib/destination'
import { Memory } from '#lib/memory'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'
import { takeServiceKey, takeServicePatch } from '#lib/service'

const { operation, service, destination } = recordFormat()

/** `IP_VS_SVC_F_*`. */
const PERSISTENT = 0x01
const ONEPACKET = 0x04
const schedulerBits = 0x38

type Config = Readonly<Record<string, unknown>>

const tcp = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
const udp = { protocol: 'udp', address: '10.0.0.1', port: 53 }
const sixth = { protocol: 'tcp', address: '2001:db8::1', port: 80 }
const everyPort = { ...tcp, port: 0 }
const mark = { fwmark: 7, family: 'ipv6' }
const key = { address: '10.0.0.2' }

const patchOf = (changes: unknown, of: object = udp): ReturnType<typeof takeServicePatch> =>
  takeServicePatch(changes, 'changes', takeServiceKey(of, 'service'))

const identityNames = ['family', 'protocol', 'address', 'port', 'fwmark']

/** What a patch of a service names, beside its identity. */
const named = (changes: unknown, of: object = udp): Config =>
  Object.fromEntries(
    Object.entries(patchOf(changes, of).fields).filter(([name]) => !identityNames.includes(name)),
  )

const nothing = { flags: 0, flagsMask: 0 }

t.test('a patch of nothing names nothing', async (t) => {
  t.same(named({}), nothing)
  const names = ['scheduler', 'schedulerFlags', 'onePacket', 'persistence']
  t.same(named(Object.fromEntries(names.map((name) => [name, undefined]))), nothing)
  t.equal(patchOf({}).patch.keepsScheduler, false)
})

t.test('a scheduler alone leaves the flags to the addon', async (t) => {
  t.same(named({ scheduler: 'rr' }), { ...nothing, scheduler: 'rr' })
  t.equal(patchOf({ scheduler: 'rr' }).patch.keepsScheduler, false)
})

t.test('scheduler flags replace all three bits, and no others', async (t) => {
  const flags = (changes: object, bits: number): void => {
    t.match(named(changes), { flags: bits, flagsMask: schedulerBits })
  }
  flags({ schedulerFlags: [] }, 0)
  flags({ schedulerFlags: ['flag-1'] }, 0x08)
  flags({ schedulerFlags: ['flag-2', 'flag-3', 'flag-2'] }, 0x30)
  flags({ scheduler: 'sh', schedulerFlags: ['sh-port'] }, 0x10)
  flags({ scheduler: 'mh', schedulerFlags: ['mh-fallback', 'flag-2'] }, 0x18)
})

t.test("flags with a scheduler's name want that scheduler to be there", async (t) => {
  for (const flag of ['sh-fallback', 'sh-port', 'mh-fallback', 'mh-port']) {
    const { fields, patch } = patchOf({ schedulerFlags: ['flag-3', flag] })
    t.equal(fields.scheduler, flag.slice(0, 2))
    t.equal(patch.keepsScheduler, true, flag)
  }
  t.notOk('scheduler' in named({ schedulerFlags: ['flag-1'] }), 'these fit any')
  const { patch } = patchOf({ scheduler: 'sh', schedulerFlags: ['sh-port'] })
  t.equal(patch.keepsScheduler, false, 'named, it is set')
})

t.test('one-packet scheduling is one bit', async (t) => {
  t.same(named({ onePacket: true }), { flags: ONEPACKET, flagsMask: ONEPACKET })
  t.same(named({ onePacket: false }), { flags: 0, flagsMask: ONEPACKET })
  t.same(named({ onePacket: true }, mark), { flags: ONEPACKET, flagsMask: ONEPACKET })
  t.same(named({ onePacket: false }, tcp), { flags: 0, flagsMask: ONEPACKET })
})

const persistent = { flags: PERSISTENT, flagsMask: PERSISTENT }
const mask = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)
const length = (bits: number): Uint8Array => new Uint8Array(new Uint32Array([bits]).buffer)

t.test('persistence names what is named of it', async (t) => {
  const change = (persistence: object | null, of: object = udp): Config =>
    named({ persistence }, of)
  t.same(change({}), persistent)
  t.same(change({ timeout: 9 }), { ...persistent, timeout: 9 })
  t.same(change({ timeout: undefined, prefixLength: undefined, netmask: undefined }), persistent)
  t.same(change({ prefixLength: 9 }), { ...persistent, netmask: mask(255, 128, 0, 0) })
  t.same(change({ netmask: '255.255.0.0' }), { ...persistent, netmask: mask(255, 255, 0, 0) })
  t.same(change({ prefixLength: 64 }, sixth), { ...persistent, netmask: length(64) })
  t.same(change({ prefixLength: 1 }, mark), { ...persistent, netmask: length(1) })
  t.same(change({ engine: 'sip' }), { ...persistent, engine: 'sip' })
  t.equal(patchOf({ persistence: {} }).patch.defaultTimeout, 360, 'of a service that was not')
})

t.test('null takes an engine away, and makes nothing persistent', async (t) => {
  t.same(named({ persistence: { engine: null } }), { ...nothing, engine: '' })
  t.same(named({ persistence: { engine: null, timeout: 9 } }), {
    ...persistent,
    engine: '',
    timeout: 9,
  })
})

t.test('null ends persistence, and leaves nothing of it behind', async (t) => {
  const ended = { flags: 0, flagsMask: PERSISTENT, timeout: 0, engine: '' }
  t.same(named({ persistence: null }), { ...ended, netmask: mask(255, 255, 255, 255) })
  t.same(named({ persistence: null }, sixth), { ...ended, netmask: length(128) })
  t.same(named({ persistence: null }, mark), { ...ended, netmask: length(128) })
})

t.test('changes of a service add up', async (t) => {
  const parts = {
    scheduler: fc.constantFrom('rr', 'wlc', 'mine'),
    schedulerFlags: fc.subarray(['flag-1', 'flag-2', 'flag-3']),
    onePacket: fc.boolean(),
    persistence: fc.constantFrom({}, null, { timeout: 1 }, { prefixLength: 8, engine: 'sip' }),
  }
  const some = fc.record(parts, { requiredKeys: [] })
  fc.assert(
    fc.property(some, (changes) => {
      const separately = Object.entries(changes).map(([name, value]) => named({ [name]: value }))
      const bits = (name: string): number =>
        separately.reduce((sum, each) => sum | (each[name] as number), 0)
      t.same(named(changes), {
        ...Object.assign({}, ...separately),
        flags: bits('flags'),
        flagsMask: bits('flagsMask'),
      })
    }),
    { numRuns: 300 },
  )
})

// Destinations.

const destinationPatch = (changes: unknown, address: object = key, of: object = tcp): Config => {
  const owner = takeServiceKey(of, 'service')
  const identity = takeDestinationKey(address, 'destination', owner)
  const fields = takeDestinationPatch(changes, 'changes', identity, owner)
  return Object.fromEntries(
    Object.entries(fields).filter(([name]) => !identityNames.includes(name)),
  )
}

t.test('a patch of a destination names what is named', async (t) => {
  t.same(destinationPatch({}), {})
  t.same(destinationPatch({ weight: 0 }), { weight: 0 })
  t.same(destinationPatch({ weight: undefined, upperThreshold: 0 }), { upperThreshold: 0 })
  const most = 2 ** 31 - 1
  t.same(destinationPatch({ lowerThreshold: most }), { lowerThreshold: most }, 'by itself')
  t.same(destinationPatch({ forwarding: 'tun' }), { forwarding: 2 }, 'the tunnel stays')
  const noTunnel = { tunnelType: 0, tunnelPort: 0, tunnelFlags: 0 }
  t.same(destinationPatch({ forwarding: 'nat' }), { forwarding: 0, ...noTunnel })
  t.same(destinationPatch({ forwarding: 'dr' }), { forwarding: 3, ...noTunnel })
})

t.test('a tunnel is replaced as a whole, and brings its forwarding', async (t) => {
  const change = (tunnel: object): Config => destinationPatch({ tunnel })
  const ipip = { forwarding: 2, tunnelType: 0, tunnelPort: 0, tunnelFlags: 0 }
  t.same(change({ type: 'ipip' }), ipip)
  t.same(change({ type: 'gre' }), { ...ipip, tunnelType: 2 })
  t.same(change({ type: 'gre', checksum: 'csum' }), { ...ipip, tunnelType: 2, tunnelFlags: 1 })
  t.same(change({ type: 'gue', port: 9, checksum: 'remcsum' }), {
    forwarding: 2,
    tunnelType: 1,
    tunnelPort: 9,
    tunnelFlags: 2,
  })
  t.same(destinationPatch({ forwarding: 'tun', tunnel: { type: 'ipip' } }), ipip)
})

// Wrong ones.

/** Operations that reached the addon. */
const sent: Buffer[] = []

const addon = loadAddon() as unknown as Record<string, unknown>
addon['Connection'] = class {
  async open(): Promise<undefined> {
    return undefined
  }

  async apply(operations: Uint8Array): Promise<object> {
    sent.push(Buffer.from(operations))
    return { outcomes: new ArrayBuffer((8 * operations.length) / operation.size), texts: {} }
  }
}

const ipvs = (await openIpvs()) as unknown as Readonly<
  Record<string, (...given: unknown[]) => Promise<unknown>>
>

const call = async (verb: string, ...given: unknown[]): Promise<unknown> => {
  const method = ipvs[verb]
  if (!method) throw new Error(`there is no verb ${verb}`)
  return method.apply(ipvs, given)
}

const refuses = async (
  t: Test,
  verb: string,
  given: unknown[],
  path: string,
  code: string,
): Promise<void> => {
  const message = new RegExp(`"changes\\.${path.replaceAll(/[.[\]]/g, '\\$&')}"`)
  const what = inspect(given.at(-1), { breakLength: Infinity })
  await t.rejects(call(verb, ...given), { code, message }, what)
  t.same(sent, [], 'nothing was sent')
}

const codes = {
  type: 'ERR_INVALID_ARG_TYPE',
  value: 'ERR_INVALID_ARG_VALUE',
  range: 'ERR_OUT_OF_RANGE',
} as const

type Wrong = readonly [path: string, kind: keyof typeof codes, changes: object, of?: object]

const wrongServices: readonly Wrong[] = [
  ['scheduler', 'type', { scheduler: null }],
  ['scheduler', 'value', { scheduler: '' }],
  ['scheduler', 'value', { scheduler: 'x'.repeat(16) }],
  ['schedulerFlags', 'type', { schedulerFlags: null }],
  ['schedulerFlags', 'type', { schedulerFlags: 'flag-1' }],
  ['schedulerFlags[1]', 'value', { schedulerFlags: ['flag-1', 'flag-4'] }],
  ['schedulerFlags[0]', 'type', { schedulerFlags: [1] }],
  ['schedulerFlags[1]', 'value', { schedulerFlags: ['sh-port', 'mh-port'] }],
  ['schedulerFlags[0]', 'value', { scheduler: 'rr', schedulerFlags: ['sh-port'] }],
  ['schedulerFlags[0]', 'value', { scheduler: 'mh', schedulerFlags: ['sh-port'] }],
  ['onePacket', 'type', { onePacket: null }],
  ['onePacket', 'type', { onePacket: 1 }],
  ['onePacket', 'value', { onePacket: true }, tcp],
  ['onePacket', 'value', { onePacket: true }, { ...tcp, protocol: 'sctp' }],
  ['persistence', 'type', { persistence: true }],
  ['persistence', 'type', { persistence: 360 }],
  ['persistence', 'type', { persistence: [] }],
  ['persistence', 'value', { persistence: null }, everyPort],
  ['persistence.timeOut', 'value', { persistence: { timeOut: 1 } }],
  ['persistence.timeout', 'type', { persistence: { timeout: null } }],
  ['persistence.timeout', 'range', { persistence: { timeout: 0 } }],
  ['persistence.timeout', 'range', { persistence: { timeout: 4_294_968 } }],
  ['persistence.prefixLength', 'range', { persistence: { prefixLength: 0 } }],
  ['persistence.prefixLength', 'range', { persistence: { prefixLength: 33 } }],
  ['persistence.prefixLength', 'range', { persistence: { prefixLength: 129 } }, sixth],
  ['persistence.prefixLength', 'type', { persistence: { prefixLength: null } }],
  ['persistence.netmask', 'type', { persistence: { netmask: null } }],
  ['persistence.netmask', 'value', { persistence: { netmask: '24' } }],
  ['persistence.netmask', 'value', { persistence: { netmask: '0.0.0.0' } }],
  ['persistence.netmask', 'value', { persistence: { netmask: '255.0.255.0' } }],
  ['persistence.netmask', 'value', { persistence: { netmask: '255.0.0.0' } }, sixth],
  ['persistence.netmask', 'value', { persistence: { netmask: '255.0.0.0', prefixLength: 8 } }],
  ['persistence.engine', 'value', { persistence: { engine: '' } }],
  ['persistence.engine', 'type', { persistence: { engine: 1 } }],
  ['persistence.engine', 'value', { persistence: { engine: 'sip' } }, tcp],
  ['port', 'value', { port: 81 }],
  ['sheduler', 'value', { sheduler: 'rr' }],
  ['stats', 'value', { stats: {} }],
]

t.test('patchService refuses what can never be right', async (t) => {
  for (const [path, kind, changes, of = udp] of wrongServices) {
    await refuses(t, 'patchService', [of, changes], path, codes[kind])
  }
})

const inThrough = { address: '2001:db8::2' }

const wrongDestinations: readonly Wrong[] = [
  ['weight', 'type', { weight: null }],
  ['weight', 'type', { weight: '1' }],
  ['weight', 'range', { weight: -1 }],
  ['weight', 'range', { weight: 2 ** 31 }],
  ['upperThreshold', 'range', { upperThreshold: 2 ** 31 }],
  ['upperThreshold', 'type', { upperThreshold: null }],
  ['lowerThreshold', 'range', { lowerThreshold: 0.5 }],
  ['lowerThreshold', 'value', { lowerThreshold: 2, upperThreshold: 1 }],
  ['lowerThreshold', 'value', { lowerThreshold: 1, upperThreshold: 0 }],
  ['forwarding', 'type', { forwarding: null }],
  ['forwarding', 'value', { forwarding: 'local' }],
  ['forwarding', 'value', { forwarding: 'bypass' }],
  ['tunnel', 'type', { tunnel: null }],
  ['tunnel', 'value', { tunnel: { type: 'ipip' }, forwarding: 'nat' }],
  ['tunnel', 'value', { tunnel: { type: 'ipip' }, forwarding: 'dr' }],
  ['tunnel.type', 'type', { tunnel: {} }],
  ['tunnel.type', 'value', { tunnel: { type: 'vxlan' } }],
  ['tunnel.port', 'type', { tunnel: { type: 'gue' } }],
  ['tunnel.port', 'range', { tunnel: { type: 'gue', port: 0 } }],
  ['tunnel.port', 'value', { tunnel: { type: 'gre', port: 1 } }],
  ['tunnel.checksum', 'value', { tunnel: { type: 'ipip', checksum: 'none' } }],
  ['tunnel.checksum', 'value', { tunnel: { type: 'gre', checksum: 'remcsum' } }],
  ['address', 'value', { address: '10.0.0.3' }],
  ['port', 'value', { port: 80 }],
  ['activeConnections', 'value', { activeConnections: 0 }],
]

t.test('patchDestination refuses what can never be right', async (t) => {
  for (const [path, kind, changes] of wrongDestinations) {
    await refuses(t, 'patchDestination', [tcp, key, changes], path, codes[kind])
  }
})

t.test('a patch is held to what its destination is', async (t) => {
  const value = codes.value
  const rejected = async (address: object, changes: object, message: RegExp): Promise<void> => {
    const refused = call('patchDestination', tcp, address, changes)
    await t.rejects(refused, { code: value, message }, inspect(changes))
  }
  await rejected(inThrough, { forwarding: 'dr' }, /an ipv4 address like the service's/)
  await rejected(inThrough, { forwarding: 'nat' }, /an ipv4 address like the service's/)
  await rejected({ ...key, port: 8080 }, { forwarding: 'dr' }, /the service's own, 80/)
  await rejected({ ...key, port: 8080 }, { tunnel: { type: 'ipip' } }, /the service's own, 80/)
  t.same(sent, [], 'nothing was sent')
  t.same(destinationPatch({ weight: 1 }, inThrough), { weight: 1 }, 'other changes are not')
  t.same(destinationPatch({ tunnel: { type: 'gre' } }, inThrough)['tunnelType'], 2)
  t.same(destinationPatch({ weight: 1 }, { ...key, port: 8080 }), { weight: 1 })
})

t.test('patches travel as such, with the identity they are for', async (t) => {
  await Promise.all([
    call('patchService', { ...udp, scheduler: 'rr', stats: {} }, { persistence: {} }),
    call('patchService', mark, { schedulerFlags: ['mh-port'] }),
    call('patchDestination', tcp, key, { weight: 5 }),
    call('editService', udp),
  ])
  const memory = new Memory(Uint8Array.from(Buffer.concat(sent)).buffer)
  const heads = [0, 1, 2, 3].map((index) =>
    [0, 4, 8, 12].map((at) => memory.word(index * operation.size + at)),
  )
  // Command, patch, default timeout, whether the scheduler has to be there.
  t.same(heads, [
    [2, 1, 360, 0],
    [2, 1, 360, 1],
    [6, 1, 0, 0],
    [2, 0, 0, 0],
  ])
  t.match(service.read(memory, operation.service), { family: 2, protocol: 17, port: 53 })
  t.notOk('scheduler' in service.read(memory, operation.service), 'of a whole service its key')
  t.match(service.read(memory, operation.size + operation.service), { family: 10, fwmark: 7 })
  const fields = destination.read(memory, 2 * operation.size + operation.destination)
  t.match(fields, { family: 2, port: 80, weight: 5 })
  t.same(Object.keys(fields).sort(), ['address', 'family', 'port', 'weight'])
})
