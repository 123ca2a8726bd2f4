// What the public calls refuse, and that nothing is sent then; what they accept, and that it is.
// The addon's classes are replaced, so that this runs on every machine and touches none.

import { inspect } from 'node:util'

import t from 'tap'
import type { Test } from 'tap'

import { host as typedHost, ipvs as typedIpvs, IpvsError, openHost, openIpvs } from 'ipvs-netlink'
import { loadAddon } from '#lib/native'

/** What reached the addon. */
const sent: string[] = []

const outcomesFor = (name: string): unknown => {
  if (name === 'open' || name === 'close' || name === 'writeSetting') return undefined
  if (name === 'apply' || name === 'changeAddresses') {
    return { outcomes: new ArrayBuffer(8 * 64), texts: {} }
  }
  if (name === 'readSetting') return { failure: undefined, value: '8\n' }
  const nothing = new ArrayBuffer(0)
  return {
    failure: undefined,
    records: nothing,
    services: nothing,
    destinations: nothing,
    counts: nothing,
  }
}

/** Stands for both classes of the addon: notes each call and answers that all went well. */
function Fake(): object {
  return new Proxy(
    {},
    {
      get: (_, name) => {
        // A promise's `then` is looked for in everything that is awaited.
        if (typeof name !== 'string' || name === 'then') return undefined
        return async (): Promise<unknown> => {
          sent.push(name)
          return outcomesFor(name)
        }
      },
    },
  )
}

const addon = loadAddon() as unknown as Record<string, unknown>
addon['Connection'] = Fake
addon['HostConnection'] = Fake

// As a program without types would call them.
type Call = (...given: unknown[]) => unknown
const untyped = (handle: object): Readonly<Record<string, Call>> =>
  new Proxy(handle, {
    get: (target, name) => (Reflect.get(target, name) as Call).bind(target),
  }) as Record<string, Call>

const ipvs = untyped(typedIpvs)
const host = untyped(typedHost)
const open = untyped({ openIpvs, openHost })

const call = (api: Readonly<Record<string, Call>>, name: string, ...given: unknown[]): unknown => {
  const method = api[name]
  if (!method) throw new Error(`there is no call ${name}`)
  return method(...given)
}

const codes = {
  type: 'ERR_INVALID_ARG_TYPE',
  value: 'ERR_INVALID_ARG_VALUE',
  range: 'ERR_OUT_OF_RANGE',
} as const

interface Wrong {
  readonly kind: keyof typeof codes
  /** What the message has to name. */
  readonly path: string
  /** What it has to show; absent for an unknown property, whose name is what is wrong. */
  readonly value?: unknown
  /** What it has to say is allowed. */
  readonly allowed: RegExp
}

/** The reason of the rejection; fails when the call throws, or succeeds. */
const rejectionOf = async (
  t: Test,
  run: () => unknown,
  what: string,
): Promise<Error | undefined> => {
  let promise: unknown
  try {
    promise = run()
  } catch (error) {
    t.fail(`${what}: thrown at the caller instead of a rejection: ${String(error)}`)
    return undefined
  }
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  t.fail(`${what}: was accepted`)
  return undefined
}

const shown = (value: unknown): string =>
  inspect(value, { depth: 0, maxStringLength: 64, maxArrayLength: 4, breakLength: Infinity })

const refuses = async (t: Test, what: string, run: () => unknown, wrong: Wrong): Promise<void> => {
  const before = sent.length
  const error = await rejectionOf(t, run, what)
  t.same(sent.slice(before), [], `${what}: nothing was sent`)
  if (!error) return
  const { message } = error
  t.equal(error.name, wrong.kind === 'range' ? 'RangeError' : 'TypeError', what)
  t.equal((error as Error & { code?: unknown }).code, codes[wrong.kind], `${what}: ${message}`)
  t.ok(message.includes(`"${wrong.path}"`), `names ${wrong.path}: ${message}`)
  if ('value' in wrong)
    t.ok(message.endsWith(`Received ${shown(wrong.value)}`), `shows the value: ${message}`)
  t.match(message, wrong.allowed)
  t.notOk(IpvsError.is(error))
}

/** A property of an argument, and a call that differs from a right one in that alone. */
interface Place {
  readonly path: string
  readonly run: (value: unknown) => unknown
}

const tcp = { protocol: 'tcp', address: '10.0.0.1', port: 80 }
const udp = { protocol: 'udp', address: '10.0.0.1', port: 53 }
const sixth = { protocol: 'tcp', address: '2001:db8::1', port: 80 }
const mark = { fwmark: 7 }
const server = { address: '10.0.0.2' }
const tunnelled = { ...server, forwarding: 'tun' }

const onService = (name: string, base: object, verb = 'addService'): Place => ({
  path: `service.${name}`,
  run: (value) => call(ipvs, verb, { ...base, [name]: value }),
})

const onPersistence = (name: string, base: object = tcp): Place => ({
  path: `service.persistence.${name}`,
  run: (value) => call(ipvs, 'addService', { ...base, persistence: { [name]: value } }),
})

const onDestination = (name: string, base: object = server, service: object = tcp): Place => ({
  path: `destination.${name}`,
  run: (value) => call(ipvs, 'addDestination', service, { ...base, [name]: value }),
})

const onTunnel = (name: string, base: object): Place => ({
  path: `destination.tunnel.${name}`,
  run: (value) =>
    call(ipvs, 'addDestination', tcp, { ...tunnelled, tunnel: { ...base, [name]: value } }),
})

const onVip = (name: string, base: object = { address: '10.0.0.1' }): Place => ({
  path: `vip.${name}`,
  run: (value) => call(host, 'addVip', { ...base, [name]: value }),
})

const onOpen = (verb: string, name: string): Place => ({
  path: `options.${name}`,
  run: (value) => call(open, verb, { [name]: value }),
})

const show = (value: unknown): string => inspect(value, { depth: 0, maxStringLength: 20 })

/** The same for each value of a list. */
const refusesAll = (
  title: string,
  { path, run }: Place,
  kind: Wrong['kind'],
  allowed: RegExp,
  values: readonly unknown[],
): void => {
  t.test(title, async (t) => {
    for (const value of values) {
      await refuses(t, `${path} = ${show(value)}`, () => run(value), { kind, path, value, allowed })
    }
  })
}

/** Values of every type but one. */
const everyType = [
  null,
  true,
  false,
  0,
  1.5,
  10n,
  '80',
  '',
  [],
  ['tcp'],
  {},
  () => {},
  Symbol('s'),
  new Date(0),
]
const notA = (type: string): unknown[] => everyType.filter((value) => typeof value !== type)

// Numbers.

interface NumberPlace {
  readonly place: Place
  readonly least: number
  readonly most: number
}

