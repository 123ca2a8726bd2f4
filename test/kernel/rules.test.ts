// Rules as text, with ipvsadm as the judge both ways; and files of rules that survive a reboot.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'

import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'

import { openIpvs } from 'ipvs-netlink'
import type { Ipvs } from 'ipvs-netlink'

import { launch } from '../../test/support/launcher.mjs'
import {
  readOtherwise,
  server,
  servers,
  service,
  services,
  takenByIpvsadm,
  wrong,
} from '../fixtures/rules.js'
import {
  anyTable,
  expectedLines,
  linesOf,
  longestOfIpvsadm,
  mustBeSame,
  operationsFor,
} from '../fixtures/tables.js'
import type { Model } from '../fixtures/tables.js'
import { makeBed, schedulersOf, tcp, unloadIpvs } from './bed.js'
import type { Bed } from './bed.js'

/** Runs a program inside the namespace with standard input, and answers whatever comes of it. */
const feed = async ({ netns }: Bed, input: string, ...command: string[]) =>
  launch(command, { netns, input })

/** The table as ipvsadm saves it, exactly. */
const theirs = async (bed: Bed): Promise<string> => bed.inside('ipvsadm', '-Sn')

/** A rule as ipvsadm saves it, with its losses. */
const withLosses = (rule: string): string =>
  rule
    .replace(/-f (\d+)/, (_, mark: string) => `-f ${Number(mark) | 0}`)
    .replace(/ -x \d+/, '')
    .replace(/ -y \d+/, '')
    .replace(/(-s [sm]h.* -b .*?),?flag-3/, '$1')

const linesIn = (text: string): string[] => text.split('\n').filter((line) => line !== '')

t.test('what ipvsadm reads is what we read', async (t) => {
  const [we, they] = [await makeBed(t), await makeBed(t)]
  const told = (text: string): boolean => !readOtherwise.includes(text)
  const texts = [
    ...Object.keys(services).filter(told),
    ...Object.keys(servers)
      .filter(told)
      .map((text) =>
        text.startsWith('-e')
          ? `${service}\n-a -t 10.0.0.1:80 -r 10.0.0.9 -w 9\n${text}`
          : `${service}\n${text}`,
      ),
  ]
  const ran = await feed(they, texts.map((text) => `-C\n${text}\n-Sn\n`).join(''), 'ipvsadm', '-R')
  t.match(ran, { stderr: '', status: 0 })
  const ours: string[] = []
  for (const text of texts) {
    await we.ipvs.restore(text)
    ours.push(...linesIn(await we.ipvs.save()))
  }
  t.same(
    ours.map((rule) => withLosses(rule)),
    linesIn(ran.stdout),
  )
})

t.test('what is no rule to us is none to ipvsadm', async (t) => {
  const bed = await makeBed(t)
  const texts = wrong
    .map(([text]) => text)
    .filter((text) => !takenByIpvsadm.includes(text) && !text.includes('\0'))
    // A process for each is slow here; without this line all of them pass.
    .filter((_, index) => index % 3 === 0)
  // One run for each, since it stops at most faults. It says nothing when all is well. By a small
  // shell, as each run is a copy of it first.
  const script = [
    'ipvsadm -C; ipvsadm -R << end\n$SERVICE\nend',
    'while IFS= read -r line; do',
    'said=$(ipvsadm -R 2>&1 << end\n$line\nend\n)',
    'echo "$?:${said:+said}"',
    'done',
  ].join('\n')
  const judge = async (lines: readonly string[], before: string): Promise<string[]> => {
    const command = ['env', `SERVICE=${before}`, 'busybox', 'sh', '-c', script]
    const { stdout } = await feed(bed, lines.map((line) => `${line}\n`).join(''), ...command)
    return linesIn(stdout)
  }
  const isServer = (text: string): boolean => text.includes('-r ')
  const outcomes = [
    ...(await judge(
      texts.filter((text) => !isServer(text)),
      '',
    )),
    ...(await judge(texts.filter(isServer), service)),
  ]
  t.equal(outcomes.length, texts.length)
  t.same(
    outcomes.filter((outcome) => outcome === '0:'),
    [],
  )
  t.same(await judge([`${server} -m`], service), ['0:'], 'and this is one')
})

// To see a failure again: SEED=... as it was printed.
const { SEED } = process.env

