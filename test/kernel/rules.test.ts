// Rules as text, with ipvsadm as the judge both ways; and files of rules that survive a reboot.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'

import { launch } from '../../test/support/launcher.mjs'
import {
  readOtherwise,
  server,
  servers,
  service,
  services,
  takenByIpvsadm,
  withLosses,
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
import { handbook, kept, rules as scenarios } from '../scenarios/rules.js'
import { makeBed, unloadIpvs } from './bed.js'
import type { Bed } from './bed.js'

/** Runs a program inside the namespace with standard input, and answers whatever comes of it. */
const feed = async ({ netns }: Bed, input: string, ...command: string[]) =>
  launch(command, { netns, input })

/** The table as ipvsadm saves it, exactly. */
const theirs = async (bed: Bed): Promise<string> => bed.inside('ipvsadm', '-Sn')

const linesIn = (text: string): string[] => text.split('\n').filter((line) => line !== '')

scenarios(makeBed)

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
  const tables = anyTable(60, await bed.schedulers(), longestOfIpvsadm - 1)
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
})