const numbers: readonly NumberPlace[] = [
  { place: onService('port', tcp), least: 0, most: 65535 },
  { place: onService('port', tcp, 'deleteService'), least: 0, most: 65535 },
  { place: onService('fwmark', {}), least: 1, most: 2 ** 32 - 1 },
  { place: onService('fwmark', {}, 'getService'), least: 1, most: 2 ** 32 - 1 },
  { place: onPersistence('timeout'), least: 1, most: 4_294_967 },
  { place: onPersistence('prefixLength'), least: 1, most: 32 },
  { place: onPersistence('prefixLength', sixth), least: 1, most: 128 },
  { place: onDestination('port'), least: 0, most: 65535 },
  { place: onDestination('weight'), least: 0, most: 2 ** 31 - 1 },
  { place: onDestination('upperThreshold'), least: 0, most: 2 ** 31 - 1 },
  { place: onDestination('lowerThreshold'), least: 0, most: 2 ** 31 - 1 },
  { place: onTunnel('port', { type: 'gue' }), least: 1, most: 65535 },
  { place: onVip('prefixLength'), least: 1, most: 32 },
  { place: onVip('prefixLength', { address: '2001:db8::1' }), least: 1, most: 128 },
  { place: onOpen('openIpvs', 'timeout'), least: 1, most: 2 ** 31 - 1 },
  { place: onOpen('openHost', 'timeout'), least: 1, most: 2 ** 31 - 1 },
]

for (const { place, least, most } of numbers) {
  const allowed = new RegExp(`an integer from ${least} to ${most}\\b`)
  // null is a value, not the absence of one: what a database has for an unknown weight.
  refusesAll(
    `${place.path}, ${least} to ${most}, is a number`,
    place,
    'type',
    allowed,
    notA('number'),
  )
  const beyond = [
    least - 1,
    most + 1,
    -1e9,
    1e18,
    2 ** 53,
    NaN,
    Infinity,
    -Infinity,
    least + 0.5,
    1e-9,
  ]
  refusesAll(
    `${place.path} is an integer from ${least} to ${most}`,
    place,
    'range',
    allowed,
    beyond,
  )
}

t.test('netns is a path or a descriptor', async (t) => {
  for (const verb of ['openIpvs', 'openHost']) {
    const { path, run } = onOpen(verb, 'netns')
    for (const value of [-1, NaN, 1.5, 2 ** 31, Infinity]) {
      await refuses(t, `${verb} ${value}`, () => run(value), {
        kind: 'range',
        path,
        value,
        allowed: /integer from 0/,
      })
    }
    for (const value of ['', '\0', '/run/netns/a\0b']) {
      await refuses(t, verb, () => run(value), {
        kind: 'value',
        path,
        value,
        allowed: /a path or an open file descriptor/,
      })
    }
    for (const value of [
      null,
      true,
      {},
      [],
      3n,
      new URL('file:///run/netns/a'),
      Buffer.from('/x'),
    ]) {
      await refuses(t, verb, () => run(value), {
        kind: 'type',
        path,
        value,
        allowed: /a path or an open file descriptor/,
      })
    }
  }
})

// Texts of a fixed choice.

const flags = ['sh-fallback', 'sh-port', 'mh-fallback', 'mh-port', 'flag-1', 'flag-2', 'flag-3']

const choices: readonly { readonly place: Place; readonly choice: readonly string[] }[] = [
  { place: onService('protocol', tcp), choice: ['tcp', 'udp', 'sctp'] },
  { place: onService('family', mark), choice: ['ipv4', 'ipv6'] },
  { place: onDestination('forwarding'), choice: ['nat', 'dr', 'tun'] },
  { place: onTunnel('type', { port: 1 }), choice: ['ipip', 'gue', 'gre'] },
  { place: onTunnel('checksum', { type: 'gre' }), choice: ['none', 'csum'] },
  { place: onTunnel('checksum', { type: 'gue', port: 1 }), choice: ['none', 'csum', 'remcsum'] },
  {
    place: {
      path: 'service.schedulerFlags[0]',
      run: (value) => call(ipvs, 'addService', { ...tcp, schedulerFlags: [value] }),
    },
    choice: flags,
  },
  {
    place: {
      path: 'profile.forwarding',
      run: (value) => call(host, 'prepareRealServer', { forwarding: value }),
    },
    choice: ['nat', 'dr', 'tun'],
  },
  {
    place: {
      path: 'profile.forwarding',
      run: (value) => call(host, 'prepareDirector', { forwarding: value }),
    },
    choice: ['nat', 'dr', 'tun'],
  },
  {
    place: {
      path: 'profile.family',
      run: (value) => call(host, 'prepareDirector', { forwarding: 'nat', family: value }),
    },
    choice: ['ipv4', 'ipv6'],
  },
  {
    place: {
      path: 'profile.tunnel.type',
      run: (value) =>
        call(host, 'prepareRealServer', {
          forwarding: 'tun',
          vip: '2001:db8::1',
          tunnel: { type: value },
        }),
    },
    choice: ['ipip', 'gue', 'gre'],
  },
  {
    place: { path: 'options.family', run: (value) => call(host, 'ipForward', { family: value }) },
    choice: ['ipv4', 'ipv6'],
  },
]

for (const { place, choice } of choices) {
  const allowed = new RegExp(`one of ${choice.map((each) => `'${each}'`).join(', ')}`)
  refusesAll(
    `${place.path} is a text: ${choice.join(', ')}`,
    place,
    'type',
    allowed,
    notA('string'),
  )
  const [one = ''] = choice
  const others = [
    '',
    ' ',
    one.toUpperCase(),
    `${one} `,
    ` ${one}`,
    `${one}\0`,
    'local',
    'bypass',
    'toString',
    '__proto__',
  ]
  refusesAll(`${place.path} is one of ${choice.join(', ')}`, place, 'value', allowed, others)
}

// Addresses.

// What another program made can be named, whatever its address.
const keyPlaces: readonly Place[] = [
  onService('address', tcp, 'deleteService'),
  onService('address', tcp, 'getService'),
]

const addressPlaces: readonly Place[] = [
  ...keyPlaces,
  onService('address', tcp),
  onDestination('address'),
  onVip('address'),
  { path: 'vip.address', run: (value) => call(host, 'deleteVip', { address: value }) },
  {
    path: 'vip[1].address',
    run: (value) => call(host, 'addVip', [{ address: '10.0.0.1' }, { address: value }]),
  },
  {
    path: 'profile.vip[1]',
    run: (value) => call(host, 'prepareDirector', { forwarding: 'dr', vip: ['10.0.0.1', value] }),
  },
  {
    path: 'profile.vip[1]',
    run: (value) =>
      call(host, 'prepareRealServer', {
        forwarding: 'dr',
        vip: ['10.0.0.1', value],
        device: 'eth0',
      }),
  },
]

