// Rules as text: every spelling that ipvsadm takes, every line that is none, and both ways for every
// valid table. The spellings and refusals are those of ipvsadm 1.31, see test/kernel/rules.test.ts.

import fc from 'fast-check'
import t from 'tap'

import type { VirtualServer, VirtualServerState } from 'ipvs-netlink'
import { describeDestination, takeDestination } from '#lib/destination'
import { formatRules } from '#lib/rules_format'
import { applyRules, readRules } from '#lib/rules_table'
import { inWords } from '#lib/rules_words'
import { describeService, takeService } from '#lib/service'

import { atOnce } from './fixtures/at-once.js'
import { server, servers, service, services, wrong } from './fixtures/rules.js'
import {
  anyTable,
  configurationsOf,
  expectedLines,
  linesOf,
  longestOfOurs,
  restorable,
} from './fixtures/tables.js'
import type { Model } from './fixtures/tables.js'

const noStats = {}

/** As it is read once it is written, every default filled in. */
const asRead = (desired: readonly object[]): VirtualServerState[] =>
  desired.map((service) => {
    const identity = takeService(service, 'service')
    const { destinations } = service as VirtualServer
    return {
      ...describeService(identity.fields),
      stats: noStats,
      destinations: destinations.map((each) => ({
        ...describeDestination(
          takeDestination(each, 'destination', identity).fields,
          identity.fields.family,
        ),
        stats: noStats,
      })),
    } as unknown as VirtualServerState
  })

/** What the text makes of an empty table; throws when a line is wrong. */
const tableOf = (text: string): VirtualServerState[] => {
  const { rules, faults } = atOnce(readRules(text))
  const result = atOnce(applyRules(rules, undefined))
  for (const { line, reason } of [...faults, ...result.faults]) {
    throw new Error(`line ${line}: ${reason.message}`)
  }
  return asRead(result.desired)
}

/** The same rules as we write them. */
const rewritten = (text: string): string[] =>
  atOnce(formatRules(tableOf(text)))
    .split('\n')
    .filter((line) => line !== '')

t.test('a service in every spelling', async (t) => {
  for (const [text, expected] of Object.entries(services)) t.same(rewritten(text), [expected], text)
})

t.test('a server in every spelling', async (t) => {
  const before = `${service}\n-a -t 10.0.0.1:80 -r 10.0.0.9 -w 9\n`
  for (const [text, expected] of Object.entries(servers)) {
    const [, ...rules] = rewritten(`${text.startsWith('-e') ? before : `${service}\n`}${text}\n`)
    t.same(rules, [expected], text)
  }
  t.same(rewritten('-A -f 7\n-a -f 7 -r 10.0.0.2\n-a -f 7 -r 10.0.0.2:8080 -g'), [
    '-A -f 7 -s wlc',
    '-a -f 7 -r 10.0.0.2:0 -g -w 1',
    '-a -f 7 -r 10.0.0.2:8080 -g -w 1',
  ])
})

t.test('lines are carried out in order', async (t) => {
  const lines = [
    service,
    '-A -u 10.0.0.1:53 -o',
    server,
    '-a -t 10.0.0.1:80 -r 10.0.0.3 -w 4',
    '-E -t 10.0.0.1:80 -s rr',
    '-e -t 10.0.0.1:80 -r 10.0.0.3',
    '-d -t 10.0.0.1:80 -r 10.0.0.2',
    '-D -u 10.0.0.1:53',
  ]
  const expected = ['-A -t 10.0.0.1:80 -s rr', '-a -t 10.0.0.1:80 -r 10.0.0.3:80 -g -w 1']
  t.same(rewritten(lines.join('\n')), expected, 'an edit sets what it does not name to its default')
  t.same(rewritten(`-A -t 10.0.0.9:80\n-C\n${lines.join('\n')}`), expected)
  t.same(rewritten([...lines, '--clear'].join('\n')), [])
  t.same(rewritten([...lines, '-D -t 10.0.0.1:80', '-A -t 10.0.0.1:80'].join('\n')), [service])
})

