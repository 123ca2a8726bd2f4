import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

import t from 'tap'

import { IpvsError } from 'ipvs-netlink'
import { abortError, closedError, errorFor } from '#lib/errors'
import { missingAfter, schedulerInDoubt } from '#lib/probe'
import type * as Errors from '#lib/errors'

const { errno } = constants

/** Where a request failed, as the addon numbers it. */
const Stage = { namespace: 1, socket: 2, family: 3, send: 4, reply: 5, kernel: 6 } as const

type Request = Parameters<typeof errorFor>[1]

const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const destination = { address: '10.0.0.2', port: 80 } as const

const request = (command: string, more: Partial<Request> = {}): Request => ({
  command,
  what: () => `do what ${command} does`,
  changes: true,
  ...more,
})

const refused = (
  command: string,
  name: keyof typeof errno,
  more: Partial<Request> = {},
  text = '',
  found: { missing?: 'engine' } = {},
): IpvsError =>
  errorFor({ stage: Stage.kernel, errno: errno[name], text, ...found }, request(command, more))

const at = (
  stage: number,
  name: keyof typeof errno,
  changes = true,
  command = 'NEW_DEST',
): IpvsError => errorFor({ stage, errno: errno[name], text: '' }, request(command, { changes }))

t.test('the stages are those of the addon', async (t) => {
  const header = readFileSync(new URL('../native/netlink/outcome.h', import.meta.url), 'utf8')
  const numbers = [...header.matchAll(/^ +k([A-Z]\w+) = (\d+),/gm)].map(([, name = '', number]) => [
    name.toLowerCase(),
    Number(number),
  ])
  t.same(Object.fromEntries(numbers), { none: 0, ...Stage })
})

t.test('an IpvsError is an Error with a name, a code and what it is about', async (t) => {
  const error = refused('NEW_DEST', 'EEXIST', { service, destination }, 'the words of the kernel')
  t.ok(error instanceof Error)
  t.ok(error instanceof IpvsError)
  t.ok(IpvsError.is(error))
  t.equal(error.name, 'IpvsError')
  t.equal(error.code, 'ERR_IPVS_DESTINATION_EXISTS')
  t.equal(error.errno, -17, 'negative, as those of Node')
  t.equal(error.command, 'NEW_DEST')
  t.same(error.service, service)
  t.same(error.destination, destination)
  t.equal(error.kernelMessage, 'the words of the kernel')
  t.match(error.message, /the words of the kernel/)
  t.match(error.stack, /^IpvsError: Cannot do what NEW_DEST does/)
})

t.test('what an error is not about is absent, not undefined', async (t) => {
  const error = refused('FLUSH', 'EINVAL')
  t.notOk('service' in error)
  t.notOk('destination' in error)
  t.notOk('kernelMessage' in error)
  t.notOk('cause' in error)
  t.notMatch(error.message, /undefined|kernel says/)
})

t.test('an error that another copy of the package made is known as one', async (t) => {
  const url = new URL(import.meta.resolve('#lib/errors'))
  url.search = '?another-copy'
  const copy = (await import(url.href)) as typeof Errors
  t.not(copy.IpvsError, IpvsError)
  const theirs = copy.closedError('snapshot')
  t.notOk(theirs instanceof IpvsError, 'which instanceof does not know')
  t.ok(IpvsError.is(theirs))
  t.ok(copy.IpvsError.is(closedError('snapshot')))
})

t.test('nothing else is an IpvsError', async (t) => {
  const others = [
    undefined,
    null,
    '',
    0,
    true,
    {},
    [],
    new Error('x'),
    Symbol('x'),
    IpvsError,
    () => {},
  ]
  for (const other of others) t.notOk(IpvsError.is(other))
  const lookalike = Object.assign(new Error('x'), { name: 'IpvsError', code: 'ERR_IPVS_CLOSED' })
  t.notOk(IpvsError.is(lookalike))
})

