// What the compiler catches and what it lets pass, for a program with strict settings. Each example is
// one line of one module that is compiled in memory.

import { fileURLToPath } from 'node:url'

import t from 'tap'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))

const preamble = [
  `import { host, ipvs, IpvsError, openIpvs } from 'ipvs-netlink'`,
  `import type { ConnectionEntry, Destination, DestinationConfig, Ipvs, IpvsErrorCode } from 'ipvs-netlink'`,
  `import type { Operation, Persistence, Protocol, SchedulerFlag, Service, ServiceConfig, ServiceKey, Stats, Tunnel } from 'ipvs-netlink'`,
  `declare const tcp: { readonly protocol: 'tcp'; readonly address: string; readonly port: number }`,
  `declare const udp: { readonly protocol: 'udp'; readonly address: string; readonly port: number }`,
  // As a configuration file has it.
  `declare const file: { protocol: Protocol; scheduler: string; flags: SchedulerFlag[]; onePacket: boolean; address: string; port: number }`,
  `declare const unknown: unknown`,
  `declare const signal: AbortSignal`,
  `export type All = [ConnectionEntry, Destination, DestinationConfig, Ipvs, IpvsErrorCode, Operation, Persistence, Protocol, SchedulerFlag, Service, ServiceConfig, ServiceKey, Stats, Tunnel]`,
  `export const all = [host, ipvs, IpvsError, openIpvs, tcp, udp, file, unknown, signal]`,
]

