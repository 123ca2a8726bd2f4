// Rules as text and in files, on whatever has a table.

import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import t from 'tap'

import type { Ipvs } from 'ipvs-netlink'

import { server, service } from '../fixtures/rules.js'
import { tcp } from './scene.js'
import type { MakeScene } from './scene.js'

/** What the handbook's clusters look like, and more; in the order in which they are saved. */
export const handbook = [
  '-A -t 124.126.147.168:80 -s wrr',
  '-a -t 124.126.147.168:80 -r 192.168.0.1:80 -m -w 1',
  '-a -t 124.126.147.168:80 -r 192.168.0.2:8080 -m -w 2',
  '-A -u 124.126.147.169:53 -s rr -o',
  '-A -t [2001:db8::1]:443 -s mh -p 300 -M 64 -b mh-fallback,mh-port',
  '-a -t [2001:db8::1]:443 -r [2001:db8::2]:443 -g -w 1',
  '-A -f 7 -s wlc',
  '-a -f 7 -r 192.168.0.1:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum',
].map((rule) => `${rule}\n`)

/** More than ipvsadm saves. */
export const kept = '-a -t 124.126.147.168:80 -r 192.168.0.3:80 -m -w 3 -x 100 -y 50\n'

/** Looks at the table all the time, and counts how often the service was there with servers. */
const watching = async (
  ipvs: Ipvs,
  work: (looked: () => number) => Promise<void>,
): Promise<{ readonly looks: number; readonly gaps: number }> => {
  let [looks, gaps, ended] = [0, 0, false]
  const done = work(() => looks).finally(() => {
    ended = true
  })
  while (!ended) {
    const table = await ipvs.snapshot()
    const found = table.find((each) => 'port' in each && each.port === tcp.port)
    looks += 1
    if ((found?.destinations.length ?? 0) === 0) gaps += 1
  }
  await done
  return { looks, gaps }
}

export const rules = (makeScene: MakeScene): void => {
  t.test('a file holds the table', async (t) => {
    const path = join(t.testdir({}), 'ipvsadm.rules')
    const { ipvs, rules } = await makeScene(t)
    await ipvs.restore(`${handbook.join('')}${kept}`)
    const saved = await ipvs.save()
    const before = await rules()
    await ipvs.saveToFile(path)
    t.equal(await readFile(path, 'utf8'), saved)
    t.match(saved, kept)
    await ipvs.clear()
    t.same(await rules(), [])
    await ipvs.restoreFromFile(path)
    t.equal(await ipvs.save(), saved)
    t.same((await rules()).sort(), before.sort())
    await ipvs.clear()
    await ipvs.saveToFile(path)
    await ipvs.restore(saved)
    await ipvs.restoreFromFile(path)
    t.same(await rules(), [], 'a table without services is one as well')
  })

  t.test('a damaged file leaves the table as it is', async (t) => {
    const path = join(t.testdir({}), 'ipvsadm.rules')
    const { ipvs, rules } = await makeScene(t)
    await ipvs.restore(handbook.join(''))
    const before = await rules()
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
    t.same(await rules(), before)
  })

  t.test('what the kernel refuses is told of with its line, and the rest is done', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    await t.rejects(ipvs.restore(`-A -t 10.0.0.1:81 -s bogus\n${service}\n${server} -m\n`), {
      code: 'ERR_IPVS_NO_SCHEDULER',
      command: 'NEW_SERVICE',
      line: 1,
      service: { ...tcp, port: 81 },
    })
    t.same(await rules(), [service, `${server} -m -w 1`])
  })

  t.test('without clear it adds and edits, and nothing else', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    await ipvs.restore(handbook.join(''))
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
      await ipvs.restore(again, { clear: false })
      const expected = [
        service,
        `${server} -m -w 1`,
        ...handbook
          .filter((rule) => !rule.includes('192.168.0.2'))
          .map((rule) => rule.trim().replace('-s rr -o', '-s wlc').replace('-m -w 1', '-m -w 9')),
      ]
      t.same((await rules()).sort(), expected.sort())
    }
    t.same(await ipvs.timeouts(), { tcp: 100, tcpFin: 120, udp: 50 })
  })

  t.test('the table is never empty in between', async (t) => {
    const { ipvs, another } = await makeScene(t)
    const onlooker = await another()
    const rules = (...last: readonly number[]): string =>
      [service, ...last.map((each) => `-a -t 10.0.0.1:80 -r 10.0.1.${each} -m`)].join('\n')
    const states = [
      rules(1, 2, 3),
      `${rules(4, 5)}\n-A -t 10.0.0.9:9\n`,
      `${rules(6)}\n-A -f 7\n`,
      rules(1).replace('wlc', 'rr'),
    ]
    await ipvs.restore(states[0] ?? '')
    const { looks, gaps } = await watching(onlooker, async (looked) => {
      for (let round = 0; round < 40 || looked() < 8; ++round) {
        await ipvs.restore(states[round % 4] ?? '')
      }
    })
    t.comment(`${looks} looks`)
    t.equal(gaps, 0)
  })
}