t.test('the mark of an IpvsError is not seen when it is printed or copied', async (t) => {
  const error = refused('NEW_DEST', 'EEXIST')
  t.same(Object.keys(error).toSorted(), ['code', 'command', 'errno', 'name'])
  t.same(
    Object.getOwnPropertySymbols(error).filter((symbol) =>
      Object.prototype.propertyIsEnumerable.call(error, symbol),
    ),
    [],
  )
})

t.test('the cause of an error is kept', async (t) => {
  const cause = new Error('the reason')
  const error = new IpvsError('x', { code: 'ERR_IPVS_REFUSED', errno: 0, command: '' }, { cause })
  t.equal(error.cause, cause)
})

// What the three kernels answered, and what it means. The line is the request of the capture.
const meanings = [
  ['NEW_SERVICE dup', 'ERR_IPVS_SERVICE_EXISTS', /editService/],
  ["NEW_SERVICE sched='bogus'", 'ERR_IPVS_NO_SCHEDULER', /ip_vs_bogus/],
  ["NEW_SERVICE pe='bogus' tcp nonpersist", 'ERR_IPVS_NO_PERSISTENCE_ENGINE', /ip_vs_pe_bogus/],
  ['NEW_SERVICE no SERVICE attr', 'ERR_IPVS_REFUSED', /EINVAL/],
  ['NEW_SERVICE af=3 (v4 addr bytes, mask ffffffff)', 'ERR_IPVS_REFUSED', /IPv6/],
  ['NEW_SERVICE addr len 17', 'ERR_IPVS_REFUSED', /EINVAL/],
  ['SET_SERVICE nonexist', 'ERR_IPVS_NO_SERVICE', /add it first/],
  ['SET_SERVICE bogus sched', 'ERR_IPVS_NO_SCHEDULER', /ip_vs_bogus/],
  ['SET_SERVICE pe bogus', 'ERR_IPVS_NO_PERSISTENCE_ENGINE', /ip_vs_pe_bogus/],
  ['DEL_SERVICE nonexist', 'ERR_IPVS_NO_SERVICE', /no such service/],
  ['GET_SERVICE nonexist', 'ERR_IPVS_NO_SERVICE', /no such service/],
  ['ZERO nonexist', 'ERR_IPVS_NO_SERVICE', /no such service/],
  ['NEW_DEST nonexist svc', 'ERR_IPVS_NO_SERVICE', /no such service/],
  ['NEW_DEST dup', 'ERR_IPVS_DESTINATION_EXISTS', /editDestination/],
  ['NEW_DEST rs 224.0.0.1', 'ERR_IPVS_REFUSED', /address/],
  ['SET_DEST nonexist', 'ERR_IPVS_NO_DESTINATION', /add it first/],
  ['DEL_DEST nonexist', 'ERR_IPVS_NO_DESTINATION', /no such destination/],
  ['DEL_DEST again', 'ERR_IPVS_NO_DESTINATION', /no such destination/],
] as const

const captures = ['6.1', '6.12', '7.3'].map((kernel) => {
  const url = new URL(`../test/fixtures/errno-${kernel}.txt`, import.meta.url)
  return { kernel, lines: readFileSync(url, 'utf8').split('\n') }
})

/** The kernel's answer to the request of that line. */
const answerIn = (lines: readonly string[], what: string): keyof typeof errno => {
  const line = lines.find((each) => each.startsWith(`${what}  `)) ?? ''
  const name = line.slice(what.length).trim().split(' ')[0] ?? ''
  if (name in errno) return name as keyof typeof errno
  throw new Error(`the capture does not say what became of: ${what}`)
}

for (const [what, code, words] of meanings) {
  t.test(`${what} is ${code} on every kernel`, async (t) => {
    const isEngine = what.includes('pe')
    const names = { scheduler: 'bogus', ...(isEngine && { engine: 'bogus' }) }
    const found = isEngine ? { missing: 'engine' as const } : {}
    for (const { kernel, lines } of captures) {
      const name = answerIn(lines, what)
      const error = refused(what.split(' ')[0] ?? '', name, names, '', found)
      t.equal(error.code, code, kernel)
      t.equal(error.errno, -errno[name], kernel)
      t.match(error.message, words)
    }
  })
}

