// Rules to changes: each line is the operation that ipvsadm would carry out.

import { parseAddress } from './address.js'
import { badRule, quote, takeApart, wordsOf } from './rules_options.js'
import type { Given, Line } from './rules_options.js'
import type { Properties } from './validate.js'
import type { Operation } from '../types/ipvs.js'

/** Signed, as the C library reads it; what is allowed is checked with everything else. */
const numberIn = (text: string, spelling: string): number => {
  if (!/^[+-]?\d+$/.test(text)) throw badRule(`${spelling} needs a number, not ${quote(text)}`)
  // Without a negative zero.
  return Number(text) + 0
}

const valueIn = ({ options }: Line, name: string): string | undefined => options.get(name)?.value

const numberOf = ({ options }: Line, name: string): number | undefined => {
  const given = options.get(name)
  return given?.value === undefined ? undefined : numberIn(given.value, given.spelling)
}

/** IPv4 as inet_aton(3) reads it: one to four parts, decimal, octal or hexadecimal. */
const readIpv4 = (text: string): string | undefined => {
  const parts = text.split('.')
  if (parts.length > 4) return undefined
  if (!parts.every((part) => /^(0x[\da-f]+|0[0-7]*|[1-9]\d*)$/i.test(part))) return undefined
  const numbers = parts.map((part) => Number(/^0\d/.test(part) ? `0o${part}` : part))
  const last = numbers.pop() ?? 0
  const room = 4 - numbers.length
  if (numbers.some((number) => number > 255) || last >= 256 ** room) return undefined
  const rest = Array.from(
    { length: room },
    (_, at) => Math.floor(last / 256 ** (room - 1 - at)) % 256,
  )
  return [...numbers, ...rest].join('.')
}

const readHost = (text: string, spelling: string): string => {
  const address = parseAddress(text) ? text : readIpv4(text)
  if (address !== undefined) return address
  // What begins as a number was meant to be one.
  const what = /^[\d[:]|^$/.test(text) ? 'is no address' : 'is a host name'
  throw badRule(`${spelling} needs a numeric address, and ${quote(text)} ${what}`)
}

const readPort = (text: string, spelling: string): number => {
  if (!/^[+-]?\d+$/.test(text)) {
    const what = text === '' ? 'is missing' : `${quote(text)} is not`
    throw badRule(`${spelling} needs a numeric port, which ${what}`)
  }
  return numberIn(text, spelling)
}

interface Place {
  readonly address: string
  readonly port: number | undefined
}

/** `address`, `address:port` or `[address]:port`. */
const readPlace = ({ spelling, value = '' }: Given): Place => {
  if (value.startsWith('[')) {
    const [, address, port] = /^\[([^\]]*)\]:(.*)$/.exec(value) ?? []
    if (address === undefined || port === undefined) {
      throw badRule(`${spelling} needs [address]:port, not ${quote(value)}`)
    }
    if (parseAddress(address)?.family !== 'ipv6') {
      throw badRule(`${spelling} has no IPv6 address in the brackets of ${quote(value)}`)
    }
    return { address, port: readPort(port, spelling) }
  }
  if (parseAddress(value)?.family === 'ipv6') return { address: value, port: undefined }
  if (/^\d*$/.test(value)) {
    throw badRule(`${spelling} needs address:port, not ${quote(value)}`)
  }
  const at = value.lastIndexOf(':')
  if (at === -1) return { address: readHost(value, spelling), port: undefined }
  return {
    address: readHost(value.slice(0, at), spelling),
    port: readPort(value.slice(at + 1), spelling),
  }
}

const protocols: Readonly<Record<string, string>> = {
  '-t': 'tcp',
  '--tcp-service': 'tcp',
  '-u': 'udp',
  '--udp-service': 'udp',
  '--sctp-service': 'sctp',
}

/** `ipvsadm -S` prints marks above 2^31 as negative numbers. */
const unsigned = (mark: number): number => (mark < 0 && mark >= -(2 ** 31) ? mark + 2 ** 32 : mark)

