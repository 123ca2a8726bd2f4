// What the kernel refuses, each with the code that says it; that nothing is changed by it; and what
// an edit resets. What is refused before the kernel hears of it is in the unit tests.

import t from 'tap'
import type {
  DestinationConfig,
  Ipvs,
  IpvsErrorCode,
  Operation,
  ServiceConfig,
  ServiceKey,
} from 'ipvs-netlink'

import { refusal, tcp, udp6 } from './scene.js'
import type { MakeScene } from './scene.js'

const server = { address: '127.0.0.1' }
const most = 2 ** 31 - 1

/** Every verb that names a service, and what the kernel calls it. */
const onService = (
  ipvs: Ipvs,
  key: ServiceKey,
): readonly (readonly [string, () => Promise<unknown>])[] => [
  ['GET_SERVICE', async () => ipvs.getService(key)],
  ['SET_SERVICE', async () => ipvs.editService({ ...key, persistence: {} })],
  ['SET_SERVICE', async () => ipvs.patchService(key, { scheduler: 'rr' })],
  ['DEL_SERVICE', async () => ipvs.deleteService(key)],
  ['ZERO', async () => ipvs.zero(key)],
  ['GET_DEST', async () => ipvs.listDestinations(key)],
  ['NEW_DEST', async () => ipvs.addDestination(key, { address: '::1', forwarding: 'tun' })],
  ['SET_DEST', async () => ipvs.editDestination(key, { address: '::1', forwarding: 'tun' })],
  ['SET_DEST', async () => ipvs.patchDestination(key, { address: '::1' }, { weight: 0 })],
  ['DEL_DEST', async () => ipvs.deleteDestination(key, { address: '::1' })],
]

const withoutStats = (read: object): object =>
  Object.fromEntries(Object.entries(read).filter(([name]) => name !== 'stats'))