// Every other way in which the kernel refuses a command: commands, errno, code, words.
const others = [
  ['SET_SERVICE GET_SERVICE GET_DEST', 'EPERM', 'ERR_IPVS_PERMISSION', /initial user namespace/],
  ['NEW_DEST DEL_DAEMON SET_CONFIG', 'EPERM', 'ERR_IPVS_PERMISSION', /initial user namespace/],
  ['SET_DEST DEL_DEST GET_DEST', 'ESRCH', 'ERR_IPVS_NO_SERVICE', /no such service/],
  ['NEW_DAEMON', 'EEXIST', 'ERR_IPVS_DAEMON_RUNNING', /stop it first/],
  ['NEW_DAEMON', 'ENODEV', 'ERR_IPVS_REFUSED', /no such network device/],
  ['NEW_DAEMON', 'ENETUNREACH', 'ERR_IPVS_REFUSED', /down or has no address/],
  ['NEW_DAEMON', 'EINVAL', 'ERR_IPVS_REFUSED', /another family than its service/],
  ['DEL_DAEMON', 'ESRCH', 'ERR_IPVS_NO_DAEMON', /no daemon of this role/],
  ['NEW_SERVICE', 'EINVAL', 'ERR_IPVS_REFUSED', /estimators/],
  ['NEW_DEST SET_DEST', 'EINVAL', 'ERR_IPVS_REFUSED', /reached from here.*estimators/],
  ['NEW_DEST SET_DEST', 'ERANGE', 'ERR_IPVS_REFUSED', /lower threshold would be above/],
  ['SET_CONFIG', 'EINVAL', 'ERR_IPVS_REFUSED', /longer than the kernel can hold/],
  ['NEW_SERVICE SET_SERVICE DEL_SERVICE', 'EAFNOSUPPORT', 'ERR_IPVS_REFUSED', /has no IPv6/],
  ['GET_SERVICE GET_DEST ZERO', 'EAFNOSUPPORT', 'ERR_IPVS_REFUSED', /has no IPv6/],
  ['NEW_DEST SET_DEST DEL_DEST', 'EAFNOSUPPORT', 'ERR_IPVS_REFUSED', /has no IPv6/],
  ['NEW_DAEMON', 'EAFNOSUPPORT', 'ERR_IPVS_REFUSED', /has no IPv6/],
  ['ZERO GET_DAEMON', 'EOPNOTSUPP', 'ERR_IPVS_REFUSED', /ENOTSUP|EOPNOTSUPP/],
  ['GET_SERVICE GET_DEST GET_DAEMON', 'EBUSY', 'ERR_IPVS_REFUSED', /EBUSY/],
  ['NEW_SERVICE NEW_DEST NEW_DAEMON', 'ENOMEM', 'ERR_IPVS_REFUSED', /ENOMEM/],
  ['NEW_SERVICE NEW_DEST NEW_DAEMON', 'ENOPROTOOPT', 'ERR_IPVS_REFUSED', /ENOPROTOOPT/],
] as const

for (const [commands, name, code, words] of others) {
  t.test(`${name} for ${commands} is ${code}`, async (t) => {
    for (const command of commands.split(' ')) {
      const error = refused(command, name)
      t.equal(error.code, code, command)
      t.match(error.message, words, command)
    }
  })
}

t.test('whatever a kernel refused in the captures has a code and an explanation', async (t) => {
  const specific = new Set(['EEXIST', 'ENOENT', 'ESRCH'])
  for (const { kernel, lines } of captures) {
    const refusals = lines.flatMap((line) => {
      const [, command = '', name = ''] = /^([A-Z]+_[A-Z]+) .*? (E[A-Z]{3,})\b/.exec(line) ?? []
      return name in errno ? [{ command, name: name as keyof typeof errno, line }] : []
    })
    t.ok(refusals.length > 100, `${kernel}: ${refusals.length} refusals`)
    for (const { command, name, line } of refusals) {
      const error = refused(command, name, { scheduler: 'x' })
      if (specific.has(name)) t.not(error.code, 'ERR_IPVS_REFUSED', line)
      else t.equal(error.code, 'ERR_IPVS_REFUSED', line)
      t.match(error.message, /^Cannot .+: .{15}/, line)
    }
  }
})

