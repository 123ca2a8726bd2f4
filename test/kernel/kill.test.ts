// A daemon is killed at random moments and started again. The long form is test/soak/kill.mjs.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import t from 'tap'
import { openHost } from 'ipvs-netlink'

import { makeBed } from './bed.js'

const script = fileURLToPath(new URL('../../test/soak/kill.mjs', import.meta.url))

t.test(
  'what a killed daemon leaves is whole, and the next start makes all of it right',
  async (t) => {
    const { inside } = await makeBed(t)
    // Fails by itself, with what it found on standard error.
    const printed = await inside(process.execPath, script, '--kills', '12', '--seconds', '12')
    const result = JSON.parse(printed) as Record<string, number> & {
      readonly caught: Readonly<Record<'apply' | 'drain' | 'prepare' | 'save', number>>
    }
    t.equal(result['faults'], 0)
    t.ok(Number(result['kills']) > 0 && Number(result['restarts']) > 0)
    const { apply, drain, prepare, save } = result.caught
    t.ok(apply + drain + prepare + save > 0, 'a kill left something in between')
    t.comment(printed.trim())
  },
)

t.test('what a tunnel asked of other devices is persisted by the next program, too', async (t) => {
  const { host, netns, inside } = await makeBed(t)
  const folder = t.testdir()
  await inside('ip', 'link', 'add', 'k0', 'type', 'dummy')
  await host.setSysctl('net.ipv4.conf.all.rp_filter', 1)
  const profile = { forwarding: 'tun', vip: '10.0.0.1', device: 'k0' } as const
  await host.prepareRealServer(profile)
  await host.persist(join(folder, 'first'))
  const again = await openHost({ netns })
  t.teardown(() => again.close())
  t.same((await again.prepareRealServer(profile)).changed, [])
  await again.persist(join(folder, 'second'))
  const [first, second] = ['first', 'second'].map((name) =>
    readFileSync(join(folder, name), 'utf8'),
  )
  t.match(first, /\nnet\.ipv4\.conf\.k0\.rp_filter = 1\n/)
  t.equal(second, first)
})