const notNumeric = [
  '',
  'localhost',
  '10.0.0',
  '10.0.0.256',
  '010.0.0.1',
  '10.0.0.1/32',
  '10.0.0.1:80',
  '[::1]',
  'fe80::1%eth0',
  ' ::1',
  '::1\0',
]
const nobody = {
  unspecified: ['0.0.0.0', '::'],
  multicast: ['224.0.0.1', 'ff02::1'],
  broadcast: ['255.255.255.255'],
  'IPv4-mapped': ['::ffff:10.0.0.2', '::FFFF:a00:2'],
  'link-local': ['fe80::1', 'febf::1'],
}

addressPlaces.forEach((place, index) => {
  const title = `${place.path} (${index})`
  refusesAll(`${title} is a text`, place, 'type', /a numeric IPv4 or IPv6 address/, [
    ...notA('string'),
    undefined,
  ])
  refusesAll(
    `${title} is a numeric address`,
    place,
    'value',
    /a numeric IPv4 or IPv6 address/,
    notNumeric,
  )
  if (keyPlaces.includes(place)) return
  for (const [fault, texts] of Object.entries(nobody)) {
    refusesAll(
      `${title} is not ${fault}`,
      place,
      'value',
      new RegExp(`this one is ${fault}`),
      texts,
    )
  }
})

// Names.

const tooLong = 'a'.repeat(17)
const notNames = [
  '',
  ' ',
  'w lc',
  'wlc ',
  'wlc\0',
  'wlc\n',
  'a/b',
  '../x',
  'ü',
  tooLong,
  'a,b',
  'x'.repeat(1e6),
]

refusesAll(
  'a scheduler is a text',
  onService('scheduler', tcp),
  'type',
  /a name of 1 to 15/,
  notA('string'),
)
refusesAll(
  'a scheduler has up to 15 plain characters',
  onService('scheduler', tcp),
  'value',
  /a name of 1 to 15/,
  [...notNames, 'a'.repeat(16)],
)
refusesAll(
  'an engine is a text',
  onPersistence('engine', udp),
  'type',
  /a name of 1 to 16/,
  notA('string'),
)
refusesAll(
  'an engine has up to 16 plain characters',
  onPersistence('engine', udp),
  'value',
  /a name of 1 to 16/,
  notNames,
)

const deviceCalls: readonly Place[] = [
  onVip('device'),
  { path: 'device', run: (value) => call(host, 'listAddresses', value) },
  { path: 'devices', run: (value) => call(host, 'arpSuppression', value) },
  { path: 'devices', run: (value) => call(host, 'suppressArp', value) },
  { path: 'devices[1]', run: (value) => call(host, 'suppressArp', ['eth0', value]) },
  {
    path: 'profile.device[1]',
    run: (value) => call(host, 'prepareDirector', { forwarding: 'dr', device: ['eth0', value] }),
  },
  {
    path: 'profile.device',
    run: (value) =>
      call(host, 'prepareRealServer', { forwarding: 'dr', vip: '10.0.0.1', device: value }),
  },
]
const notDevices = [
  '',
  ' ',
  '.',
  '..',
  'a/b',
  '../../x',
  'lo:0',
  'et h0',
  'eth0\0',
  'eth0\n',
  'a'.repeat(16),
  'ü'.repeat(8),
  '\u007f'.repeat(16),
]

deviceCalls.forEach((place, index) => {
  const isList = place.path === 'devices' || place.path === 'profile.device'
  const others = notA('string').filter((value) => !(isList && Array.isArray(value)))
  refusesAll(
    `a device (${index}: ${place.path}) is a text`,
    place,
    'type',
    /the name of a network device/,
    others,
  )
  refusesAll(
    `a device (${index}: ${place.path}) has a name that the kernel allows`,
    place,
    'value',
    /1 to 15 characters/,
    notDevices,
  )
})

refusesAll('a label is a text', onVip('label'), 'type', /'lo:' and a text/, notA('string'))
refusesAll(
  'a label begins with the device and is short',
  onVip('label'),
  'value',
  /'lo' or 'lo:'/,
  ['', 'eth0:1', 'l', 'lo0', 'lo 0', 'lo:0 ', 'lo:\0', 'lo:ü', 'lo:aaaaaaaaaaaaa'],
)
refusesAll(
  'an IPv6 address has no label',
  onVip('label', { address: '2001:db8::1' }),
  'value',
  /absent/,
  ['lo', 'lo:0'],
)

// Booleans.

const booleans: readonly Place[] = [
  onService('onePacket', udp),
  { path: 'options.bigint', run: (value) => call(ipvs, 'snapshot', { bigint: value }) },
  { path: 'options.bigint', run: (value) => call(ipvs, 'listServices', { bigint: value }) },
  { path: 'options.bigint', run: (value) => call(ipvs, 'getService', tcp, { bigint: value }) },
  {
    path: 'options.bigint',
    run: (value) => call(ipvs, 'listDestinations', tcp, { bigint: value }),
  },
  { path: 'options.consistent', run: (value) => call(ipvs, 'snapshot', { consistent: value }) },
]
booleans.forEach((place, index) =>
  refusesAll(`${place.path} (${index}) is a boolean`, place, 'type', /a boolean/, notA('boolean')),
)
refusesAll(
  'forwarding is switched on or off by a boolean',
  { path: 'on', run: (value) => call(host, 'ipForward', value) },
  'type',
  /a boolean/,
  notA('boolean').filter((value) => typeof value !== 'object'),
)
t.test('null is no options of ipForward', async (t) => {
  const error = await rejectionOf(t, () => call(host, 'ipForward', null), 'ipForward(null)')
  t.match(error, { code: 'ERR_INVALID_ARG_TYPE' })
})

// Objects.