t.test('empty lines, comments, and lines that end as on other systems', async (t) => {
  t.same(rewritten(''), [])
  t.same(rewritten('\n'), [])
  t.same(rewritten(`# -A -t web:80\n\n  \t\n#\n${service}\r\n\r\n`), [service])
  t.same(rewritten(`${service}\n${server}`).length, 2, 'the last line need not end')
})

t.test('what is no service or destination', async (t) => {
  const { rules, faults } = atOnce(
    readRules(
      [
        '--set 100 0 50',
        '100 --set 120 50',
        '--set 0 0 0',
        '-Z',
        '-Z -t 10.0.0.1:80',
        '--start-daemon master',
        '--start-daemon=backup --mcast-interface lo --syncid 7 --sync-maxlen 1400 --mcast-group 224.0.0.9 --mcast-port 9000 --mcast-ttl 3',
        '--stop-daemon master',
      ].join('\n'),
    ),
  )
  t.same(faults, [])
  t.match(rules, [
    {
      line: 1,
      operation: { op: 'setTimeouts', timeouts: { tcp: 100, tcpFin: undefined, udp: 50 } },
    },
    { line: 2, operation: { timeouts: { tcp: 100, tcpFin: 120, udp: 50 } } },
    { line: 4, operation: { op: 'zero', service: undefined } },
    { line: 5, operation: { op: 'zero', service: { address: '10.0.0.1' } } },
    {
      line: 6,
      operation: { op: 'startSyncDaemon', daemon: { role: 'master', interface: 'eth0' } },
    },
    {
      line: 7,
      operation: {
        daemon: { syncId: 7, maxLength: 1400, group: '224.0.0.9', port: 9000, ttl: 3 },
      },
    },
    { line: 8, operation: { op: 'stopSyncDaemon', role: 'master' } },
  ])
})

t.test('what is no rule is refused in words of its own', async (t) => {
  for (const [text, expected] of wrong) {
    const { rules, faults } = atOnce(readRules(`${service}\n\n${text}\n`))
    t.same(
      rules.map(({ line }) => line),
      [1],
      text,
    )
    t.match(faults, [{ line: 3 }], text)
    t.match(inWords(faults[0]?.reason.message ?? ''), expected, text)
  }
})

t.test('what contradicts the lines before it', async (t) => {
  const said: readonly (readonly [string, RegExp])[] = [
    ['-A -t 10.0.0.1:80', /service tcp 10\.0\.0\.1:80 is there already, by line 1/],
    [server, /destination 10\.0\.0\.2:80 is there already, by line 2/],
    ['-a -t 10.0.0.1:80 -r 10.0.0.2:9999 -g', /10\.0\.0\.2:80 is there already, by line 2/],
    ['-a -u 10.0.0.1:80 -r 10.0.0.2', /there is no service udp 10\.0\.0\.1:80/],
    ['-E -f 1', /there is no service fwmark 1 \(ipv4\)/],
    ['-D -f 1 -6', /there is no service fwmark 1 \(ipv6\)/],
    ['-e -t 10.0.0.1:80 -r 10.0.0.3', /there is no destination 10\.0\.0\.3:80/],
    ['-d -t 10.0.0.1:80 -r 10.0.0.2:8080', /there is no destination 10\.0\.0\.2:8080/],
    ['-d -t 10.0.0.9:80 -r 10.0.0.2', /there is no service tcp 10\.0\.0\.9:80/],
  ]
  for (const [text, expected] of said) {
    const { rules } = atOnce(readRules(`${service}\n${server}\n${text}\n`))
    const { faults } = atOnce(applyRules(rules, undefined))
    t.match(faults, [{ line: 3, reason: { message: expected } }], text)
  }
})

const schedulers = 'rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos'.split(' ')
const tables = anyTable(8, schedulers, longestOfOurs)

const sorted = (lines: readonly string[]): string[] => lines.toSorted()