const needed = ({ options }: Line, name: string, spellings: string): Given => {
  const given = options.get(name)
  if (!given) throw badRule(`${spellings} is missing`)
  return given
}

const readService = (line: Line): Properties => {
  const given = needed(line, 'service', 'the service (-t, -u, --sctp-service or -f)')
  const protocol = protocols[given.spelling]
  const ipv6 = line.options.get('ipv6')
  if (protocol !== undefined) {
    if (ipv6) throw badRule(`${ipv6.spelling} belongs to -f`)
    const { address, port = 0 } = readPlace(given)
    return { protocol, address, port }
  }
  const fwmark = unsigned(numberIn(given.value ?? '', given.spelling))
  return { fwmark, family: ipv6 ? 'ipv6' : 'ipv4' }
}

const isIpv6 = ({ family, address }: Properties): boolean =>
  family === 'ipv6' || (typeof address === 'string' && address.includes(':'))

const readMask = (line: Line, service: Properties): Properties => {
  const given = line.options.get('netmask')
  if (given?.value === undefined) return {}
  return isIpv6(service)
    ? { prefixLength: numberIn(given.value, given.spelling) }
    : { netmask: readHost(given.value, given.spelling) }
}

const readPersistence = (line: Line, service: Properties): Properties | undefined => {
  // Without -p a mask has no effect, but it must be one.
  const mask = readMask(line, service)
  const engine = valueIn(line, 'pe')
  if (!line.options.has('persistent')) {
    if (engine !== undefined) throw badRule('--pe needs -p: it is an engine of persistence')
    return undefined
  }
  return { timeout: numberOf(line, 'persistent'), ...mask, engine }
}

const readSettings = (line: Line): Properties => {
  const service = readService(line)
  return {
    ...service,
    scheduler: valueIn(line, 'scheduler'),
    schedulerFlags: valueIn(line, 'sched-flags')
      ?.split(',')
      .filter((flag) => flag !== ''),
    onePacket: line.options.has('ops'),
    persistence: readPersistence(line, service),
  }
}

const forwardings: Readonly<Record<string, string>> = {
  '-m': 'nat',
  '--masquerading': 'nat',
  '-i': 'tun',
  '--ipip': 'tun',
  '-g': 'dr',
  '--gatewaying': 'dr',
}

const readTunnel = (line: Line, forwarding: string): Properties | undefined => {
  const names = ['tun-type', 'tun-port', 'tun-checksum'] as const
  const [first] = names.flatMap((name) => line.options.get(name) ?? [])
  if (!first) return undefined
  if (forwarding !== 'tun') throw badRule(`${first.spelling} needs -i`)
  const checksum = line.options.get('tun-checksum')?.spelling.replace('--tun-', '')
  return {
    type: valueIn(line, 'tun-type') ?? 'ipip',
    port: numberOf(line, 'tun-port'),
    checksum: checksum === 'nocsum' ? 'none' : checksum,
  }
}

const readKey = (line: Line): Place => readPlace(needed(line, 'real-server', 'the server (-r)'))

const readDestination = (line: Line, service: Properties): Properties => {
  const { address, port } = readKey(line)
  const forwarding = forwardings[line.options.get('forwarding')?.spelling ?? '-g'] ?? 'dr'
  // As ipvsadm: what is not rewritten keeps its port, whatever is written here.
  const keepsPort = forwarding !== 'nat' && service['fwmark'] === undefined
  return {
    address,
    port: keepsPort ? service['port'] : port,
    forwarding,
    weight: numberOf(line, 'weight'),
    upperThreshold: numberOf(line, 'u-threshold'),
    lowerThreshold: numberOf(line, 'l-threshold'),
    tunnel: readTunnel(line, forwarding),
  }
}