const objects: readonly (Place & { readonly kept?: readonly unknown[] })[] = [
  ...['addService', 'editService', 'deleteService', 'getService', 'listDestinations'].map(
    (verb) => ({
      path: 'service',
      run: (value: unknown) => call(ipvs, verb, value),
    }),
  ),
  ...['addDestination', 'editDestination', 'deleteDestination'].flatMap((verb) => [
    { path: 'service', run: (value: unknown) => call(ipvs, verb, value, server) },
    { path: 'destination', run: (value: unknown) => call(ipvs, verb, tcp, value) },
  ]),
  {
    path: 'service.persistence',
    run: (value) => call(ipvs, 'addService', { ...tcp, persistence: value }),
  },
  {
    path: 'destination.tunnel',
    run: (value) => call(ipvs, 'addDestination', tcp, { ...tunnelled, tunnel: value }),
  },
  { path: 'operations[0]', run: (value) => call(ipvs, 'batch', [value]) },
  {
    path: 'operations[1].service',
    run: (value) => call(ipvs, 'batch', [{ op: 'clear' }, { op: 'addService', service: value }]),
  },
  { path: 'vip[1]', run: (value) => call(host, 'addVip', [{ address: '10.0.0.1' }, value]) },
  { path: 'vip[0]', run: (value) => call(host, 'deleteVip', [value]) },
  { path: 'profile', run: (value) => call(host, 'prepareRealServer', value) },
  { path: 'profile', run: (value) => call(host, 'prepareDirector', value) },
  {
    path: 'profile.tunnel',
    run: (value) =>
      call(host, 'prepareRealServer', { forwarding: 'tun', vip: '::1', tunnel: value }),
  },
  { path: 'options', run: (value) => call(open, 'openIpvs', value) },
  { path: 'options', run: (value) => call(open, 'openHost', value) },
  { path: 'options', run: (value) => call(ipvs, 'addService', tcp, value) },
  { path: 'options', run: (value) => call(ipvs, 'deleteService', tcp, value) },
  { path: 'options', run: (value) => call(ipvs, 'addDestination', tcp, server, value) },
  { path: 'options', run: (value) => call(ipvs, 'deleteDestination', tcp, server, value) },
  { path: 'options', run: (value) => call(ipvs, 'clear', value) },
  { path: 'options', run: (value) => call(ipvs, 'batch', [], value) },
  { path: 'options', run: (value) => call(ipvs, 'info', value) },
  { path: 'options', run: (value) => call(ipvs, 'snapshot', value) },
  { path: 'options', run: (value) => call(ipvs, 'listServices', value) },
  { path: 'options', run: (value) => call(ipvs, 'getService', tcp, value) },
  { path: 'options', run: (value) => call(host, 'getSysctl', 'net.ipv4.ip_forward', value) },
  { path: 'options', run: (value) => call(host, 'listAddresses', undefined, value) },
  { path: 'options', run: (value) => call(host, 'ipForward', true, value) },
]
objects.forEach((place, index) => {
  const others = [...notA('object'), null, [], [tcp]]
  refusesAll(`${place.path} (${index}) is an object`, place, 'type', /an object/, others)
})

for (const verb of ['addVip', 'deleteVip']) {
  refusesAll(
    `${verb} takes one or an array`,
    { path: 'vip', run: (value) => call(host, verb, value) },
    'type',
    /an object/,
    [...notA('object'), null].filter((value) => !Array.isArray(value)),
  )
}

t.test('a missing argument is named', async (t) => {
  const missing = [
    ['service', 'addService'],
    ['service', 'deleteService'],
    ['service', 'getService'],
    ['service', 'listDestinations'],
    ['service', 'addDestination'],
  ] as const
  for (const [path, verb] of missing) {
    await refuses(t, verb, () => call(ipvs, verb), {
      kind: 'type',
      path,
      value: undefined,
      allowed: /an object/,
    })
  }
  await refuses(t, 'addDestination', () => call(ipvs, 'addDestination', tcp), {
    kind: 'type',
    path: 'destination',
    value: undefined,
    allowed: /an object/,
  })
  await refuses(t, 'addVip', () => call(host, 'addVip'), {
    kind: 'type',
    path: 'vip',
    value: undefined,
    allowed: /an object/,
  })
  await refuses(t, 'batch', () => call(ipvs, 'batch'), {
    kind: 'type',
    path: 'operations',
    value: undefined,
    allowed: /an array/,
  })
  await refuses(
    t,
    'no port',
    () => call(ipvs, 'addService', { protocol: 'tcp', address: '10.0.0.1' }),
    { kind: 'type', path: 'service.port', value: undefined, allowed: /integer/ },
  )
  await refuses(t, 'nothing', () => call(ipvs, 'addService', {}), {
    kind: 'type',
    path: 'service.protocol',
    value: undefined,
    allowed: /'tcp'/,
  })
})

const unknown: readonly (readonly [path: string, run: () => unknown, known: RegExp])[] = [
  ['service.sheduler', () => call(ipvs, 'addService', { ...tcp, sheduler: 'rr' }), /scheduler/],
  [
    'service.sheduler',
    () => call(ipvs, 'editService', { ...tcp, sheduler: undefined }),
    /scheduler/,
  ],
  ['service.weight', () => call(ipvs, 'deleteService', { ...tcp, weight: 1 }), /fwmark/],
  ['service.constructor', () => call(ipvs, 'addService', { ...tcp, constructor: 1 }), /scheduler/],
  [
    'service.__proto__',
    () => call(ipvs, 'addService', JSON.parse('{"fwmark":1,"__proto__":{}}')),
    /scheduler/,
  ],
  [
    'service.persistence.timeOut',
    () => call(ipvs, 'addService', { ...tcp, persistence: { timeOut: 1 } }),
    /timeout/,
  ],
  [
    'destination.wieght',
    () => call(ipvs, 'addDestination', tcp, { ...server, wieght: 1 }),
    /weight/,
  ],
  [
    'destination.scheduler',
    () => call(ipvs, 'deleteDestination', tcp, { ...server, scheduler: 'rr' }),
    /weight/,
  ],
  [
    'destination.tunnel.checksums',
    () =>
      call(ipvs, 'addDestination', tcp, {
        ...tunnelled,
        tunnel: { type: 'gre', checksums: 'csum' },
      }),
    /checksum/,
  ],
  ['operations[0].server', () => call(ipvs, 'batch', [{ op: 'clear', server }]), /op/],
  ['operations[0].service', () => call(ipvs, 'batch', [{ op: 'clear', service: tcp }]), /op/],
  [
    'operations[0].destination',
    () => call(ipvs, 'batch', [{ op: 'addService', service: tcp, destination: server }]),
    /service/,
  ],
  ['options.singal', () => call(ipvs, 'clear', { singal: undefined }), /signal/],
  ['options.bigint', () => call(ipvs, 'info', { bigint: true }), /signal/],
  ['options.consistent', () => call(ipvs, 'listServices', { consistent: true }), /bigint/],
  ['options.namespace', () => call(open, 'openIpvs', { namespace: '/x' }), /netns/],
  ['options.signal', () => call(open, 'openHost', { signal: undefined }), /netns/],
  ['vip.dev', () => call(host, 'addVip', { address: '10.0.0.1', dev: 'lo' }), /device/],
  ['vip[1].dev', () => call(host, 'addVip', [{ address: '10.0.0.1' }, { dev: 'lo' }]), /device/],
  ['vip.announce', () => call(host, 'deleteVip', { address: '::1', announce: true }), /device/],
  ['profile.vips', () => call(host, 'prepareDirector', { forwarding: 'nat', vips: [] }), /vip/],
  ['profile.vips', () => call(host, 'prepareRealServer', { forwarding: 'nat', vips: [] }), /vip/],
]
for (const [path, run, known] of unknown) {
  t.test(`${path} is unknown, and the known ones are listed`, async (t) => {
    await refuses(t, path, run, {
      kind: 'value',
      path,
      allowed: new RegExp(`unknown. Known are .*${known.source}`),
    })
  })
}