t.test(
  'ENOENT of a service with scheduler and engine is ambiguous until it was asked again',
  async (t) => {
    const failure = { stage: Stage.kernel, errno: errno.ENOENT, text: '' }
    const both = request('NEW_SERVICE', { scheduler: 'rr', engine: 'sip' })
    const unread = (): never => {
      throw new Error('what was asked for does not matter')
    }
    t.equal(
      schedulerInDoubt(failure, () => both),
      'rr',
    )
    t.equal(
      schedulerInDoubt(failure, () => request('NEW_SERVICE', { scheduler: 'rr' })),
      undefined,
    )
    t.equal(schedulerInDoubt({ ...failure, errno: errno.EEXIST }, unread), undefined)
    t.equal(schedulerInDoubt({ ...failure, stage: Stage.family }, unread), undefined, 'no IPVS')
    // The probe with a scheduler that exists is refused for its prefix length.
    t.equal(missingAfter({ ...failure, errno: errno.EINVAL }), 'engine')
    t.equal(missingAfter(failure), 'scheduler')
  },
)

// Stage, errno, code when it was a change, code when it was a read, words.
const stages = [
  [
    Stage.namespace,
    'ENOENT',
    'ERR_IPVS_NO_NETNS',
    'ERR_IPVS_NO_NETNS',
    /\/run\/netns\/NAME.*\/proc must/,
  ],
  [Stage.namespace, 'EINVAL', 'ERR_IPVS_NO_NETNS', 'ERR_IPVS_NO_NETNS', /ENOENT|EINVAL/],
  [Stage.namespace, 'EBADF', 'ERR_IPVS_NO_NETNS', 'ERR_IPVS_NO_NETNS', /descriptor/],
  [
    Stage.namespace,
    'EPERM',
    'ERR_IPVS_PERMISSION',
    'ERR_IPVS_PERMISSION',
    /CAP_SYS_ADMIN in the user namespace that owns it \(capabilities of a child .* do not count\)/,
  ],
  [
    Stage.namespace,
    'EMFILE',
    'ERR_IPVS_REFUSED',
    'ERR_IPVS_REFUSED',
    /network namespace.*EMFILE.*nothing was changed.*open files: ulimit -n/,
  ],
  [
    Stage.namespace,
    'ENFILE',
    'ERR_IPVS_REFUSED',
    'ERR_IPVS_REFUSED',
    /ENFILE.*nothing was changed.*open files of all processes: fs\.file-max/,
  ],
  [
    Stage.namespace,
    'ENOMEM',
    'ERR_IPVS_REFUSED',
    'ERR_IPVS_REFUSED',
    /network namespace.*ENOMEM.*nothing was changed.*memory/,
  ],
  [
    Stage.namespace,
    'EAGAIN',
    'ERR_IPVS_REFUSED',
    'ERR_IPVS_REFUSED',
    /no thread.*EAGAIN.*nothing was changed.*threads: ulimit -u/,
  ],
  [Stage.socket, 'EMFILE', 'ERR_IPVS_REFUSED', 'ERR_IPVS_REFUSED', /socket.*EMFILE/],
  [Stage.socket, 'EAFNOSUPPORT', 'ERR_IPVS_NOT_AVAILABLE', 'ERR_IPVS_NOT_AVAILABLE', /netlink/],
  [Stage.family, 'EBADMSG', 'ERR_IPVS_MALFORMED_REPLY', 'ERR_IPVS_MALFORMED_REPLY', /nothing/],
  [Stage.family, 'ENOENT', 'ERR_IPVS_NOT_AVAILABLE', 'ERR_IPVS_NOT_AVAILABLE', /ip_vs/],
  [Stage.family, 'ETIMEDOUT', 'ERR_IPVS_TIMEOUT', 'ERR_IPVS_TIMEOUT', /nothing was changed/],
  [Stage.send, 'ECANCELED', 'ERR_IPVS_TIMEOUT', 'ERR_IPVS_TIMEOUT', /not sent/],
  [Stage.send, 'ETIMEDOUT', 'ERR_IPVS_TIMEOUT', 'ERR_IPVS_TIMEOUT', /not sent/],
  [Stage.send, 'EMSGSIZE', 'ERR_IPVS_REFUSED', 'ERR_IPVS_REFUSED', /could not be sent.*EMSGSIZE/],
  [Stage.reply, 'ETIMEDOUT', 'ERR_IPVS_OUTCOME_UNKNOWN', 'ERR_IPVS_TIMEOUT', /answer|arrive/],
  [Stage.reply, 'ENOBUFS', 'ERR_IPVS_OUTCOME_UNKNOWN', 'ERR_IPVS_MALFORMED_REPLY', /ENOBUFS/],
  [Stage.reply, 'EBADMSG', 'ERR_IPVS_OUTCOME_UNKNOWN', 'ERR_IPVS_MALFORMED_REPLY', /EBADMSG/],
  [
    Stage.kernel,
    'EPERM',
    'ERR_IPVS_PERMISSION',
    'ERR_IPVS_PERMISSION',
    /CAP_NET_ADMIN.*initial user namespace/,
  ],
  [Stage.kernel, 'EFBIG', 'ERR_IPVS_REFUSED', 'ERR_IPVS_REFUSED', /refused.*EFBIG/],
] as const

