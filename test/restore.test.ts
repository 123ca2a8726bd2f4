// What save and restore do with the table and with files, on a table that only remembers what it is
// sent. On real kernels: test/kernel/rules.test.ts.

import { execFileSync } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import t from 'tap'
import type { Test } from 'tap'

import { IpvsError } from 'ipvs-netlink'
import type { Ipvs, Operation, OperationOutcome, VirtualServerState } from 'ipvs-netlink'
import { Controller } from '#lib/controller'

interface Remembering {
  readonly ipvs: Ipvs
  readonly sent: Operation[][]
  readonly reads: unknown[]
}

/** A table that holds these services, and refuses operations of these kinds. */
const remembering = (table: readonly object[], refuses: readonly string[] = []): Remembering => {
  const sent: Operation[][] = []
  const reads: unknown[] = []
  const error = new IpvsError('Cannot do it', {
    code: 'ERR_IPVS_NO_SCHEDULER',
    errno: -2,
    command: 'NEW_SERVICE',
  })
  class Table extends Controller {
    snapshot(options: unknown): Promise<readonly object[]> {
      reads.push(options)
      return Promise.resolve(table)
    }

    batch(operations: readonly Operation[]): Promise<OperationOutcome[]> {
      sent.push([...operations])
      return Promise.resolve(
        operations.map(({ op }) => (refuses.includes(op) ? { ok: false, error } : { ok: true })),
      )
    }
  }
  return { ipvs: new Table() as unknown as Ipvs, sent, reads }
}

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const dns = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const

const settings = { scheduler: 'wlc', schedulerFlags: [], onePacket: false, stats: {} }

const one = {
  address: '10.0.0.2',
  port: 80,
  family: 'ipv4',
  forwarding: 'dr',
  weight: 1,
  upperThreshold: 0,
  lowerThreshold: 0,
  activeConnections: 0,
  inactiveConnections: 0,
  persistentConnections: 0,
  stats: {},
}

const served = [{ ...web, ...settings, destinations: [one] }] as unknown as VirtualServerState[]
const rules = '-A -t 10.0.0.1:80 -s wlc\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 1\n'

t.test('the table is saved from a consistent reading', async (t) => {
  const { ipvs, reads } = remembering(served)
  t.equal(await ipvs.save(), rules)
  t.match(reads, [{ consistent: true }])
  t.equal(await remembering([]).ipvs.save(), '')
})

const opsOf = ({ sent }: Remembering): string[][] => sent.map((batch) => batch.map(({ op }) => op))

t.test('what is as it should be is left alone, what is not named goes', async (t) => {
  const table = remembering(served)
  await table.ipvs.restore(rules)
  t.same(table.sent, [])
  await table.ipvs.restore(`${rules}-A -u 10.0.0.1:53 -o\n-e -t 10.0.0.1:80 -r 10.0.0.2 -w 9\n`)
  t.same(opsOf(table), [['editDestination', 'addService']])
  table.sent.length = 0
  await table.ipvs.restore('')
  t.match(table.sent, [[{ op: 'deleteService', service: web }]])
})

t.test('what is no service or destination comes afterwards', async (t) => {
  const table = remembering([])
  await table.ipvs.restore(`--set 1 2 3\n${rules}-Z\n`)
  t.same(opsOf(table), [
    ['addService', 'addDestination'],
    ['setTimeouts', 'zero'],
  ])
})

t.test('without clear the lines are sent, and what is there is edited', async (t) => {
  const table = remembering(served)
  const text = [
    '-A -u 10.0.0.1:53',
    '-A -t 10.0.0.1:80 -s rr',
    '-a -t 10.0.0.1:80 -r 10.0.0.2 -w 5',
    '-a -t 10.0.0.1:80 -r 10.0.0.3',
    '-d -t 10.0.0.1:80 -r 10.0.0.3',
    '--set 1 2 3',
  ].join('\n')
  await table.ipvs.restore(text, { clear: false })
  t.match(table.sent, [
    [
      { op: 'addService', service: dns },
      { op: 'editService', service: { ...web, scheduler: 'rr' } },
      { op: 'editDestination', service: web, destination: { address: '10.0.0.2', weight: 5 } },
      { op: 'addDestination', service: web, destination: { address: '10.0.0.3' } },
      { op: 'deleteDestination', service: web, destination: { address: '10.0.0.3' } },
      { op: 'setTimeouts' },
    ],
  ])
  table.sent.length = 0
  await table.ipvs.restore('', { clear: false })
  await table.ipvs.restore('# nothing\n', { clear: false })
  t.same(table.sent, [])
  await t.rejects(table.ipvs.restore('-D -u 10.0.0.1:53', { clear: false }), {
    code: 'ERR_IPVS_BAD_RULE',
    message: 'line 1: there is no service udp 10.0.0.1:53 at this point',
  })
  t.same(table.sent, [])
})