/** What passes, with what it shows. */
const right: Readonly<Record<string, string>> = {
  'an address service': `await ipvs.addService({ protocol: 'tcp', address: '10.0.0.1', port: 80 })`,
  'a fwmark service': `await ipvs.addService({ fwmark: 1, family: 'ipv6', scheduler: 'wlc' })`,
  'a scheduler that nobody knows': `await ipvs.addService({ ...tcp, scheduler: 'mine' })`,
  'one packet at a time, where it may be': `await ipvs.addService({ ...udp, onePacket: true }); await ipvs.editService({ fwmark: 1, onePacket: true }); await ipvs.addService({ ...tcp, onePacket: false })`,
  'one packet at a time, where only the file knows': `const { protocol, address, port, onePacket } = file; await ipvs.addService({ protocol, address, port, onePacket: true }); await ipvs.addService({ ...tcp, onePacket }); const service: ServiceConfig = { protocol, address, port, ...(onePacket && { onePacket: true }) }; await ipvs.editService(service)`,
  'flags of their scheduler': `await ipvs.addService({ ...tcp, scheduler: 'sh', schedulerFlags: ['sh-port', 'sh-fallback', 'flag-3'] }); await ipvs.editService({ ...tcp, scheduler: 'mh', schedulerFlags: ['mh-port', 'mh-fallback'] })`,
  'general flags of any scheduler': `await ipvs.addService({ ...tcp, schedulerFlags: ['flag-1'] }); await ipvs.addService({ ...tcp, scheduler: 'rr', schedulerFlags: ['flag-2'] }); await ipvs.addService({ ...tcp, scheduler: 'mine', schedulerFlags: ['flag-3'] })`,
  'flags of a scheduler that only the file knows': `const { scheduler, flags } = file; await ipvs.addService({ ...tcp, scheduler, schedulerFlags: ['sh-port'] }); await ipvs.addService({ ...tcp, scheduler: 'rr', schedulerFlags: flags }); await ipvs.addService({ ...tcp, scheduler, schedulerFlags: flags })`,
  'what is read, with another scheduler': `for (const service of await ipvs.listServices()) { await ipvs.editService({ ...service, scheduler: 'wrr' }); await ipvs.editService({ ...service, scheduler: 'sh', schedulerFlags: ['sh-port'] }) }`,
  'a service that comes as an argument': `const add = async (service: ServiceConfig) => ipvs.addService(service); const edit: (service: ServiceConfig) => Promise<void> = ipvs.editService; return [add, edit]`,
  'a length or a mask': `await ipvs.addService({ ...tcp, persistence: { prefixLength: 24 } }); await ipvs.addService({ ...tcp, persistence: { timeout: 1, netmask: '255.0.0.0' } }); await ipvs.patchService(tcp, { persistence: { netmask: '255.0.0.0', engine: null } })`,
  'persistence that was read': `const { persistence } = await ipvs.getService(tcp); if (persistence) await ipvs.addService({ ...udp, persistence: { ...persistence, engine: 'sip' } }); return persistence?.prefixLength ?? persistence?.netmask`,
  'undefined is absent': `await ipvs.addService({ ...tcp, scheduler: undefined, persistence: { timeout: undefined } })`,
  'every tunnel': `const tunnels: Tunnel[] = [{ type: 'ipip' }, { type: 'gre', checksum: 'csum' }, { type: 'gue', port: 1, checksum: 'remcsum' }]; return tunnels`,
  'a tunnel of a tun destination': `await ipvs.addDestination(tcp, { address: '::1', forwarding: 'tun', tunnel: { type: 'gue', port: 1 } })`,
  'a tunnel alone in a patch': `await ipvs.patchDestination(tcp, { address: '::1' }, { tunnel: { type: 'ipip' } })`,
  'null ends persistence, or its engine': `await ipvs.patchService(tcp, { persistence: null }); await ipvs.patchService(tcp, { persistence: { engine: null } })`,
  'what is read is written, as number': `for (const service of await ipvs.snapshot()) { await ipvs.addService(service); await ipvs.editService(service); for (const each of service.destinations) { await ipvs.addDestination(service, each); await ipvs.editDestination(service, each); await ipvs.deleteDestination(service, each) } }`,
  'what is read is written, as bigint': `for (const service of await ipvs.snapshot({ bigint: true })) { await ipvs.addService(service); await ipvs.editService(service); for (const each of service.destinations) { await ipvs.addDestination(service, each); await ipvs.editDestination(service, each); await ipvs.deleteDestination(service, each) } }`,
  'what is read goes into a batch': `await ipvs.batch((await ipvs.snapshot()).flatMap((service): Operation[] => [{ op: 'addService', service }, ...service.destinations.map((destination) => ({ op: 'addDestination', service, destination }) as const)]))`,
  'what is read is a configuration': `const service: ServiceConfig = await ipvs.getService(tcp); return service`,
  'what is read is a key': `const key: ServiceKey = await ipvs.getService(tcp, { bigint: true }); return key`,
  'a running daemon is started again': `for (const daemon of await ipvs.syncDaemons()) await ipvs.startSyncDaemon(daemon)`,
  'times that were read are set': `await ipvs.setTimeouts(await ipvs.timeouts())`,
  'totals as number': `const { stats } = await ipvs.getService(tcp); const total: number = stats.connections; return total`,
  'totals as bigint': `const { stats } = await ipvs.getService(tcp, { bigint: true }); const total: bigint = stats.connections; const rate: number = stats.connectionsPerSecond; return [total, rate]`,
  'totals as bigint everywhere': `const totals: bigint[] = [(await ipvs.totals({ bigint: true })).bytesIn, (await ipvs.listServices({ bigint: true }))[0]?.stats.bytesIn ?? 0n, (await ipvs.listDestinations(tcp, { bigint: true }))[0]?.stats.bytesIn ?? 0n, (await ipvs.snapshot({ bigint: true, consistent: true }))[0]?.destinations[0]?.stats.bytesIn ?? 0n]; return totals`,
  'the two kinds of a service that was read': `const service = await ipvs.getService(tcp); return 'fwmark' in service ? service.family : service.address`,
  'lists that cannot be changed': `const operations = [{ op: 'clear' }, { op: 'addService', service: { ...tcp, schedulerFlags: ['flag-1'] } }] as const; await ipvs.batch(operations); await host.suppressArp(['eth0'] as const); return ipvs.connections({ state: ['NONE'] as const })`,
  'real servers of each kind': `await host.prepareRealServer({ forwarding: 'nat' }); await host.prepareRealServer({ forwarding: 'dr', vip: ['10.0.0.1'], device: 'eth0' }); await host.prepareRealServer({ forwarding: 'tun', vip: '::1', device: undefined, tunnel: { type: 'gue', port: 1 } })`,
  'connections in a loop': `for await (const { client, persistence } of ipvs.connections({ service: tcp, state: 'ESTABLISHED', signal })) client.port.toFixed(), persistence?.data.length`,
  'connections are iterated': `const entries: AsyncIterable<ConnectionEntry> = ipvs.connections(); return entries`,
  'connections of a destination that was read': `const [each] = await ipvs.listDestinations(tcp); return each && ipvs.connections({ destination: each })`,
  'is() narrows': `if (IpvsError.is(unknown)) { const code: IpvsErrorCode = unknown.code; const error: Error = unknown; return [code, error, unknown.errno.toFixed(), unknown.destination?.address] } return undefined`,
  'instanceof narrows': `return unknown instanceof IpvsError && unknown.code === 'ERR_IPVS_NO_SERVICE'`,
  'an outcome': `const [outcome] = await ipvs.batch([{ op: 'clear' }]); return outcome?.ok === false ? outcome.error.code : undefined`,
  'a handle that closes itself': `await using handle = await openIpvs({ netns: '/run/netns/blue', timeout: 1 }); return handle.info()`,
  'a desired state': `const { changes, failed } = await ipvs.apply([{ ...tcp, destinations: [{ address: '::1' }, { address: '::2', forwarding: 'tun' }] }], { prune: true, owns: (service) => 'fwmark' in service, keepWeights: ({ weight }) => weight === 0, signal }); return [changes[0]?.reason, failed[0]?.error.code, failed[0]?.change.op]`,
  'what is read is a desired state': `await ipvs.apply(await ipvs.snapshot()); await ipvs.plan(await ipvs.snapshot({ bigint: true }), { keepWeights: true })`,
  'a plan goes into a batch': `const { changes } = await ipvs.plan([]); return ipvs.batch(changes)`,
  'a change by its verb': `const [change] = (await ipvs.plan([])).changes; return change?.op === 'editDestination' ? [change.before.weight.toFixed(), change.after.weight.toFixed(), change.destination.address] : change?.before`,
  'a drain': `const { drained, ended, remaining } = await ipvs.drainDestination(tcp, { address: '::1' }, { timeout: 1, interval: 1, waitFor: ['active', 'inactive'], onProgress: ({ elapsed, waitingFor }) => { void [elapsed.toFixed(), waitingFor.length] }, remove: false, signal }); return [drained, ended === 'timeout', remaining.activeConnections]`,
  'drains are resumed': `for (const { service, destination } of await ipvs.listDrains()) { await ipvs.drainDestination(service, destination); await ipvs.drainService(service, { waitFor: 'active' }) }`,
  watching: `for await (const { at, elapsed, added, removed, changed, stats } of ipvs.watch({ interval: 1, signal })) { for (const { service, destination } of [...added, ...removed]) { if (destination) await ipvs.deleteDestination(service, destination); else await ipvs.addService(service) } for (const { before, properties } of changed) { void [before.stats.bytesIn, properties.length] } const total: number = stats[0]?.delta.bytesIn ?? at + elapsed; return total } return 0`,
  'watching with bigint': `for await (const { stats } of ipvs.watch({ bigint: true, stats: true, consistent: true })) { const totals: bigint[] = stats.map(({ delta }) => delta.bytesIn); return totals } return []`,
  'adding whatever is there': `await ipvs.addService(tcp, { ifExists: 'edit', signal }); await ipvs.deleteDestination(tcp, { address: '::1' }, { ifMissing: 'ignore' })`,
}