const same = (actual: readonly string[], expected: readonly string[]): void => {
  const [ours, theirs] = [sorted(actual), sorted(expected)]
  ours.forEach((line, index) => {
    if (line !== theirs[index]) throw new Error(`${line}\n${theirs[index] ?? ''}`)
  })
  if (ours.length !== theirs.length) throw new Error(`${ours.length} for ${theirs.length}`)
}

t.test('every valid table is written and read back', async () => {
  fc.assert(
    fc.property(tables, (models) => {
      const table = asRead(configurationsOf(models))
      const text = atOnce(formatRules(table))
      same(linesOf(tableOf(text)), expectedLines(models))
      if (atOnce(formatRules(tableOf(text))) !== text) throw new Error('another text')
      if (atOnce(formatRules(table.toReversed())) !== text) throw new Error('another order')
    }),
    { numRuns: 60 },
  )
})

t.test('what ipvsadm takes is read as what it means', async () => {
  fc.assert(
    fc.property(tables, (models: Model[]) => {
      same(linesOf(tableOf(models.flatMap(restorable).join('\n'))), expectedLines(models))
    }),
    { numRuns: 60 },
  )
})

/** The parts of a rule, each an option with or without a value; the command stands first. */
const parts: fc.Arbitrary<(readonly [string, string, string?])[]> = fc
  .record({
    port: fc.integer({ min: 1, max: 65535 }),
    weight: fc.nat(1000),
    upper: fc.integer({ min: 10, max: 99 }),
  })
  .map(({ port, weight, upper }) => [
    ['-a', '--add-server'],
    ['-t', '--tcp-service', '10.0.0.1:80'],
    ['-r', '--real-server', `10.0.0.2:${port}`],
    ['-m', '--masquerading'],
    ['-w', '--weight', String(weight)],
    ['-x', '--u-threshold', String(upper)],
  ])

t.test('spelling, order and blanks make no difference', async () => {
  const blank = fc.constantFrom(' ', '  ', '\t', ' \r ', ' ipvsadm ')
  const spelt = parts.chain((all) => {
    const [command, ...others] = all
    return fc.record({
      all: fc.constant(all),
      order: fc.shuffledSubarray(others, { minLength: others.length }),
      ways: fc.array(fc.nat(4), { minLength: 6, maxLength: 6 }),
      blanks: fc.array(blank, { minLength: 12, maxLength: 12 }),
      command: fc.constant(command),
    })
  })
  const spell = (
    part: readonly [string, string, string?] | undefined,
    way: number,
    between: string,
  ): string => {
    const [short = '', long = '', value] = part ?? []
    if (value === undefined) return way % 2 === 0 ? short : long
    const forms = [
      `${short}${between}${value}`,
      `${short}${value}`,
      `${short}=${value}`,
      `${long}${between}${value}`,
      `${long}=${value}`,
    ]
    return forms[way] ?? ''
  }
  fc.assert(
    fc.property(spelt, ({ all, order, ways, blanks, command }) => {
      const text = [command, ...order]
        .map((part, index) => spell(part, ways[index] ?? 0, blanks[index] ?? ' '))
        .reduce((line, word, index) => `${line}${blanks[index + 5] ?? ' '}${word}`)
      const plain = all.map(([short, , value]) => [short, value ?? ''].join(' ')).join(' ')
      const [ours, theirs] = [text, plain].map((line) => rewritten(`${service}\n${line}`).join())
      if (ours !== theirs) throw new Error(`${JSON.stringify(text)}: ${ours ?? ''}`)
    }),
    { numRuns: 300 },
  )
})

t.test('marks as ipvsadm writes them, with a sign, also the one that is an option', async (t) => {
  const table = tableOf('-A -f -30\n-A -f -6 -6\n-a -f -6 -6 -r [2001:db8::1]:80\n-A -f -1')
  t.match(table, [
    { fwmark: 2 ** 32 - 30, family: 'ipv4' },
    { fwmark: 2 ** 32 - 6, family: 'ipv6', destinations: [{ address: '2001:db8::1' }] },
    { fwmark: 2 ** 32 - 1, family: 'ipv4' },
  ])
})