/** Checks a property of one table, which is not made smaller when it breaks it. */
const check = async (
  t: Test,
  bed: Bed,
  holds: (models: readonly Model[]) => Promise<void>,
): Promise<void> => {
  // One less, so that the masks are those that both take.
  const tables = anyTable(60, await schedulersOf(bed), longestOfIpvsadm - 1)
  const { failed, seed, errorInstance } = await fc.check(fc.asyncProperty(tables, holds), {
    numRuns: 1,
    endOnFailure: true,
    ...(SEED !== undefined && { seed: Number(SEED) }),
  })
  t.notOk(failed, `seed ${seed}${failed ? `: ${String(errorInstance)}` : ''}`)
}

t.test(
  'any table is saved as ipvsadm saves it, and either restores what the other saved',
  async (t) => {
    const [bed, other] = [await makeBed(t), await makeBed(t)]
    await check(t, bed, async (models) => {
      await bed.ipvs.batch(operationsFor(models))
      const saved = await bed.ipvs.save()
      const rules = linesIn(await theirs(bed))
      mustBeSame('ipvsadm -Sn', linesIn(saved).map(withLosses), rules)

      const ran = await feed(other, saved, 'ipvsadm-restore')
      if (ran.stderr !== '') throw new Error(ran.stderr)
      mustBeSame('ipvsadm-restore', linesOf(await other.ipvs.snapshot()), expectedLines(models))

      await other.ipvs.clear()
      await other.ipvs.restore(saved)
      mustBeSame('restore', linesOf(await other.ipvs.snapshot()), expectedLines(models))
      mustBeSame('saved again', [await other.ipvs.save()], [saved])

      await other.ipvs.restore('')
      mustBeSame('restored nothing', linesIn(await theirs(other)), [])
      await other.ipvs.restore(rules.join('\n'))
      // A list of flags that came out empty, of flag-3 alone, is none when it is read.
      const kept = rules.map((rule) => rule.replace(/ -b $/, ''))
      mustBeSame('of ipvsadm -Sn', linesIn(await theirs(other)), kept)
    })
  },
)

const handbook = [
  '-A -t 124.126.147.168:80 -s wrr',
  '-a -t 124.126.147.168:80 -r 192.168.0.1:80 -m -w 1',
  '-a -t 124.126.147.168:80 -r 192.168.0.2:8080 -m -w 2',
  '-A -u 124.126.147.169:53 -s rr -o',
  '-A -t [2001:db8::1]:443 -s mh -p 300 -M 64 -b mh-fallback,mh-port',
  '-a -t [2001:db8::1]:443 -r [2001:db8::2]:443 -g -w 1',
  '-A -f 7 -s wlc',
  '-a -f 7 -r 192.168.0.1:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum',
].map((rule) => `${rule}\n`)

t.test('byte for byte, where nothing is lost', async (t) => {
  const bed = await makeBed(t)
  const text = handbook.join('')
  await feed(
    bed,
    handbook
      .toReversed()
      .filter((rule) => rule.startsWith('-A'))
      .join(''),
    'ipvsadm',
    '-R',
  )
  await feed(
    bed,
    handbook
      .toReversed()
      .filter((rule) => rule.startsWith('-a'))
      .join(''),
    'ipvsadm',
    '-R',
  )
  t.equal(await theirs(bed), text)
  t.equal(await bed.ipvs.save(), text)
})

const kept = '-a -t 124.126.147.168:80 -r 192.168.0.3:80 -m -w 3 -x 100 -y 50\n'

t.test('a file survives a reboot', async (t) => {
  const path = join(t.testdir({}), 'ipvsadm.rules')
  const bed = await makeBed(t)
  await bed.ipvs.restore(`${handbook.join('')}${kept}`)
  const saved = await bed.ipvs.save()
  await bed.ipvs.saveToFile(path)
  t.equal(await readFile(path, 'utf8'), saved)
  t.match(saved, kept)
  await bed.ipvs.clear()
  await bed.ipvs.close()
  await unloadIpvs()

  const after = await makeBed(t)
  t.equal(await theirs(after), '')
  await after.ipvs.restoreFromFile(path)
  t.equal(await after.ipvs.save(), saved)
  t.same(linesIn(await theirs(after)), linesIn(saved).map(withLosses))

  const other = await makeBed(t)
  t.match(await feed(other, saved, 'ipvsadm-restore'), { stderr: '', status: 0 })
  t.equal(await other.ipvs.save(), saved, 'ipvsadm-restore makes the same of it')

  await after.ipvs.clear()
  await after.ipvs.saveToFile(path)
  await after.ipvs.restore(saved)
  await after.ipvs.restoreFromFile(path)
  t.equal(await theirs(after), '', 'a table without services is one as well')
})

