// On a machine without the addon: what is wrong is refused first, by every call, and what is right is
// not available.

import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import t from 'tap'
import { host, ipvs, openHost, openIpvs } from 'ipvs-netlink'

// How node-gyp-build is told of another build: here there is none.
process.env['IPVS_NETLINK_PREBUILD'] = mkdtempSync(join(tmpdir(), 'ipvs-netlink-none-'))

const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const destination = { address: '10.0.0.2', port: 80 } as const
const daemon = { role: 'master', interface: 'eth0' } as const
const none = { bigint: 1 } as never
const wrongService = { ...service, port: 65536 }
const wrongDestination = { ...destination, weigth: 1 } as never

const first = async (entries: AsyncIterable<unknown>): Promise<unknown> => {
  for await (const entry of entries) return entry
  return undefined
}

/** Of each verb a right call, and wrong ones. */
const calls: Readonly<Record<string, readonly [() => unknown, ...(() => unknown)[]]>> = {
  addService: [
    () => ipvs.addService(service),
    () => ipvs.addService(wrongService),
    () => ipvs.addService(service, { ifExists: 'x' as never }),
  ],
  editService: [() => ipvs.editService(service), () => ipvs.editService(wrongService)],
  patchService: [
    () => ipvs.patchService(service, {}),
    () => ipvs.patchService(service, { scheduler: '' }),
    () => ipvs.patchService(wrongService, {}),
  ],
  deleteService: [() => ipvs.deleteService(service), () => ipvs.deleteService(wrongService)],
  getService: [() => ipvs.getService(service), () => ipvs.getService(wrongService)],
  listServices: [() => ipvs.listServices(), () => ipvs.listServices(none)],
  addDestination: [
    () => ipvs.addDestination(service, destination),
    () => ipvs.addDestination(service, wrongDestination),
    () => ipvs.addDestination(wrongService, destination),
  ],
  editDestination: [
    () => ipvs.editDestination(service, destination),
    () => ipvs.editDestination(service, wrongDestination),
  ],
  patchDestination: [
    () => ipvs.patchDestination(service, destination, {}),
    () => ipvs.patchDestination(service, destination, { weight: -1 }),
  ],
  deleteDestination: [
    () => ipvs.deleteDestination(service, destination),
    () => ipvs.deleteDestination(service, wrongDestination),
  ],
  listDestinations: [
    () => ipvs.listDestinations(service),
    () => ipvs.listDestinations(wrongService),
  ],
  snapshot: [() => ipvs.snapshot(), () => ipvs.snapshot(none)],
  stream: [() => first(ipvs.stream()), () => first(ipvs.stream(none))],
  columns: [() => ipvs.columns(), () => ipvs.columns(none)],
  batch: [
    () => ipvs.batch([{ op: 'clear' }]),
    () => ipvs.batch([{ op: 'clear' }, { op: 'addService', service: wrongService }]),
    () => ipvs.batch({} as never),
  ],
  clear: [() => ipvs.clear(), () => ipvs.clear({ signal: 1 as never })],
  zero: [() => ipvs.zero(), () => ipvs.zero(wrongService)],
  timeouts: [() => ipvs.timeouts(), () => ipvs.timeouts(none)],
  setTimeouts: [() => ipvs.setTimeouts({ tcp: 1 }), () => ipvs.setTimeouts({ tcp: 0 })],
  overrideTimeouts: [
    () => ipvs.overrideTimeouts({ tcp: 1 }),
    () => ipvs.overrideTimeouts({ tcp: 0 }),
  ],
  syncDaemons: [() => ipvs.syncDaemons(), () => ipvs.syncDaemons(none)],
  startSyncDaemon: [
    () => ipvs.startSyncDaemon(daemon),
    () => ipvs.startSyncDaemon({ ...daemon, ttl: 0 }),
  ],
  stopSyncDaemon: [() => ipvs.stopSyncDaemon('master'), () => ipvs.stopSyncDaemon('x' as never)],
  connections: [
    () => first(ipvs.connections()),
    () => first(ipvs.connections({ state: '' })),
    () => first(ipvs.connections({ states: 'NONE' } as never)),
  ],
  totals: [() => ipvs.totals(), () => ipvs.totals(none)],
  info: [() => ipvs.info(), () => ipvs.info(none)],
  plan: [() => ipvs.plan([]), () => ipvs.plan([{ ...wrongService, destinations: [] }])],
  apply: [
    () => ipvs.apply([]),
    () => ipvs.apply([{ ...service, destinations: [wrongDestination] }]),
    () => ipvs.apply([], { prune: 1 as never }),
  ],
  drainDestination: [
    () => ipvs.drainDestination(service, destination),
    () => ipvs.drainDestination(service, wrongDestination),
    () => ipvs.drainDestination(service, destination, { timeout: -1 }),
  ],
  drainService: [() => ipvs.drainService(service), () => ipvs.drainService(wrongService)],
  listDrains: [() => ipvs.listDrains(), () => ipvs.listDrains(none)],
  watch: [() => first(ipvs.watch()), () => first(ipvs.watch({ interval: 0 }))],
  save: [() => ipvs.save(), () => ipvs.save(none)],
  restore: [
    () => ipvs.restore('-A -t 10.0.0.1:80'),
    () => ipvs.restore(1 as never),
    () => ipvs.restore('', { clear: 1 as never }),
  ],
  saveToFile: [() => ipvs.saveToFile('/nonexistent/x'), () => ipvs.saveToFile(1 as never)],
  restoreFromFile: [
    () => ipvs.restoreFromFile('/etc/hostname-that-is-not'),
    () => ipvs.restoreFromFile(1 as never),
  ],
  openIpvs: [() => openIpvs(), () => openIpvs({ timeout: 0 })],

  getSysctl: [() => host.getSysctl('net.ipv4.ip_forward'), () => host.getSysctl('kernel.x')],
  setSysctl: [
    () => host.setSysctl('net.ipv4.ip_forward', 1),
    () => host.setSysctl('net.ipv4.ip_forward', 0.5),
  ],
  ipForward: [() => host.ipForward(), () => host.ipForward(1 as never)],
  ipvsSettings: [() => host.ipvsSettings(), () => host.ipvsSettings(none)],
  setIpvsSettings: [
    () => host.setIpvsSettings({ conntrack: true }),
    () => host.setIpvsSettings({ conntrack: 1 as never }),
    () => host.setIpvsSettings({ amDroprate: -1 }),
  ],
  listAddresses: [() => host.listAddresses(), () => host.listAddresses('a/b')],
  listLinks: [() => host.listLinks(), () => host.listLinks(none)],
  addVip: [
    () => host.addVip({ address: '10.0.0.1' }),
    () => host.addVip({ address: '10.0.0.256' }),
    () => host.addVip([{ address: '10.0.0.1' }, { address: '10.0.0.2', prefixLength: 33 }]),
  ],
  deleteVip: [
    () => host.deleteVip({ address: '10.0.0.1' }),
    () => host.deleteVip({ address: '10.0.0.256' }),
  ],
  arpSuppression: [() => host.arpSuppression('eth0'), () => host.arpSuppression([])],
  suppressArp: [() => host.suppressArp('eth0'), () => host.suppressArp('a b')],
  prepareDirector: [
    () => host.prepareDirector({ forwarding: 'nat' }),
    () => host.prepareDirector({ forwarding: 'x' as never }),
  ],
  prepareRealServer: [
    () => host.prepareRealServer({ forwarding: 'dr', vip: '10.0.0.1', device: 'eth0' }),
    () => host.prepareRealServer({ forwarding: 'dr', vip: '10.0.0.1', device: undefined }),
  ],
  persist: [() => host.persist('/nonexistent/x'), () => host.persist(1 as never)],
  diagnose: [
    () => host.diagnose({ role: 'director', forwarding: 'nat' }),
    () => host.diagnose({ role: 'director', forwarding: 'x' as never }),
  ],
  openHost: [() => openHost(), () => openHost({ netns: '' })],
}