const signalPlaces: readonly Place[] = [
  { path: 'options.signal', run: (value) => call(ipvs, 'addService', tcp, { signal: value }) },
  { path: 'options.signal', run: (value) => call(ipvs, 'snapshot', { signal: value }) },
  { path: 'options.signal', run: (value) => call(ipvs, 'batch', [], { signal: value }) },
  {
    path: 'options.signal',
    run: (value) => call(host, 'listAddresses', undefined, { signal: value }),
  },
  { path: 'options.signal', run: (value) => call(host, 'ipForward', true, { signal: value }) },
]
signalPlaces.forEach((place, index) =>
  refusesAll(`a signal (${index}) is an AbortSignal`, place, 'type', /an AbortSignal/, [
    null,
    true,
    1,
    'abort',
    {},
    { aborted: false },
    new AbortController(),
    new EventTarget(),
  ]),
)

// What is right by itself and wrong together.

const gue = { type: 'gue', port: 6080 }
const together: readonly (readonly [title: string, run: () => unknown, wrong: Wrong])[] = [
  [
    'a fwmark beside an address',
    () => call(ipvs, 'addService', { ...mark, address: '10.0.0.1' }),
    {
      kind: 'value',
      path: 'service.address',
      value: '10.0.0.1',
      allowed: /absent from a fwmark service/,
    },
  ],
  [
    'a fwmark beside a protocol',
    () => call(ipvs, 'deleteService', { ...mark, protocol: 'tcp' }),
    {
      kind: 'value',
      path: 'service.protocol',
      value: 'tcp',
      allowed: /absent from a fwmark service/,
    },
  ],
  [
    'a fwmark beside a port',
    () => call(ipvs, 'getService', { ...mark, port: 0 }),
    { kind: 'value', path: 'service.port', value: 0, allowed: /absent from a fwmark service/ },
  ],
  [
    'a family that is not that of the address',
    () => call(ipvs, 'addService', { ...tcp, family: 'ipv6' }),
    { kind: 'value', path: 'service.family', value: 'ipv6', allowed: /'ipv4', as the address is/ },
  ],
  [
    'every port without persistence',
    () => call(ipvs, 'addService', { ...tcp, port: 0 }),
    { kind: 'value', path: 'service.port', value: 0, allowed: /needs persistence/ },
  ],
  [
    'every port without persistence in an edit',
    () => call(ipvs, 'editService', { ...udp, port: 0 }),
    { kind: 'value', path: 'service.port', value: 0, allowed: /needs persistence/ },
  ],
  [
    'a flag of another scheduler',
    () =>
      call(ipvs, 'addService', { ...tcp, scheduler: 'mh', schedulerFlags: ['flag-3', 'sh-port'] }),
    {
      kind: 'value',
      path: 'service.schedulerFlags[1]',
      value: 'sh-port',
      allowed: /a flag of the scheduler 'mh'/,
    },
  ],
  [
    'a flag of a scheduler that is not the default',
    () => call(ipvs, 'addService', { ...tcp, schedulerFlags: ['mh-fallback'] }),
    { kind: 'value', path: 'service.schedulerFlags[0]', value: 'mh-fallback', allowed: /'wlc'/ },
  ],
  [
    'one packet over tcp',
    () => call(ipvs, 'addService', { ...tcp, onePacket: true }),
    { kind: 'value', path: 'service.onePacket', value: true, allowed: /only udp and fwmark/ },
  ],
  [
    'one packet over sctp',
    () => call(ipvs, 'addService', { ...tcp, protocol: 'sctp', onePacket: true }),
    { kind: 'value', path: 'service.onePacket', value: true, allowed: /only udp and fwmark/ },
  ],
  [
    'sip over tcp',
    () => call(ipvs, 'addService', { ...tcp, persistence: { engine: 'sip' } }),
    {
      kind: 'value',
      path: 'service.persistence.engine',
      value: 'sip',
      allowed: /needs a udp or fwmark/,
    },
  ],
  [
    'a netmask beside a prefix length',
    () =>
      call(ipvs, 'addService', {
        ...tcp,
        persistence: { prefixLength: 24, netmask: '255.255.255.0' },
      }),
    {
      kind: 'value',
      path: 'service.persistence.netmask',
      value: '255.255.255.0',
      allowed: /absent when there is a prefixLength/,
    },
  ],
  [
    'a netmask of IPv6',
    () => call(ipvs, 'addService', { ...sixth, persistence: { netmask: '255.0.0.0' } }),
    {
      kind: 'value',
      path: 'service.persistence.netmask',
      value: '255.0.0.0',
      allowed: /absent from an IPv6 service/,
    },
  ],
  [
    'a netmask that is an IPv6 address',
    () => call(ipvs, 'addService', { ...tcp, persistence: { netmask: 'ffff::' } }),
    {
      kind: 'value',
      path: 'service.persistence.netmask',
      value: 'ffff::',
      allowed: /dotted IPv4 mask/,
    },
  ],
  [
    'a netmask with a hole',
    () => call(ipvs, 'addService', { ...tcp, persistence: { netmask: '255.0.255.0' } }),
    {
      kind: 'value',
      path: 'service.persistence.netmask',
      value: '255.0.255.0',
      allowed: /leading ones/,
    },
  ],
  [
    'a netmask of no bit',
    () => call(ipvs, 'addService', { ...tcp, persistence: { netmask: '0.0.0.0' } }),
    {
      kind: 'value',
      path: 'service.persistence.netmask',
      value: '0.0.0.0',
      allowed: /leading ones/,
    },
  ],
  [
    'a lower threshold above the upper',
    () => call(ipvs, 'addDestination', tcp, { ...server, upperThreshold: 5, lowerThreshold: 6 }),
    {
      kind: 'value',
      path: 'destination.lowerThreshold',
      value: 6,
      allowed: /at most the upperThreshold, 5/,
    },
  ],
  [
    'a lower threshold alone',
    () => call(ipvs, 'addDestination', tcp, { ...server, lowerThreshold: 1 }),
    {
      kind: 'value',
      path: 'destination.lowerThreshold',
      value: 1,
      allowed: /at most the upperThreshold, 0/,
    },
  ],
  [
    'direct routing to another port',
    () => call(ipvs, 'addDestination', tcp, { ...server, port: 8080 }),
    { kind: 'value', path: 'destination.port', value: 8080, allowed: /the service's own, 80.*dr/ },
  ],
  [
    'a tunnel to another port',
    () => call(ipvs, 'addDestination', tcp, { ...tunnelled, port: 8080 }),
    { kind: 'value', path: 'destination.port', value: 8080, allowed: /the service's own, 80.*tun/ },
  ],
  [
    'port 0 behind nat',
    () => call(ipvs, 'addDestination', tcp, { ...server, port: 0, forwarding: 'nat' }),
    { kind: 'value', path: 'destination.port', value: 0, allowed: /1 to 65535/ },
  ],
  [
    'a tunnel with nat',
    () =>
      call(ipvs, 'addDestination', tcp, { ...server, forwarding: 'nat', tunnel: { type: 'ipip' } }),
    {
      kind: 'value',
      path: 'destination.tunnel',
      value: { type: 'ipip' },
      allowed: /absent with nat forwarding/,
    },
  ],
  [
    'a tunnel with the default forwarding',
    () => call(ipvs, 'addDestination', tcp, { ...server, tunnel: gue }),
    { kind: 'value', path: 'destination.tunnel', value: gue, allowed: /absent with dr forwarding/ },
  ],
  [
    'gue without a port',
    () => call(ipvs, 'addDestination', tcp, { ...tunnelled, tunnel: { type: 'gue' } }),
    { kind: 'type', path: 'destination.tunnel.port', value: undefined, allowed: /integer from 1/ },
  ],
  [
    'a port of ipip',
    () => call(ipvs, 'addDestination', tcp, { ...tunnelled, tunnel: { type: 'ipip', port: 1 } }),
    {
      kind: 'value',
      path: 'destination.tunnel.port',
      value: 1,
      allowed: /absent from a tunnel of type ipip/,
    },
  ],
  [
    'a port of gre',
    () => call(ipvs, 'addDestination', tcp, { ...tunnelled, tunnel: { type: 'gre', port: 1 } }),
    {
      kind: 'value',
      path: 'destination.tunnel.port',
      value: 1,
      allowed: /absent from a tunnel of type gre/,
    },
  ],
  [
    'a checksum of ipip',
    () =>
      call(ipvs, 'addDestination', tcp, {
        ...tunnelled,
        tunnel: { type: 'ipip', checksum: 'none' },
      }),
    {
      kind: 'value',
      path: 'destination.tunnel.checksum',
      value: 'none',
      allowed: /absent from a tunnel of type ipip/,
    },
  ],
  [
    'a remote checksum of gre',
    () =>
      call(ipvs, 'addDestination', tcp, {
        ...tunnelled,
        tunnel: { type: 'gre', checksum: 'remcsum' },
      }),
    {
      kind: 'value',
      path: 'destination.tunnel.checksum',
      value: 'remcsum',
      allowed: /'none', 'csum'/,
    },
  ],
  [
    'an IPv6 destination of an IPv4 service',
    () => call(ipvs, 'addDestination', tcp, { address: '2001:db8::2' }),
    {
      kind: 'value',
      path: 'destination.address',
      value: '2001:db8::2',
      allowed: /an ipv4 address like the service's.*tun/,
    },
  ],
  [
    'an IPv4 destination of an IPv6 service',
    () => call(ipvs, 'addDestination', sixth, { ...server, forwarding: 'nat' }),
    {
      kind: 'value',
      path: 'destination.address',
      value: '10.0.0.2',
      allowed: /an ipv6 address like the service's.*tun/,
    },
  ],
  [
    'an IPv6 destination of a fwmark service',
    () => call(ipvs, 'addDestination', mark, { address: '2001:db8::2' }),
    {
      kind: 'value',
      path: 'destination.address',
      value: '2001:db8::2',
      allowed: /an ipv4 address/,
    },
  ],
  [
    'direct routing without a VIP',
    () => call(host, 'prepareRealServer', { forwarding: 'dr', device: 'eth0' }),
    { kind: 'type', path: 'profile.vip', value: undefined, allowed: /an address or several/ },
  ],
  [
    'direct routing without a device',
    () => call(host, 'prepareRealServer', { forwarding: 'dr', vip: '10.0.0.1' }),
    { kind: 'type', path: 'profile.device', value: undefined, allowed: /the device/ },
  ],
  [
    'a list of no VIP',
    () => call(host, 'prepareRealServer', { forwarding: 'dr', vip: [], device: 'eth0' }),
    { kind: 'value', path: 'profile.vip', value: [], allowed: /at least one/ },
  ],
  [
    'a list of no device',
    () => call(host, 'suppressArp', []),
    { kind: 'value', path: 'devices', value: [], allowed: /at least one/ },
  ],
]
for (const [title, run, wrong] of together) {
  t.test(`${title} is refused`, async (t) => refuses(t, title, run, wrong))
}

// Batches.

refusesAll(
  'operations are an array',
  { path: 'operations', run: (value) => call(ipvs, 'batch', value) },
  'type',
  /an array/,
  [null, {}, 'clear', new Set([{ op: 'clear' }]), { length: 1, 0: { op: 'clear' } }],
)
refusesAll(
  'an operation has the name of a call',
  { path: 'operations[0].op', run: (value) => call(ipvs, 'batch', [{ op: value, service: tcp }]) },
  'value',
  /'addService', 'editService'/,
  ['', 'snapshot', 'ADDSERVICE', 'toString', 'constructor', 'listServices'],
)

t.test('one wrong operation keeps the whole batch from being sent, and is named', async (t) => {
  const right = { op: 'addService', service: tcp }
  const wrong = { op: 'addDestination', service: tcp, destination: { ...server, weight: -1 } }
  await refuses(t, 'batch', () => call(ipvs, 'batch', [right, right, wrong]), {
    kind: 'range',
    path: 'operations[2].destination.weight',
    value: -1,
    allowed: /integer from 0/,
  })
})

t.test('a batch with a hole in it is refused', async (t) => {
  const operations: unknown[] = [{ op: 'clear' }]
  operations[2] = { op: 'clear' }
  await refuses(t, 'hole', () => call(ipvs, 'batch', operations), {
    kind: 'type',
    path: 'operations[1]',
    value: undefined,
    allowed: /an object/,
  })
})

// Settings of the kernel.

const outside = [
  '',
  'net',
  'net.',
  'net/',
  '.net.ipv4',
  'NET.ipv4.ip_forward',
  'kernel.hostname',
  'kernel/hostname',
  '/net/ipv4/ip_forward',
  '/proc/sys/net/ipv4/ip_forward',
  '../kernel/hostname',
  'net/../kernel/hostname',
  'net/ipv4/../../kernel/hostname',
  'net/ipv4/..',
  'net/.',
  'net/./ipv4/ip_forward',
  'net//ipv4/ip_forward',
  'net/ipv4/',
  'net/ipv4//ip_forward',
  'net..ipv4.ip_forward',
  'net.../kernel/hostname',
  'net.//.kernel.hostname',
  'net.ipv4.//.//.kernel.hostname',
  'net./.ipv4.ip_forward',
  'net.ipv4./.',
  'net.ipv4.//',
  'net/ipv4/ip_forward\0',
  'net.ipv4.ip_forward\0.x',
  'net/ipv4/\0/../x',
  'net.ipv4.ip_forward\n',
  'net.ipv4.ip forward',
  ' net.ipv4.ip_forward',
  'net/ipv4/conf/..\0/x',
  'net\\..\\kernel',
]
const settingCalls: readonly Place[] = [
  { path: 'name', run: (value) => call(host, 'getSysctl', value) },
  { path: 'name', run: (value) => call(host, 'setSysctl', value, '0') },
]
settingCalls.forEach((place, index) => {
  const title = index === 0 ? 'that is read' : 'that is written'
  refusesAll(
    `a setting ${title} lies below net, however it is spelled`,
    place,
    'value',
    /a setting below net/,
    outside,
  )
  refusesAll(`the name of a setting ${title} is a text`, place, 'type', /a setting below net/, [
    ...notA('string'),
    undefined,
  ])
})

const valuePlace: Place = {
  path: 'value',
  run: (value) => call(host, 'setSysctl', 'net.ipv4.ip_forward', value),
}
refusesAll(
  'a setting is not set to what is no value',
  valuePlace,
  'type',
  /a number, a boolean or a text/,
  [undefined, null, {}, [], 1n, () => {}],
)
refusesAll(
  'a setting is not set to what cannot be written',
  valuePlace,
  'value',
  /a number, a boolean or a text of one line/,
  [NaN, Infinity, 1.5, 2 ** 53, ' ', '\n', '1\n', '1\n2', '1\0', '1\r', 'x'.repeat(5000)],
)

t.test('a message stays readable whatever the value is', async (t) => {
  const long = 'x'.repeat(1e6)
  const nested = { a: { b: { c: Array(1e5).fill('deep') } } }
  for (const value of [long, nested, Array(1e5).fill(long)]) {
    for (const run of [
      () => call(ipvs, 'addService', { ...tcp, address: value }),
      () => call(ipvs, 'addService', { ...tcp, port: value }),
      () => call(ipvs, 'addService', { ...tcp, schedulerFlags: [value] }),
    ]) {
      const error = await rejectionOf(t, run, 'long')
      t.ok((error?.message.length ?? 1e9) < 1000, error?.message.slice(0, 100) ?? '')
    }
  }
})

// What is right.

const flagSets = [[], ['flag-1'], flags.slice(4), ['flag-1', 'flag-1']]
const accepted: readonly (readonly [title: string, run: () => unknown, reaches: string])[] = [
  ...['addService', 'editService', 'deleteService'].flatMap((verb) =>
    [
      tcp,
      udp,
      sixth,
      mark,
      { ...tcp, protocol: 'sctp' },
      { fwmark: 2 ** 32 - 1, family: 'ipv6' },
      { ...tcp, family: 'ipv4' },
      { ...tcp, fwmark: undefined },
      { fwmark: 1, port: undefined },
    ].map(
      (service) => [`${verb} ${show(service)}`, () => call(ipvs, verb, service), 'apply'] as const,
    ),
  ),
  ...flagSets.map(
    (schedulerFlags) =>
      [
        `flags ${schedulerFlags.join()}`,
        () => call(ipvs, 'addService', { ...tcp, schedulerFlags }),
        'apply',
      ] as const,
  ),
  [
    'flags of sh',
    () =>
      call(ipvs, 'addService', {
        ...tcp,
        scheduler: 'sh',
        schedulerFlags: ['sh-port', 'sh-fallback', 'flag-3'],
      }),
    'apply',
  ],
  [
    'a scheduler nobody knows',
    () => call(ipvs, 'addService', { ...tcp, scheduler: 'my_own-sched.1' }),
    'apply',
  ],
  [
    'a scheduler of 15 characters',
    () => call(ipvs, 'addService', { ...tcp, scheduler: 'a'.repeat(15) }),
    'apply',
  ],
  [
    'an engine of 16 characters',
    () => call(ipvs, 'addService', { ...tcp, persistence: { engine: 'a'.repeat(16) } }),
    'apply',
  ],
  [
    'every port with persistence',
    () => call(ipvs, 'addService', { ...tcp, port: 0, persistence: {} }),
    'apply',
  ],
  ['every port of a key', () => call(ipvs, 'deleteService', { ...tcp, port: 0 }), 'apply'],
  [
    'the shortest persistence',
    () => call(ipvs, 'addService', { ...tcp, persistence: { timeout: 1, prefixLength: 1 } }),
    'apply',
  ],
  [
    'the longest persistence',
    () =>
      call(ipvs, 'addService', {
        ...sixth,
        persistence: { timeout: 4_294_967, prefixLength: 128 },
      }),
    'apply',
  ],
  [
    'a netmask',
    () => call(ipvs, 'addService', { ...tcp, persistence: { netmask: '255.255.128.0' } }),
    'apply',
  ],
  [
    'sip over udp',
    () => call(ipvs, 'addService', { ...udp, persistence: { engine: 'sip' } }),
    'apply',
  ],
  ['one packet over udp', () => call(ipvs, 'addService', { ...udp, onePacket: true }), 'apply'],
  ['one packet of a fwmark', () => call(ipvs, 'addService', { ...mark, onePacket: true }), 'apply'],
  ['no packet over tcp', () => call(ipvs, 'addService', { ...tcp, onePacket: false }), 'apply'],
  [
    'all undefined',
    () =>
      call(ipvs, 'addService', {
        ...tcp,
        scheduler: undefined,
        schedulerFlags: undefined,
        onePacket: undefined,
        persistence: undefined,
      }),
    'apply',
  ],
  [
    'what was read',
    () =>
      call(ipvs, 'editService', {
        ...tcp,
        scheduler: 'rr',
        schedulerFlags: [],
        onePacket: false,
        stats: {},
        destinations: [],
      }),
    'apply',
  ],
  ...['addDestination', 'editDestination'].flatMap((verb) =>
    (
      [
        [tcp, server],
        [tcp, { ...server, port: 80, weight: 0 }],
        [
          tcp,
          {
            ...server,
            weight: 2 ** 31 - 1,
            upperThreshold: 2 ** 31 - 1,
            lowerThreshold: 2 ** 31 - 1,
          },
        ],
        [tcp, { ...server, forwarding: 'nat', port: 8080 }],
        [tcp, { address: '127.0.0.1' }],
        [tcp, { address: '240.0.0.1' }],
        [sixth, { address: '::1' }],
        [sixth, tunnelled],
        [tcp, { address: '2001:db8::2', forwarding: 'tun', tunnel: gue }],
        [tcp, { ...tunnelled, tunnel: { type: 'gre', checksum: 'csum' } }],
        [tcp, { ...tunnelled, tunnel: { ...gue, checksum: 'remcsum' } }],
        [tcp, { ...server, tunnel: undefined }],
        [mark, { ...server, port: 8080 }],
        [{ fwmark: 1, family: 'ipv6' }, { address: '2001:db8::2' }],
        [{ ...tcp, port: 0 }, server],
        [
          tcp,
          {
            ...server,
            family: 'ipv4',
            activeConnections: 3,
            inactiveConnections: 4,
            persistentConnections: 0,
            stats: {},
          },
        ],
      ] as const
    ).map(
      ([service, destination]) =>
        [
          `${verb} ${show(destination)} of ${show(service)}`,
          () => call(ipvs, verb, service, destination),
          'apply',
        ] as const,
    ),
  ),
  [
    'a destination of other kinds is deleted',
    () => call(ipvs, 'deleteDestination', tcp, { ...server, port: 8080, forwarding: 'local' }),
    'apply',
  ],
  ['clear', () => call(ipvs, 'clear'), 'apply'],
  ['options of nothing', () => call(ipvs, 'clear', {}), 'apply'],
  ['an undefined signal', () => call(ipvs, 'clear', { signal: undefined }), 'apply'],
  ['a signal', () => call(ipvs, 'clear', { signal: AbortSignal.timeout(60_000) }), 'apply'],
  [
    'batch',
    () =>
      call(ipvs, 'batch', [
        { op: 'clear' },
        { op: 'addService', service: mark },
        { op: 'deleteDestination', service: mark, destination: server },
      ]),
    'apply',
  ],
  ['snapshot', () => call(ipvs, 'snapshot', { bigint: true, consistent: true }), 'readAll'],
  ['listServices', () => call(ipvs, 'listServices', { bigint: false }), 'readServices'],
  [
    'listDestinations',
    () => call(ipvs, 'listDestinations', { ...tcp, stats: {} }, {}),
    'readDestinations',
  ],
  ['openIpvs', () => call(open, 'openIpvs', { netns: '/run/netns/x', timeout: 1 }), 'open'],
  [
    'openIpvs of a descriptor',
    () => call(open, 'openIpvs', { netns: 0, timeout: 2 ** 31 - 1 }),
    'open',
  ],
  ['openHost', () => call(open, 'openHost', { netns: undefined, timeout: undefined }), 'open'],
  ...[
    'net.ipv4.ip_forward',
    'net/ipv4/ip_forward',
    'net.ipv4.conf.eth0/5.rp_filter',
    'net/ipv4/conf/eth0.5/rp_filter',
    'net.ipv4.vs.x',
    'net.a..b'.replace('..', '.'),
    'net/...',
  ].map(
    (name) => [`getSysctl ${name}`, () => call(host, 'getSysctl', name), 'readSetting'] as const,
  ),
  ...[0, -1, true, false, '1', '4096 87380 6291456', '1\t2'].map(
    (value) =>
      [
        `setSysctl ${value}`,
        () => call(host, 'setSysctl', 'net.ipv4.x', value),
        'writeSetting',
      ] as const,
  ),
  ['ipForward', () => call(host, 'ipForward'), 'readSetting'],
  ['ipForward of IPv6', () => call(host, 'ipForward', { family: 'ipv6' }), 'readSetting'],
  ['ipForward on', () => call(host, 'ipForward', true, { family: 'ipv6' }), 'writeSetting'],
  ['listAddresses', () => call(host, 'listAddresses'), 'readAddresses'],
  ['listAddresses of a device', () => call(host, 'listAddresses', 'eth0.5'), 'readAddresses'],
  ['addVip', () => call(host, 'addVip', { address: '10.0.0.1' }), 'changeAddresses'],
  [
    'addVip with all',
    () =>
      call(host, 'addVip', {
        address: '10.0.0.1',
        device: 'eth0',
        prefixLength: 24,
        label: 'eth0:web',
      }),
    'changeAddresses',
  ],
  [
    'deleteVip of what was read',
    () =>
      call(host, 'deleteVip', {
        address: '10.0.0.1',
        device: 'lo',
        prefixLength: 32,
        label: 'lo:0',
        family: 'ipv4',
        scope: 'global',
        tentative: false,
      }),
    'changeAddresses',
  ],
  ['suppressArp', () => call(host, 'suppressArp', ['eth0', 'eth1']), 'readSetting'],
]
t.test('what is right reaches the addon', async (t) => {
  for (const [title, run, reaches] of accepted) {
    sent.length = 0
    try {
      await run()
    } catch (error) {
      t.fail(`${title}: ${String(error)}`)
    }
    t.ok(sent.includes(reaches), `${title}: ${sent.join()}`)
  }
})

t.test('negative zero is zero', async (t) => {
  for (const service of [{ ...tcp, port: -0, persistence: {} }, mark]) {
    sent.length = 0
    await call(ipvs, 'addDestination', service, {
      ...server,
      forwarding: 'nat',
      weight: -0,
      port: -0,
      lowerThreshold: -0,
    })
    t.same(sent, ['apply'])
  }
})

t.test('arguments that change after the call do not change what is sent', async (t) => {
  const service = { ...tcp }
  const promise = call(ipvs, 'addService', service)
  service.port = NaN
  sent.length = 0
  await promise
  t.same(sent, ['apply'])
})

t.test('what contradicts itself in a VIP or a profile', async (t) => {
  const director = { forwarding: 'dr', vip: '10.0.0.1' }
  const real = { ...director, device: 'eth0' }
  const contradictions: readonly (readonly [string, string, object, unknown, RegExp])[] = [
    ['addVip', 'vip.announce', { address: '::1' }, true, /absent or false on lo/],
    ['prepareDirector', 'profile.announce', director, true, /without a VIP on a real device/],
    ['prepareDirector', 'profile.family', director, 'ipv4', /the VIPs have it/],
    ['prepareDirector', 'profile.conntrack', director, false, /true or absent/],
    ['prepareRealServer', 'profile.tunnel', real, { type: 'ipip' }, /absent with dr forwarding/],
  ]
  for (const [verb, path, base, value, allowed] of contradictions) {
    const name = path.replace(/.*\./, '')
    const run = (): unknown => call(host, verb, { ...base, [name]: value })
    await refuses(t, path, run, { kind: 'value', path, value, allowed })
  }
  const checked = { forwarding: 'tun', vip: '::1', tunnel: { type: 'gre', checksum: 'csum' } }
  for (const profile of [director, { ...director, forwarding: 'tun' }, checked]) {
    await refuses(t, 'device', () => call(host, 'prepareRealServer', profile), {
      kind: 'type',
      path: 'profile.device',
      value: undefined,
      allowed: /the device on which packets arrive/,
    })
  }
})