for (const [stage, name, changing, reading, words] of stages) {
  t.test(`${name} at stage ${stage} is ${changing}, and of a read ${reading}`, async (t) => {
    t.equal(at(stage, name, true).code, changing)
    t.equal(at(stage, name, false).code, reading)
    for (const changes of [true, false]) {
      const error = at(stage, name, changes)
      t.equal(error.errno, -errno[name])
      t.match(error.message, words)
      t.match(error.message, /^Cannot do what NEW_DEST does: /)
    }
  })
}

t.test('only a change whose reply was lost has an unknown outcome', async (t) => {
  for (const stage of Object.values(Stage)) {
    for (const name of ['ETIMEDOUT', 'ENOBUFS', 'EINVAL'] as const) {
      const isUnknown = at(stage, name, true).code === 'ERR_IPVS_OUTCOME_UNKNOWN'
      t.equal(isUnknown, stage === Stage.reply, `stage ${stage}, ${name}`)
      t.not(at(stage, name, false).code, 'ERR_IPVS_OUTCOME_UNKNOWN')
    }
  }
  t.match(
    at(Stage.reply, 'ETIMEDOUT').message,
    /may have been made: read the table before trying again/,
  )
})

t.test(
  'where a limit keeps a host call out of its namespace, there is one all the same',
  async (t) => {
    for (const command of ['host', 'sysctl', 'RTM_NEWADDR']) {
      for (const name of ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'] as const) {
        t.equal(at(Stage.namespace, name, true, command).code, 'ERR_HOST_REFUSED', command)
      }
      for (const name of ['ENOENT', 'EINVAL', 'ENOTDIR', 'EBADF', 'ELOOP', 'ENXIO'] as const) {
        t.equal(at(Stage.namespace, name, true, command).code, 'ERR_IPVS_NO_NETNS', command)
      }
    }
  },
)