const wrong = new Set(['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'])

/** These find the file out before anything else. */
const opensFile = new Set(['restoreFromFile'])

const codeOf = async (call: () => unknown): Promise<unknown> => {
  try {
    await call()
    return 'nothing'
  } catch (error) {
    return (error as { readonly code?: unknown }).code
  }
}

for (const [verb, [right, ...others]] of Object.entries(calls)) {
  t.test(`without the addon ${verb} refuses what is wrong, and is not available`, async (t) => {
    for (const call of others) {
      const code = await codeOf(call)
      t.ok(wrong.has(String(code)), `${call.toString()}: ${String(code)}`)
    }
    t.equal(await codeOf(right), opensFile.has(verb) ? 'ENOENT' : 'ERR_IPVS_NOT_AVAILABLE')
  })
}

t.test('no verb is left out', async (t) => {
  const verbsOf = (handle: object): string[] => {
    const prototype = Object.getPrototypeOf(handle) as object | null
    if (!prototype || prototype === Object.prototype) return []
    return [...Object.getOwnPropertyNames(prototype), ...verbsOf(prototype)]
  }
  const ours = new Set([...verbsOf(ipvs), ...verbsOf(host), 'openIpvs', 'openHost'])
  for (const name of ['constructor', 'open', 'close']) ours.delete(name)
  t.same(Object.keys(calls).sort(), [...ours].sort())
})