t.test('a -C does what clear does', async (t) => {
  const table = remembering(served)
  await table.ipvs.restore(`--set 1 2 3\n-D -t 10.0.0.1:80\n-C\n${rules}`, { clear: false })
  t.same(opsOf(table), [['setTimeouts']])
})

t.test('every bad line is told of, and nothing is sent', async (t) => {
  const table = remembering(served)
  const text = '-A -t web:80\n-A -t 10.0.0.1:80\n\n-a -t 10.0.0.1:80 -r 10.0.0.2 -w x\n'
  for (const clear of [true, false]) {
    const error: unknown = await table.ipvs.restore(text, { clear }).catch((each: unknown) => each)
    t.ok(IpvsError.is(error))
    t.match(error, {
      code: 'ERR_IPVS_BAD_RULE',
      errno: 0,
      line: 1,
      message: 'line 1: -t needs a numeric address, and "web" is a host name (and 1 more: line 4)',
      errors: [
        { code: 'ERR_IPVS_BAD_RULE', line: 1 },
        { code: 'ERR_IPVS_BAD_RULE', line: 4, message: '-w needs a number, not "x"' },
      ],
      cause: SyntaxError,
    })
  }
  await t.rejects(table.ipvs.restore('-A -t 10.0.0.1:80 -o'), {
    line: 1,
    cause: { code: 'ERR_INVALID_ARG_VALUE', name: 'TypeError' },
  })
  const many: unknown = await table.ipvs.restore('-A\n'.repeat(20)).catch((each: unknown) => each)
  t.match(many, { message: /\(and 19 more: lines 2, 3, 4, 5, 6, 7, 8, 9, \.\.\.\)$/ })
  t.same((many as IpvsError).errors?.length, 20)
  t.same(table.sent, [])
  t.same(table.reads, [], 'not even read')
})

t.test('what the kernel refuses does not stop the rest, and has its lines', async (t) => {
  const table = remembering([], ['addService', 'setTimeouts'])
  await t.rejects(table.ipvs.restore(`--set 1 2 3\n${rules}-A -u 10.0.0.1:53 -o`), {
    name: 'IpvsError',
    code: 'ERR_IPVS_NO_SCHEDULER',
    errno: -2,
    command: 'NEW_SERVICE',
    line: 2,
    message: 'line 2: Cannot do it (and 2 more: lines 4, 1)',
    errors: [{ message: 'Cannot do it' }, {}, {}],
    cause: { message: 'Cannot do it' },
  })
  t.same(opsOf(table)[1], ['setTimeouts'])

  const prunes = remembering(served, ['deleteService'])
  await t.rejects(prunes.ipvs.restore(''), { message: 'Cannot do it', errors: [{}] })
  const adds = remembering([], ['addDestination'])
  await t.rejects(adds.ipvs.restore(rules, { clear: false }), {
    code: 'ERR_IPVS_NO_SCHEDULER',
    line: 2,
  })
})