// Of the addresses and settings of the machine.
const hostMeanings = [
  ['RTM_NEWADDR', 'EEXIST', 'ERR_HOST_ADDRESS_EXISTS', /has it already/],
  ['RTM_NEWADDR', 'ENODEV', 'ERR_HOST_NO_DEVICE', /no such network device/],
  ['RTM_NEWADDR', 'EPERM', 'ERR_HOST_PERMISSION', /CAP_NET_ADMIN/],
  ['RTM_NEWADDR', 'EACCES', 'ERR_HOST_REFUSED', /IPv6 is switched off on this device/],
  ['RTM_NEWADDR', 'EOPNOTSUPP', 'ERR_HOST_REFUSED', /has no IPv6/],
  ['RTM_NEWADDR', 'EINVAL', 'ERR_HOST_REFUSED', /EINVAL/],
  ['RTM_DELADDR', 'EADDRNOTAVAIL', 'ERR_HOST_NO_ADDRESS', /no such address/],
  ['RTM_DELADDR', 'ENODEV', 'ERR_HOST_NO_DEVICE', /no such network device/],
  ['RTM_GETADDR', 'ENODEV', 'ERR_HOST_NO_DEVICE', /no such network device/],
  ['RTM_NEWLINK', 'EOPNOTSUPP', 'ERR_HOST_REFUSED', /no devices of this kind/],
  ['RTM_NEWLINK', 'EPERM', 'ERR_HOST_PERMISSION', /CAP_NET_ADMIN/],
  ['RTM_SETLINK', 'ENODEV', 'ERR_HOST_NO_DEVICE', /no such network device/],
  ['FOU_CMD_ADD', 'ENOENT', 'ERR_HOST_REFUSED', /load the module fou/],
  ['FOU_CMD_ADD', 'EADDRINUSE', 'ERR_HOST_REFUSED', /somebody else listens/],
  ['announce', 'EPERM', 'ERR_HOST_PERMISSION', /CAP_NET_RAW/],
  ['announce', 'EOPNOTSUPP', 'ERR_HOST_REFUSED', /no Ethernet address/],
  ['announce', 'ENETDOWN', 'ERR_HOST_REFUSED', /the device is down/],
  ['announce', 'ENODEV', 'ERR_HOST_NO_DEVICE', /no such network device/],
  ['sysctl', 'ENOENT', 'ERR_HOST_NO_SYSCTL', /no such setting/],
  ['sysctl', 'ENOTDIR', 'ERR_HOST_NO_SYSCTL', /no such setting/],
  ['sysctl', 'EISDIR', 'ERR_HOST_NO_SYSCTL', /no such setting/],
  ['sysctl', 'EROFS', 'ERR_HOST_PERMISSION', /read-only/],
  ['sysctl', 'EACCES', 'ERR_HOST_PERMISSION', /CAP_NET_ADMIN.*or the setting can only be read$/],
  ['sysctl', 'EINVAL', 'ERR_HOST_REFUSED', /EINVAL/],
] as const

for (const [command, name, code, words] of hostMeanings) {
  t.test(`${name} for ${command} is ${code}`, async (t) => {
    const error = refused(command, name)
    t.equal(error.code, code)
    t.match(error.message, words)
  })
}

t.test('an errno that nobody knows is shown as its number', async (t) => {
  const error = errorFor({ stage: Stage.kernel, errno: 524, text: '' }, request('NEW_SERVICE'))
  t.equal(error.code, 'ERR_IPVS_REFUSED')
  t.equal(error.errno, -524)
  t.match(error.message, /524/)
})

t.test('the error of a closed handle names the call and has no errno', async (t) => {
  const error = closedError('snapshot')
  t.match(error, { code: 'ERR_IPVS_CLOSED', errno: 0, command: '' })
  t.match(error.message, /snapshot.*closed/)
})

t.test('the error of an aborted call is an AbortError that says whether it was sent', async (t) => {
  const reason = new Error('enough')
  const sent = abortError(AbortSignal.abort(reason), true)
  const unsent = abortError(AbortSignal.abort(reason), false)
  for (const error of [sent, unsent]) {
    t.match(error, { name: 'AbortError', code: 'ABORT_ERR', cause: reason })
    t.notOk(IpvsError.is(error))
  }
  t.match(sent.message, /kernel may have carried it out/)
  t.match(unsent.message, /before it was sent/)
  t.notMatch(unsent.message, /may have/)
})

t.test('every code that can be made is documented', async (t) => {
  const docs = readFileSync(new URL('../types/error.d.ts', import.meta.url), 'utf8')
  const documented = new Set([...docs.matchAll(/'(ERR_\w+)'/g)].map(([, code]) => code))
  const made = [
    ...meanings.map(([, code]) => code),
    ...others.map(([, , code]) => code),
    ...stages.flatMap(([, , changing, reading]) => [changing, reading]),
    ...hostMeanings.map(([, , code]) => code),
    closedError('x').code,
  ]
  t.same(
    made.filter((code) => !documented.has(code)),
    [],
  )
})