/** What does not, and what the compiler has to complain of. */
const wrong: Readonly<Record<string, readonly [code: string, complaint: RegExp]>> = {
  'a fwmark service with a port': [`await ipvs.addService({ fwmark: 1, port: 80 })`, /port/],
  'a fwmark service with a port, from a variable': [
    `const service = { fwmark: 1, port: 80 }; await ipvs.addService(service)`,
    /port/,
  ],
  'a fwmark service with an address': [
    `await ipvs.addService({ fwmark: 1, address: '10.0.0.1' })`,
    /address/,
  ],
  'a fwmark key with a protocol': [
    `await ipvs.deleteService({ fwmark: 1, protocol: 'tcp' })`,
    /'Protocol \| undefined'/,
  ],
  'an address service with a mark': [`await ipvs.addService({ ...tcp, fwmark: 1 })`, /fwmark/],
  'an address service without a protocol': [
    `await ipvs.addService({ address: '10.0.0.1', port: 80 })`,
    /protocol/,
  ],
  'an address service without a port': [
    `await ipvs.addService({ protocol: 'tcp', address: '10.0.0.1' })`,
    /port/,
  ],
  'an address service without an address': [
    `await ipvs.getService({ protocol: 'tcp', port: 80 })`,
    /address/,
  ],
  'another protocol': [
    `await ipvs.addService({ protocol: 'icmp', address: '10.0.0.1', port: 80 })`,
    /"icmp"/,
  ],
  'another family': [`await ipvs.addService({ fwmark: 1, family: 'inet' })`, /"inet"/],
  'a port as text': [
    `await ipvs.addService({ protocol: 'tcp', address: '10.0.0.1', port: '80' })`,
    /'string' is not assignable/,
  ],
  'an unknown scheduler flag': [
    `await ipvs.addService({ ...tcp, scheduler: 'sh', schedulerFlags: ['sh-prot'] })`,
    /"sh-prot"/,
  ],
  'one packet at a time over tcp': [
    `await ipvs.addService({ ...tcp, onePacket: true })`,
    /'true' is not assignable/,
  ],
  'one packet at a time over sctp': [
    `await ipvs.editService({ protocol: 'sctp', address: '10.0.0.1', port: 80, onePacket: true })`,
    /'true' is not assignable/,
  ],
  'flags of sh with mh': [
    `await ipvs.addService({ ...tcp, scheduler: 'mh', schedulerFlags: ['flag-1', 'sh-port'] })`,
    /"sh-port"' is not assignable/,
  ],
  'flags of mh with sh': [
    `await ipvs.editService({ ...tcp, scheduler: 'sh', schedulerFlags: ['mh-fallback'] })`,
    /not assignable to type 'never'/,
  ],
  'flags of sh with a scheduler that has none': [
    `await ipvs.addService({ ...tcp, scheduler: 'wrr', schedulerFlags: ['sh-port'] })`,
    /not assignable to type 'never'/,
  ],
  'flags of sh with the default scheduler': [
    `await ipvs.addService({ ...tcp, schedulerFlags: ['sh-fallback'] })`,
    /not assignable to type 'never'/,
  ],
  'a length and a mask': [
    `await ipvs.addService({ ...tcp, persistence: { prefixLength: 24, netmask: '255.255.255.0' } })`,
    /'string' is not assignable to type 'undefined'/,
  ],
  'a length and a mask in a patch': [
    `await ipvs.patchService(tcp, { persistence: { prefixLength: 24, netmask: '255.255.255.0' } })`,
    /'string' is not assignable to type 'undefined'/,
  ],
  'a length and a mask in a batch': [
    `await ipvs.batch([{ op: 'addService', service: { ...tcp, persistence: { prefixLength: 24, netmask: '255.255.255.0' } } }])`,
    /'string' is not assignable to type 'undefined'/,
  ],
  'a length and a mask in a desired state': [
    `await ipvs.apply([{ ...tcp, destinations: [], persistence: { prefixLength: 24, netmask: '255.255.255.0' } }])`,
    /'string' is not assignable to type 'undefined'/,
  ],
  'a misspelt property': [`await ipvs.addService({ ...tcp, sheduler: 'rr' })`, /sheduler/],
  'a misspelt property of persistence': [
    `await ipvs.addService({ ...tcp, persistence: { timeOut: 1 } })`,
    /timeOut/,
  ],
  'null for a setting': [`await ipvs.addService({ ...tcp, persistence: null })`, /null/],
  'null for a scheduler that is patched': [
    `await ipvs.patchService(tcp, { scheduler: null })`,
    /null/,
  ],
  'an identity in a patch': [`await ipvs.patchService(tcp, { port: 81 })`, /port/],
  'an address in a patch': [
    `await ipvs.patchDestination(tcp, { address: '::1' }, { address: '::2' })`,
    /address/,
  ],
  'a gue tunnel without a port': [`const tunnel: Tunnel = { type: 'gue' }; return tunnel`, /port/],
  'an ipip tunnel with a checksum': [
    `const tunnel: Tunnel = { type: 'ipip', checksum: 'csum' }; return tunnel`,
    /checksum/,
  ],
  'an ipip tunnel with a port': [
    `const tunnel: Tunnel = { type: 'ipip', port: 1 }; return tunnel`,
    /port/,
  ],
  'a gre tunnel with a port': [
    `const tunnel: Tunnel = { type: 'gre', port: 1 }; return tunnel`,
    /port/,
  ],
  'remote checksums over gre': [
    `const tunnel: Tunnel = { type: 'gre', checksum: 'remcsum' }; return tunnel`,
    /"remcsum"/,
  ],
  'a tunnel with direct routing': [
    `await ipvs.addDestination(tcp, { address: '::1', forwarding: 'dr', tunnel: { type: 'ipip' } })`,
    /tunnel|"dr"/,
  ],
  'a tunnel with the default forwarding': [
    `await ipvs.addDestination(tcp, { address: '::1', tunnel: { type: 'ipip' } })`,
    /not assignable/,
  ],
  'a tunnel and nat in a patch': [
    `await ipvs.patchDestination(tcp, { address: '::1' }, { forwarding: 'nat', tunnel: { type: 'ipip' } })`,
    /not assignable/,
  ],
  'local forwarding': [
    `await ipvs.addDestination(tcp, { address: '::1', forwarding: 'local' })`,
    /"local"/,
  ],
  'bypass forwarding in a configuration': [
    `const config: DestinationConfig = { address: '::1', forwarding: 'bypass' }; return config`,
    /"bypass"/,
  ],
  'a destination without an address': [`await ipvs.addDestination(tcp, { port: 80 })`, /address/],
  'a weight of null': [`await ipvs.editDestination(tcp, { address: '::1', weight: null })`, /null/],
  'a misspelt threshold': [
    `await ipvs.addDestination(tcp, { address: '::1', upperTreshold: 1 })`,
    /upperTreshold/,
  ],
  'a bigint for a number': [
    `const { stats } = await ipvs.getService(tcp, { bigint: true }); const total: number = stats.packetsIn; return total`,
    /'bigint' is not assignable to type 'number'/,
  ],
  'a number for a bigint': [
    `const { stats } = await ipvs.getService(tcp); const total: bigint = stats.packetsIn; return total`,
    /'number' is not assignable to type 'bigint'/,
  ],
  'a bigint for a number in a snapshot': [
    `const [service] = await ipvs.snapshot({ bigint: true }); const total: number | undefined = service?.destinations[0]?.stats.bytesIn; return total`,
    /'bigint' is not assignable/,
  ],
  'an address of any service that was read': [
    `return (await ipvs.getService(tcp)).address`,
    /address/,
  ],
  'changing what was read': [
    `const service = await ipvs.getService(tcp); service.scheduler = 'rr'`,
    /read-only/,
  ],
  'changing a list that was read': [
    `const [service] = await ipvs.snapshot(); service?.destinations.push()`,
    /push/,
  ],
  'an unknown operation': [`await ipvs.batch([{ op: 'addServer', service: tcp }])`, /"addServer"/],
  'an operation without its argument': [
    `await ipvs.batch([{ op: 'addDestination', service: tcp }])`,
    /destination/,
  ],
  "an operation with another one's argument": [
    `await ipvs.batch([{ op: 'clear', service: tcp }])`,
    /service/,
  ],
  'a wrong service in a batch': [
    `await ipvs.batch([{ op: 'addService', service: { fwmark: 1, port: 80 } }])`,
    /port/,
  ],
  'a wrong destination in a batch': [
    `await ipvs.batch([{ op: 'editDestination', service: tcp, destination: { address: '::1', forwarding: 'local' } }])`,
    /"local"/,
  ],
  'a batch that is no list': [`await ipvs.batch({ op: 'clear' })`, /readonly Operation\[\]/],
  'a service without destinations': [`await ipvs.apply([tcp])`, /destinations/],
  'local forwarding in a desired state': [
    `await ipvs.apply([{ ...tcp, destinations: [{ address: '::1', forwarding: 'local' }] }])`,
    /"local"/,
  ],
  'a misspelt property of a desired state': [
    `await ipvs.apply([{ ...tcp, destinations: [], sheduler: 'rr' }])`,
    /sheduler/,
  ],
  'an owner that answers later': [
    `await ipvs.apply([], { prune: true, owns: async () => true })`,
    /Promise/,
  ],
  'connections as a list': [`return (await ipvs.connections()).length`, /length/],
  'connections of a fwmark service': [
    `return ipvs.connections({ service: { fwmark: 1 } })`,
    /fwmark|number/,
  ],
  'a misspelt filter': [`return ipvs.connections({ states: 'NONE' })`, /states/],
  'an unknown code': [
    `return IpvsError.is(unknown) && unknown.code === 'ERR_IPVS_NO_SERVER'`,
    /no overlap/,
  ],
  'a property of what is not known': [
    `if (!IpvsError.is(unknown)) return unknown.code; return 1`,
    /unknown/,
  ],
  'another role': [`await ipvs.startSyncDaemon({ role: 'both', interface: 'eth0' })`, /"both"/],
  'a daemon without an interface': [`await ipvs.startSyncDaemon({ role: 'master' })`, /interface/],
  'stopping no daemon': [`await ipvs.stopSyncDaemon()`, /Expected 1-2 arguments/],
  'a misspelt timeout': [`await ipvs.setTimeouts({ tcpfin: 1 })`, /tcpfin/],
  'an unknown way of adding': [`await ipvs.addService(tcp, { ifExists: 'replace' })`, /"replace"/],
  'ifExists where nothing is added': [
    `await ipvs.editService(tcp, { ifExists: 'edit' })`,
    /ifExists/,
  ],
  'ifMissing where nothing is deleted': [
    `await ipvs.addService(tcp, { ifMissing: 'ignore' })`,
    /ifMissing/,
  ],
  'a drain that waits for something else': [
    `await ipvs.drainService(tcp, { waitFor: ['idle'] })`,
    /"idle"/,
  ],
  'a misspelt option of a drain': [
    `await ipvs.drainDestination(tcp, { address: '::1' }, { timeOut: 1 })`,
    /timeOut/,
  ],
  'a misspelt option of watching': [`return ipvs.watch({ intervall: 1 })`, /intervall/],
  'a signal that is none': [`await ipvs.clear({ signal: 'now' })`, /AbortSignal/],
  'a namespace that is none': [`await openIpvs({ netns: true })`, /'true' is not assignable/],
  'a real server without a VIP': [
    `await host.prepareRealServer({ forwarding: 'dr', device: 'eth0' })`,
    /vip/,
  ],
  'a real server without a device': [
    `await host.prepareRealServer({ forwarding: 'tun', vip: '10.0.0.1' })`,
    /device/,
  ],
  'a tunnel that direct routing has not': [
    `await host.prepareRealServer({ forwarding: 'dr', vip: '10.0.0.1', device: 'eth0', tunnel: { type: 'ipip' } })`,
    /tunnel|not assignable/,
  ],
  'a sysctl that is no value': [
    `await host.setSysctl('net.ipv4.ip_forward', {})`,
    /not assignable/,
  ],
}