t.test('wrong arguments', async (t) => {
  const { ipvs, sent, reads } = remembering(served)
  const invalid = (message: RegExp): { name: string; message: RegExp } => ({
    name: 'TypeError',
    message,
  })
  for (const text of [undefined, null, 1, Buffer.from(rules)]) {
    await t.rejects(ipvs.restore(text as never), invalid(/"text" must be a string/))
  }
  for (const path of [undefined, null, '', 'a\0b', 7]) {
    const expected = invalid(/"path" must be the path of a file/)
    await t.rejects(ipvs.saveToFile(path as never), expected)
    await t.rejects(ipvs.restoreFromFile(path as never), expected)
  }
  await t.rejects(ipvs.restore('', { clear: 'no' } as never), /"options.clear" must be a boolean/)
  await t.rejects(ipvs.restore('', { clean: true } as never), /"options.clean" is unknown/)
  await t.rejects(ipvs.save({ clear: true } as never), /"options.clear" is unknown/)
  await t.rejects(ipvs.saveToFile('x', { clear: true } as never), /"options.clear" is unknown/)
  await t.rejects(ipvs.restoreFromFile('x', { signal: 1 } as never), /"options.signal" must be/)
  await t.rejects(ipvs.restore(rules, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  t.same([sent, reads], [[], []])
})

t.test('a file is written whole, and read whole', async (t) => {
  const folder = t.testdir({})
  const path = join(folder, 'rules')
  const { ipvs } = remembering(served)
  await ipvs.saveToFile(path)
  t.equal(await readFile(path, 'utf8'), rules)
  t.equal((await stat(path)).mode & 0o777, 0o644)
  await chmod(path, 0o640)
  await writeFile(path, 'old')
  await ipvs.saveToFile(path)
  t.equal(await readFile(path, 'utf8'), rules)
  t.equal((await stat(path)).mode & 0o777, 0o640, 'the mode is kept')
  t.same(await readdir(folder), ['rules'], 'nothing else is left')

  const table = remembering([])
  await table.ipvs.restoreFromFile(path)
  t.same(opsOf(table), [['addService', 'addDestination']])
  await symlink(path, join(folder, 'link'))
  await t.rejects(ipvs.saveToFile(join(folder, 'link')), { code: 'ELOOP' })
  await t.rejects(ipvs.saveToFile(join(folder, 'absent', 'rules')), { code: 'ENOENT' })
  await t.rejects(ipvs.restoreFromFile(join(folder, 'absent')), { code: 'ENOENT' })
  await mkdir(join(folder, 'folder'))
  await t.rejects(ipvs.restoreFromFile(join(folder, 'folder')), { code: 'EISDIR' })
  await t.rejects(ipvs.restoreFromFile(path, { signal: AbortSignal.abort() }), {
    name: 'AbortError',
  })
})

t.test('what is no regular file is refused, and nothing waits for it', async (t) => {
  const pipe = join(t.testdir(), 'pipe')
  execFileSync('mkfifo', [pipe])
  const table = remembering(served)
  for (const path of [pipe, '/dev/null']) {
    await t.rejects(table.ipvs.restoreFromFile(path), {
      code: 'EINVAL',
      path,
      message: `EINVAL: not a regular file, open '${path}'`,
    })
  }
  t.same(table.sent, [])
})

t.test('a table that cannot be saved leaves the old file', async (t) => {
  const path = join(t.testdir({ rules }), 'rules')
  const { ipvs } = remembering([{ ...served[0], protocol: '47' }])
  await t.rejects(ipvs.saveToFile(path), { code: 'ERR_IPVS_BAD_RULE' })
  t.equal(await readFile(path, 'utf8'), rules)
})

t.test('a table without services is an empty line', async (t) => {
  const path = join(t.testdir({}), 'rules')
  await remembering([]).ipvs.saveToFile(path)
  t.equal(await readFile(path, 'utf8'), '\n')
  const table = remembering(served)
  await table.ipvs.restoreFromFile(path)
  t.same(opsOf(table), [['deleteService']])
})

/** A file of this text is refused, with this line, and nothing is sent. */
const refuses = async (t: Test, text: string, line: number, why: RegExp): Promise<void> => {
  const path = join(t.testdir({ rules: text }), 'rules')
  const table = remembering(served)
  const error: unknown = await table.ipvs.restoreFromFile(path).catch((each: unknown) => each)
  t.match(error, { code: 'ERR_IPVS_BAD_RULE', line, message: why }, JSON.stringify(text))
  t.ok((error as Error).message.startsWith(`${path}: line ${line}: `))
  t.same([table.sent, table.reads], [[], []])
}

t.test('a file that was cut or damaged is refused whole', async (t) => {
  const [first = ''] = rules.split('\n')
  // Wherever it is cut, but for a cut between two lines, which leaves rules.
  for (let length = 0; length < rules.length; ++length) {
    if (length === first.length + 1) continue
    const line = length <= first.length ? 1 : 2
    await refuses(t, rules.slice(0, length), line, /was cut short/)
  }
  await refuses(t, rules.replace('-g', '-G'), 2, /"-G" is unknown/)
  await refuses(t, rules.replace('-s wlc\n', ''), 1, /-a cannot stand beside -A/)
  await refuses(t, `${rules}${'\0'.repeat(9)}\n`, 3, /no command/)
  await refuses(t, `${'\0'.repeat(512)}\n`, 1, /no command/)
  await refuses(t, `\uFEFF${rules}`, 1, /a command must stand before -t/)
  await refuses(t, `${rules.split('\n').toReversed().join('\n').trim()}\n`, 1, /no service/)
})