t.test('a damaged file leaves the table as it is', async (t) => {
  const path = join(t.testdir({}), 'ipvsadm.rules')
  const bed = await makeBed(t)
  const { ipvs } = bed
  await ipvs.restore(handbook.join(''))
  const before = await theirs(bed)
  const saved = await ipvs.save()
  const damaged: readonly (readonly [string, number])[] = [
    ['', 1],
    [saved.slice(0, -1), handbook.length],
    [saved.slice(0, 100), 3],
    [saved.replace('192.168.0.2', '192.168.0.256'), 3],
    [saved.replace('-s rr', '-s'), 4],
    [saved.replace('-u 124', '-u web'), 4],
    [saved.replace(':8080 -m', ':http -m'), 3],
    [`${saved}${'\0'.repeat(100)}\n`, handbook.length + 1],
    [`${saved}-A -t 10.0.0.1:80 -s rr\n-A -t 10.0.0.1:80\n`, handbook.length + 2],
  ]
  for (const [text, line] of damaged) {
    await writeFile(path, text)
    await t.rejects(ipvs.restoreFromFile(path), { code: 'ERR_IPVS_BAD_RULE', line })
    await t.rejects(ipvs.restoreFromFile(path, { clear: false }), { code: 'ERR_IPVS_BAD_RULE' })
    t.equal(await ipvs.save(), saved)
  }
  t.equal(await theirs(bed), before)
})

t.test('what the kernel refuses is told of with its line, and the rest is done', async (t) => {
  const bed = await makeBed(t)
  await t.rejects(bed.ipvs.restore(`-A -t 10.0.0.1:81 -s bogus\n${service}\n${server} -m\n`), {
    code: 'ERR_IPVS_NO_SCHEDULER',
    command: 'NEW_SERVICE',
    line: 1,
    service: { ...tcp, port: 81 },
  })
  t.equal(await theirs(bed), `${service}\n${server} -m -w 1\n`)
})

t.test('without clear it adds and edits, and nothing else', async (t) => {
  const bed = await makeBed(t)
  await bed.ipvs.restore(handbook.join(''))
  const text = [
    service,
    `${server} -m`,
    '-A -u 124.126.147.169:53 -s wlc',
    '-a -t 124.126.147.168:80 -r 192.168.0.1:80 -m -w 9',
    '-d -t 124.126.147.168:80 -r 192.168.0.2:8080',
    '--set 100 0 50',
  ].join('\n')
  // Twice comes to the same, but for what is to be there before it is deleted.
  for (const again of [text, text.replace(/-d .*\n/, '')]) {
    await bed.ipvs.restore(again, { clear: false })
    t.same(linesIn(await theirs(bed)), [
      service,
      `${server} -m -w 1`,
      ...handbook
        .filter((rule) => !rule.includes('192.168.0.2'))
        .map((rule) => rule.trim().replace('-s rr -o', '-s wlc').replace('-m -w 1', '-m -w 9')),
    ])
  }
  t.match(await bed.inside('ipvsadm', '-L', '--timeout'), '100 120 50')
})

/** Looks at the table all the time, and counts how often the service was there with servers. */
const watching = async (
  ipvs: Ipvs,
  work: () => Promise<void>,
): Promise<{ readonly looks: number; readonly gaps: number }> => {
  let [looks, gaps, ended] = [0, 0, false]
  const done = work().finally(() => {
    ended = true
  })
  while (!ended) {
    const table = await ipvs.snapshot()
    const found = table.find((each) => 'port' in each && each.port === tcp.port)
    looks += 1
    if ((found?.destinations.length ?? 0) === 0) gaps += 1
    await nextTurn()
  }
  await done
  return { looks, gaps }
}

t.test('the table is never empty in between', async (t) => {
  const bed = await makeBed(t)
  const onlooker = await openIpvs({ netns: bed.netns })
  t.teardown(async () => onlooker.close())
  const rules = (...last: readonly number[]): string =>
    [service, ...last.map((each) => `-a -t 10.0.0.1:80 -r 10.0.1.${each} -m`)].join('\n')
  const states = [
    rules(1, 2, 3),
    `${rules(4, 5)}\n-A -t 10.0.0.9:9\n`,
    `${rules(6)}\n-A -f 7\n`,
    rules(1).replace('wlc', 'rr'),
  ]
  await bed.ipvs.restore(states[0] ?? '')
  const { looks, gaps } = await watching(onlooker, async () => {
    for (let round = 0; round < 40; ++round) await bed.ipvs.restore(states[round % 4] ?? '')
  })
  t.ok(looks >= 8, `${looks} looks`)
  t.equal(gaps, 0)
})