/** Undefined when it leaves all as they are. */
const readTimeouts = ({ operands }: Line): Properties | undefined => {
  if (operands.length !== 3) throw badRule('--set needs three numbers: tcp, tcpfin and udp')
  const [tcp, tcpFin, udp] = operands
    .map((operand) => numberIn(operand, '--set'))
    // 0 leaves a timeout as it is.
    .map((seconds) => (seconds === 0 ? undefined : seconds))
  const timeouts = { tcp, tcpFin, udp }
  const changes = Object.values(timeouts).some((seconds) => seconds !== undefined)
  return changes ? { op: 'setTimeouts', timeouts } : undefined
}

const readDaemon = (line: Line): Properties => ({
  role: line.value,
  interface: valueIn(line, 'mcast-interface') ?? 'eth0',
  syncId: numberOf(line, 'syncid'),
  maxLength: numberOf(line, 'sync-maxlen'),
  group: valueIn(line, 'mcast-group'),
  port: numberOf(line, 'mcast-port'),
  ttl: numberOf(line, 'mcast-ttl'),
})

interface Command {
  /** Its options, by name. */
  readonly takes: readonly string[]
  /** An operation; undefined when it changes nothing. */
  readonly read: (line: Line) => Properties | undefined
}

const ofService = ['service', 'ipv6']
const ofSettings = [...ofService, 'scheduler', 'persistent', 'netmask', 'pe', 'ops', 'sched-flags']
const ofKey = [...ofService, 'real-server']
const ofDestination = [
  ...ofKey,
  'forwarding',
  'weight',
  'u-threshold',
  'l-threshold',
  'tun-type',
  'tun-port',
  'tun-checksum',
]
const ofDaemon = [
  'syncid',
  'sync-maxlen',
  'mcast-interface',
  'mcast-group',
  'mcast-port',
  'mcast-ttl',
]

const onService = (op: string): Command => ({
  takes: ofSettings,
  read: (line) => ({ op, service: readSettings(line) }),
})

const onDestination = (op: string): Command => ({
  takes: ofDestination,
  read: (line) => {
    const service = readService(line)
    return { op, service, destination: readDestination(line, service) }
  },
})

const commands: Readonly<Record<string, Command>> = {
  'add-service': onService('addService'),
  'edit-service': onService('editService'),
  'delete-service': {
    takes: ofService,
    read: (line) => ({ op: 'deleteService', service: readService(line) }),
  },
  'add-server': onDestination('addDestination'),
  'edit-server': onDestination('editDestination'),
  'delete-server': {
    takes: ofKey,
    read: (line) => ({
      op: 'deleteDestination',
      service: readService(line),
      destination: readKey(line),
    }),
  },
  clear: { takes: [], read: () => ({ op: 'clear' }) },
  zero: {
    takes: ofService,
    read: (line) => ({
      op: 'zero',
      service: line.options.has('service') ? readService(line) : undefined,
    }),
  },
  set: { takes: [], read: readTimeouts },
  'start-daemon': {
    takes: ofDaemon,
    read: (line) => ({ op: 'startSyncDaemon', daemon: readDaemon(line) }),
  },
  'stop-daemon': {
    takes: ['syncid'],
    read: (line) => ({ op: 'stopSyncDaemon', role: line.value }),
  },
}

/** The operation that a line stands for, its values yet unchecked; undefined when it has none. */
export const parseRule = (text: string): Operation | undefined => {
  const words = wordsOf(text)
  // ipvsadm-restore passes no line on that begins so.
  if (words.length === 0 || text.startsWith('#')) return undefined
  const line = takeApart(words)
  const command = commands[line.command]
  if (!command) throw badRule(`the command ${quote(line.command)} is unknown`)
  for (const [name, { spelling }] of line.options) {
    if (name === 'sort' || command.takes.includes(name)) continue
    throw badRule(`${spelling} makes no sense with ${line.command}`)
  }
  const [operand] = line.operands
  if (operand !== undefined && line.command !== 'set') {
    throw badRule(`${quote(operand)} belongs to no option`)
  }
  return command.read(line) as Operation | undefined
}