t.test('any text at all is rules or is refused', async () => {
  const words = fc.constantFrom(
    ...'-A -E -D -a -e -d -C -Z -t -u -f -6 -r -m -g -i -w -x -y -p -M -b -s -o --pe --set -- - -p= --weight= = 1 0 -1 10.0.0.1:80 [::1]:80 [ ] : # rr sip sh-port , ipvsadm'.split(
      ' ',
    ),
  )
  const line = fc.array(fc.oneof({ weight: 9, arbitrary: words }, fc.string()), { maxLength: 9 })
  fc.assert(
    fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
      const text = lines.map((each) => each.join(' ')).join('\n')
      const { rules, faults } = atOnce(readRules(text))
      atOnce(applyRules(rules, undefined))
      for (const { reason } of faults) {
        if (inWords(reason.message).includes('"rule.')) throw reason
      }
    }),
    { numRuns: 2000 },
  )
})

t.test('what rules cannot say is not saved', async (t) => {
  const [known] = tableOf('-A -t 10.0.0.1:80\n-a -t 10.0.0.1:80 -r 10.0.0.2')
  const [destination] = known?.destinations ?? []
  t.throws(
    () => atOnce(formatRules([{ ...known, protocol: '47' }] as unknown as VirtualServerState[])),
    {
      name: 'IpvsError',
      code: 'ERR_IPVS_BAD_RULE',
      message: /rules cannot express the protocol 47/,
      service: { protocol: '47', address: '10.0.0.1' },
    },
  )
  const local = { ...known, destinations: [{ ...destination, forwarding: 'local' }] }
  t.throws(() => atOnce(formatRules([local] as unknown as VirtualServerState[])), {
    code: 'ERR_IPVS_BAD_RULE',
    message: /rules cannot express the forwarding 'local' of 10\.0\.0\.2/,
  })
})

t.test('masks that another program made are written as they are', async (t) => {
  const [known] = tableOf('-A -t 10.0.0.1:80 -p 5')
  const masked = (netmask: string): string =>
    atOnce(
      formatRules([
        { ...known, persistence: { timeout: 5, netmask } },
      ] as unknown as VirtualServerState[]),
    )
  t.equal(masked('255.0.255.0'), '-A -t 10.0.0.1:80 -s wlc -p 5 -M 255.0.255.0\n')
  t.equal(masked('0.0.0.0'), '-A -t 10.0.0.1:80 -s wlc -p 5 -M 0.0.0.0\n')
})

t.test('the order', async (t) => {
  const inOrder = [
    '-A -t 9.0.0.1:80 -s wlc',
    '-A -t 10.0.0.9:80 -s wlc',
    '-A -t 10.0.0.10:79 -s wlc',
    '-A -t 10.0.0.10:80 -s wlc',
    '-A -t 200.0.0.1:80 -s wlc',
    '-A -u 9.0.0.1:80 -s wlc',
    '-A --sctp-service 9.0.0.1:80 -s wlc',
    '-A -t [::1]:80 -s wlc',
    '-A -u [::1]:80 -s wlc',
    '-A -f 1 -6 -s wlc',
    '-A -f 2 -s wlc',
    '-A -f 2 -6 -s wlc',
    '-A -f 10 -s wlc',
    '-A -f 3000000000 -s wlc',
    '-a -f 3000000000 -r 9.0.0.1:80 -i -w 1 --tun-type ipip',
    '-a -f 3000000000 -r 10.0.0.1:79 -i -w 1 --tun-type ipip',
    '-a -f 3000000000 -r 10.0.0.1:80 -i -w 1 --tun-type ipip',
    '-a -f 3000000000 -r 200.0.0.1:80 -i -w 1 --tun-type ipip',
    '-a -f 3000000000 -r [::1]:80 -i -w 1 --tun-type ipip',
  ]
  const services = inOrder.filter((line) => line.startsWith('-A')).toReversed()
  const destinations = inOrder.filter((line) => line.startsWith('-a')).toReversed()
  t.same(rewritten([...services, ...destinations].join('\n')), inOrder)
})