const examples = [
  ...Object.entries(right).map(([title, code]) => ({ title, code, complaint: undefined })),
  ...Object.entries(wrong).map(([title, [code, complaint]]) => ({ title, code, complaint })),
]

const moduleName = `${root}examples-in-memory.ts`
const source = [
  ...preamble,
  ...examples.map(({ code }, index) => `export const example${index} = async () => { ${code} }`),
].join('\n')

const strictSettings = (): ts.CompilerOptions => {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, (path) => ts.sys.readFile(path)) as {
    config: { compilerOptions: unknown }
  }
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
  return {
    ...options,
    noEmit: true,
    noUnusedLocals: false,
    // Of the examples, only some return something.
    noImplicitReturns: false,
  }
}

const compile = (): ts.Program => {
  const options = strictSettings()
  const files = ts.createCompilerHost(options)
  const compilerHost: ts.CompilerHost = {
    ...files,
    fileExists: (path) => path === moduleName || files.fileExists(path),
    readFile: (path) => (path === moduleName ? source : files.readFile(path)),
    getSourceFile: (path, target, ...others) =>
      path === moduleName
        ? ts.createSourceFile(path, source, target)
        : files.getSourceFile(path, target, ...others),
  }
  return ts.createProgram([moduleName], options, compilerHost)
}

const program = compile()

/** What the compiler says, by line of the module. */
const complaints = new Map<number, string>()

t.test('the examples can be judged', async (t) => {
  t.same(program.getGlobalDiagnostics(), [])
  const file = program.getSourceFile(moduleName)
  t.ok(file)
  for (const { start = 0, messageText } of ts.getPreEmitDiagnostics(program, file)) {
    const { line = 0 } = file?.getLineAndCharacterOfPosition(start) ?? {}
    const text = ts.flattenDiagnosticMessageText(messageText, ' ')
    complaints.set(line, `${complaints.get(line) ?? ''}${text} `)
  }
  for (const line of preamble.keys()) t.equal(complaints.get(line), undefined)
})

examples.forEach(({ title, code, complaint }, index) => {
  t.test(`the compiler ${complaint ? 'catches' : 'accepts'}: ${title}`, async (t) => {
    const said = complaints.get(preamble.length + index)
    if (complaint) t.match(said ?? 'nothing', complaint, code)
    else t.equal(said, undefined, code)
  })
})
