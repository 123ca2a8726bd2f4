// The controller of examples/, as a daemon with exactly the privileges that its unit gives it.

import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import t from 'tap'

import { openHost, openIpvs } from 'ipvs-netlink'

import { buildNat } from '../../test/clusters/index.mjs'
import { readUnit, setprivFor } from '../fixtures/unit.js'

const controller = fileURLToPath(
  new URL('../../examples/controller/controller.js', import.meta.url),
)
const unit = new URL('../../examples/controller/ipvs-controller.service', import.meta.url)
const privileges = setprivFor(readUnit(await readFile(unit, 'utf8')))

t.test('the example keeps a cluster as its file says', async (t) => {
  const cluster = await buildNat()
  t.teardown(() => cluster.close())
  const { director, realServers, vip } = cluster
  const [one, two, three] = realServers
  if (!one || !two || !three) throw new Error('three real servers are expected')
  const host = await openHost({ netns: director.netns })
  cluster.defer(() => host.close())
  const ipvs = await openIpvs({ netns: director.netns })
  cluster.defer(() => ipvs.close())
  await host.prepareDirector({ forwarding: 'nat', vip, device: ['eth1', 'eth0'] })

  const directory = await mkdtemp(join(tmpdir(), 'controller-'))
  cluster.defer(() => rm(directory, { recursive: true }))
  // Not only for root: the daemon is somebody else.
  await chmod(directory, 0o755)
  const file = join(directory, 'table.json')
  const write = async (text: string): Promise<void> => {
    await writeFile(`${file}.new`, text)
    await rename(`${file}.new`, file)
  }
  const declare = async (weights: Readonly<Record<string, number>>): Promise<void> =>
    write(
      JSON.stringify({
        // Ample, as a busy machine may halt the guest for seconds: who answers must not be taken for dead.
        check: { interval: 300, timeout: 4000, rise: 1, fall: 2 },
        drain: { timeout: 10_000 },
        virtualServers: [
          {
            ...{ protocol: 'tcp', address: vip, port: 80, scheduler: 'rr', health: { path: '/' } },
            destinations: Object.entries(weights).map(([address, weight]) => ({
              ...{ address, weight, forwarding: 'nat' },
            })),
          },
        ],
      }),
    )
  await declare({ [one.address]: 1, [two.address]: 1, [three.address]: 1 })
  const daemon = director.start('setpriv', [
    ...['--pdeathsig', 'KILL'],
    ...privileges,
    ...['--', process.execPath, controller, file],
  ])
  cluster.defer(daemon.stop)

  const sorted = (rules: string): string => rules.trim().split('\n').sort().join('\n')
  const rules = async (): Promise<string> => sorted(await director.run('ipvsadm', ['-Sn']))
  const service = `-A -t ${vip}:80 -s rr`
  const rule = (address: string, weight = 1): string =>
    `-a -t ${vip}:80 -r ${address}:80 -m -w ${weight}`
  /** The rules once they are these, or after a minute as they are. */
  const settled = async (...expected: string[]): Promise<boolean> => {
    const deadline = Date.now() + 60_000
    const wanted = [service, ...expected].sort().join('\n')
    while (Date.now() < deadline) {
      // A process for every look would keep the daemon from its work.
      if (sorted(await ipvs.save()) === wanted && (await rules()) === wanted) return true
      await Promise.race([daemon.failed, sleep(50)])
    }
    t.comment(await rules())
    return false
  }
  t.ok(await settled(rule(one.address), rule(two.address), rule(three.address)), 'it serves')
  const status = await readFile(`/proc/${daemon.pid}/status`, 'utf8')
  t.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m)
  // CAP_NET_ADMIN is number 12.
  for (const set of ['CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
    t.match(status, new RegExp(`^${set}:\\t0000000000001000$`, 'm'), set)
  }
  t.match(status, /^NoNewPrivs:\t1$/m)
  t.same((await cluster.get(3)).sort(), [1, 2, 3])

  await two.run('ip', ['link', 'set', 'eth0', 'down'])
  t.ok(await settled(rule(one.address), rule(three.address)), 'who does not answer goes')
  t.same((await cluster.get(4)).sort(), [1, 1, 3, 3])

  await director.run('ipvsadm', ['-d', '-t', `${vip}:80`, '-r', `${one.address}:80`])
  t.ok(await settled(rule(one.address), rule(three.address)), 'what another changed is put right')

  await write('{ "virtualServers": [{ "protocol": "tpc" }] }')
  await declare({ [one.address]: 5, [two.address]: 1 })
  t.ok(await settled(rule(one.address, 5)), 'the file has changed')

  await two.run('ip', ['link', 'set', 'eth0', 'up'])
  await two.run('ip', ['route', 'add', 'default', 'via', director.address])
  t.ok(await settled(rule(one.address, 5), rule(two.address)), 'who answers again comes back')

  const metrics = await director.run('curl', ['-s', 'http://127.0.0.1:9117/metrics'])
  t.match(metrics, /^ipvs_controller_drains_total\{ended="drained"\} 2$/m)
  t.match(metrics, /^ipvs_controller_unhealthy_destinations 0$/m)
  t.match(metrics, new RegExp(`^node_ipvs_backend_weight\\{.*"${one.address}".*\\} 5$`, 'm'))
})