export const refusals = (makeScene: MakeScene): void => {
  t.test('a service that is not there has one code, whatever is asked of it', async (t) => {
    const { ipvs } = await makeScene(t)
    // Neighbours of the absent ones.
    await ipvs.addService(tcp)
    await ipvs.addService({ fwmark: 7 })
    const absent: ServiceKey[] = [
      { ...tcp, port: 81 },
      { ...tcp, protocol: 'udp' },
      { ...tcp, address: '10.0.0.2' },
      { ...tcp, port: 0 },
      udp6,
      { fwmark: 8, family: 'ipv4' },
      { fwmark: 7, family: 'ipv6' },
      { fwmark: 4_294_967_295, family: 'ipv4' },
    ]
    for (const service of absent) {
      for (const [command, call] of onService(ipvs, service)) {
        await t.rejects(call(), refusal('ERR_IPVS_NO_SERVICE', { errno: -3, command, service }))
      }
    }
    t.equal((await ipvs.snapshot()).length, 2)
  })

  t.test('a destination that is not there has one code, whatever is asked of it', async (t) => {
    const { ipvs } = await makeScene(t)
    await ipvs.addService(tcp)
    await ipvs.addDestination(tcp, { ...server, port: 8080, forwarding: 'nat' })
    const absent = [
      { address: '127.0.0.1', port: 80 },
      { address: '127.0.0.2', port: 8080 },
      // The same number in the other family.
      { address: '7f00:1::', port: 80 },
    ]
    for (const destination of absent) {
      const missing = refusal('ERR_IPVS_NO_DESTINATION', { errno: -2, service: tcp, destination })
      const config: DestinationConfig = destination.address.includes(':')
        ? { ...destination, forwarding: 'tun' }
        : { ...destination, forwarding: 'nat' }
      await t.rejects(ipvs.editDestination(tcp, config), missing)
      await t.rejects(ipvs.patchDestination(tcp, destination, { weight: 1 }), missing)
      await t.rejects(ipvs.deleteDestination(tcp, destination), missing)
    }
    t.equal((await ipvs.listDestinations(tcp)).length, 1)
  })

  t.test('what exists already stays as it is', async (t) => {
    const { ipvs } = await makeScene(t)
    await ipvs.addService({ ...tcp, scheduler: 'rr' })
    await ipvs.addDestination(tcp, { ...server, weight: 3 })
    const before = await ipvs.snapshot()
    await t.rejects(
      ipvs.addService({ ...tcp, persistence: {} }),
      refusal('ERR_IPVS_SERVICE_EXISTS', { errno: -17, service: tcp }),
    )
    await t.rejects(
      ipvs.addDestination(tcp, { ...server, weight: 4 }),
      refusal('ERR_IPVS_DESTINATION_EXISTS', { errno: -17 }),
    )
    t.same(await ipvs.snapshot(), before)
  })

  t.test('thresholds that do not fit each other', async (t) => {
    const { ipvs } = await makeScene(t)
    await ipvs.addService(tcp)
    await ipvs.addDestination(tcp, { ...server, upperThreshold: 5, lowerThreshold: 2 })
    const refused = refusal('ERR_IPVS_REFUSED', {
      errno: -34,
      command: 'SET_DEST',
      message: /lower threshold would be above the upper one/,
    })
    for (const changes of [
      { lowerThreshold: 6 },
      { lowerThreshold: most },
      { upperThreshold: 1 },
      { upperThreshold: 0 },
    ]) {
      await t.rejects(ipvs.patchDestination(tcp, server, changes), refused)
    }
    t.match(await ipvs.listDestinations(tcp), [{ upperThreshold: 5, lowerThreshold: 2 }])
    await ipvs.patchDestination(tcp, server, { lowerThreshold: 5 })
    await ipvs.patchDestination(tcp, server, { upperThreshold: most, lowerThreshold: most })
    t.match(await ipvs.listDestinations(tcp), [{ upperThreshold: most, lowerThreshold: most }])
  })

  t.test('schedulers and engines that the kernel does not have', async (t) => {
    const { ipvs } = await makeScene(t)
    const udp = { protocol: 'udp', address: '10.0.0.1', port: 5060 } as const
    await ipvs.addService({ ...udp, scheduler: 'sh', persistence: { engine: 'sip', timeout: 9 } })
    const before = await ipvs.snapshot()
    const noScheduler = refusal('ERR_IPVS_NO_SCHEDULER', { errno: -2, message: /ip_vs_no1\b/ })
    const noEngine = refusal('ERR_IPVS_NO_PERSISTENCE_ENGINE', {
      errno: -2,
      message: /ip_vs_pe_no2\b/,
    })
    await t.rejects(ipvs.patchService(udp, { scheduler: 'no1' }), noScheduler)
    await t.rejects(ipvs.patchService(udp, { persistence: { engine: 'no2' } }), noEngine)
    const both = { scheduler: 'no1', persistence: { engine: 'no2' } }
    await t.rejects(ipvs.patchService(udp, both), noScheduler)
    await t.rejects(ipvs.patchService(udp, { ...both, scheduler: 'wlc' }), noEngine)
    const sixth = { ...udp6, ...both }
    t.match(await ipvs.batch([{ op: 'addService', service: sixth }]), [{ error: noScheduler }])
    await t.rejects(ipvs.addService({ ...sixth, scheduler: 'wlc' }), noEngine)
    await t.rejects(ipvs.editService({ ...udp, ...both, scheduler: 'wlc' }), noEngine)
    t.same(await ipvs.snapshot(), before, 'nothing was changed')
  })

  t.test('a batch has the code of each refusal in its place', async (t) => {
    const { ipvs } = await makeScene(t)
    const absent = { ...tcp, port: 81 }
    const destination = { ...server, forwarding: 'nat', port: 8080 } as const
    const cases: readonly (readonly [Operation, IpvsErrorCode | undefined])[] = [
      [{ op: 'deleteService', service: tcp }, 'ERR_IPVS_NO_SERVICE'],
      [{ op: 'addService', service: tcp }, undefined],
      [{ op: 'addService', service: tcp }, 'ERR_IPVS_SERVICE_EXISTS'],
      [{ op: 'editService', service: absent }, 'ERR_IPVS_NO_SERVICE'],
      [{ op: 'zero', service: absent }, 'ERR_IPVS_NO_SERVICE'],
      [{ op: 'zero', service: tcp }, undefined],
      [{ op: 'zero' }, undefined],
      [{ op: 'editDestination', service: tcp, destination }, 'ERR_IPVS_NO_DESTINATION'],
      [{ op: 'addDestination', service: tcp, destination }, undefined],
      [{ op: 'addDestination', service: tcp, destination }, 'ERR_IPVS_DESTINATION_EXISTS'],
      [{ op: 'addDestination', service: absent, destination }, 'ERR_IPVS_NO_SERVICE'],
      [
        { op: 'patchDestination', service: tcp, destination, changes: { lowerThreshold: 1 } },
        'ERR_IPVS_REFUSED',
      ],
      [
        { op: 'patchService', service: tcp, changes: { schedulerFlags: ['sh-port'] } },
        'ERR_IPVS_REFUSED',
      ],
      [{ op: 'setTimeouts', timeouts: { udp: 21_474_836 } }, 'ERR_IPVS_REFUSED'],
      [{ op: 'setTimeouts', timeouts: { udp: 301 } }, undefined],
      [{ op: 'stopSyncDaemon', role: 'master' }, 'ERR_IPVS_NO_DAEMON'],
      [
        { op: 'startSyncDaemon', daemon: { role: 'backup', interface: 'nosuch' } },
        'ERR_IPVS_REFUSED',
      ],
      [{ op: 'deleteDestination', service: tcp, destination }, undefined],
      [{ op: 'deleteDestination', service: tcp, destination }, 'ERR_IPVS_NO_DESTINATION'],
      [{ op: 'clear' }, undefined],
      [{ op: 'deleteService', service: tcp }, 'ERR_IPVS_NO_SERVICE'],
      [{ op: 'clear' }, undefined],
    ]
    const outcomes = await ipvs.batch(cases.map(([operation]) => operation))
    t.same(
      outcomes.map((outcome) => (outcome.ok ? undefined : outcome.error.code)),
      cases.map(([, code]) => code),
    )
    t.match(await ipvs.timeouts(), { udp: 301 })
    t.same(await ipvs.snapshot(), [])
  })

  t.test('an edit resets each setting of a service that is left out, and no other', async (t) => {
    const { ipvs } = await makeScene(t)
    const persistence = { timeout: 90, prefixLength: 24, engine: 'sip' } as const
    const settings = {
      scheduler: 'sh',
      schedulerFlags: ['sh-fallback', 'flag-3'],
      onePacket: true,
      persistence,
    } as const
    const four = { protocol: 'udp', address: '10.0.0.1', port: 5060 } as const
    const six = { fwmark: 4_000_000_000, family: 'ipv6' } as const
    for (const [key, bits] of [
      [four, 32],
      [six, 128],
    ] as const) {
      await ipvs.addService({ ...key, ...settings })
      const changed = async (config: ServiceConfig): Promise<object> => {
        // From the full one each time, so that each reset is this edit's.
        await ipvs.editService({ ...key, ...settings })
        await ipvs.editService(config)
        return withoutStats(await ipvs.getService(key))
      }
      const { scheduler, schedulerFlags, onePacket, ...none } = { ...key, ...settings }
      const full = { ...none, scheduler, schedulerFlags, onePacket }
      t.same(await changed(full), full)
      t.same(await changed({ ...none, schedulerFlags: ['flag-3'], onePacket }), {
        ...full,
        scheduler: 'wlc',
        schedulerFlags: ['flag-3'],
      })
      t.same(await changed({ ...none, scheduler, onePacket }), { ...full, schedulerFlags: [] })
      t.same(await changed({ ...none, scheduler, schedulerFlags }), { ...full, onePacket: false })
      const part = async (given: object): Promise<unknown> =>
        ((await changed({ ...full, persistence: given })) as { persistence?: object }).persistence
      t.same(await part({ prefixLength: 24, engine: 'sip' }), { ...persistence, timeout: 360 })
      t.same(await part({ timeout: 90, engine: 'sip' }), { ...persistence, prefixLength: bits })
      t.same(await part({ timeout: 90, prefixLength: 24 }), { timeout: 90, prefixLength: 24 })
      t.same(await part({}), { timeout: 360, prefixLength: bits })
      t.same(await changed(key), {
        ...key,
        scheduler: 'wlc',
        schedulerFlags: [],
        onePacket: false,
      })
      // What persistence had is gone, not hidden.
      await ipvs.editService({ ...key, persistence: {} })
      t.same((await ipvs.getService(key)).persistence, { timeout: 360, prefixLength: bits })
    }
  })

  t.test(
    'an edit resets each setting of a destination that is left out, and no other',
    async (t) => {
      const { ipvs } = await makeScene(t)
      await ipvs.addService(tcp)
      const settings = {
        forwarding: 'tun',
        weight: 7,
        upperThreshold: 9,
        lowerThreshold: 4,
        tunnel: { type: 'gue', port: 6080, checksum: 'remcsum' },
      } as const
      for (const address of ['127.0.0.1', '::1']) {
        const full = { address, ...settings }
        await ipvs.addDestination(tcp, full)
        const changed = async (config: DestinationConfig): Promise<object | undefined> => {
          await ipvs.editDestination(tcp, full)
          await ipvs.editDestination(tcp, config)
          return (await ipvs.listDestinations(tcp)).find((each) => each.address === address)
        }
        const { forwarding, weight, upperThreshold, lowerThreshold, tunnel } = settings
        const limits = { upperThreshold, lowerThreshold }
        t.match(await changed(full), full)
        t.match(await changed({ address, forwarding, tunnel, ...limits }), { ...full, weight: 1 })
        t.match(await changed({ address, forwarding, tunnel, weight, upperThreshold }), {
          ...full,
          lowerThreshold: 0,
        })
        t.match(await changed({ address, forwarding, tunnel, weight }), {
          ...full,
          upperThreshold: 0,
          lowerThreshold: 0,
        })
        const plain = { type: 'ipip' }
        t.same(((await changed({ address, forwarding })) as { tunnel?: object }).tunnel, plain)
        const gue = { ...full, tunnel: { type: 'gue', port: 1 } } as const
        t.match(await changed(gue), { tunnel: { type: 'gue', port: 1, checksum: 'none' } })
        // What the tunnel had is gone, not hidden.
        await ipvs.editDestination(tcp, { address, forwarding: 'tun', tunnel: { type: 'gre' } })
        const [read] = (await ipvs.listDestinations(tcp)).filter((each) => each.address === address)
        t.same(read?.tunnel, { type: 'gre', checksum: 'none' })
        if (address === '::1') continue
        t.match(await changed({ address }), { forwarding: 'dr', weight: 1, upperThreshold: 0 })
      }
    },
  )

  t.test('what is empty is empty, and no error', async (t) => {
    const { ipvs } = await makeScene(t)
    const empty = async (): Promise<void> => {
      t.same(await ipvs.listServices(), [])
      t.same(await ipvs.listServices({ bigint: true }), [])
      t.same(await ipvs.snapshot(), [])
      t.same(await ipvs.snapshot({ consistent: true, bigint: true }), [])
      t.same(await ipvs.syncDaemons(), [])
      for await (const entry of ipvs.connections()) t.fail('a connection', { entry })
      const totals = Object.values(await ipvs.totals())
      t.same(totals, Array(10).fill(0))
    }
    await empty()
    await ipvs.clear()
    await ipvs.zero()
    await empty()
    await ipvs.addService(tcp)
    t.same(await ipvs.listDestinations(tcp), [])
    t.match(await ipvs.snapshot(), [{ destinations: [] }])
    await ipvs.addDestination(tcp, server)
    await ipvs.deleteDestination(tcp, server)
    t.same(await ipvs.listDestinations(tcp, { bigint: true }), [])
    await ipvs.clear()
    await empty()
  })
}
