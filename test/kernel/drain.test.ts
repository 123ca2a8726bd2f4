// Drains under traffic: real servers in namespaces of their own, and what becomes of those who were
// connected.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'
import type { Test } from 'tap'

import { openHost, openIpvs } from 'ipvs-netlink'
import type { Destination, DrainProgress, Host, Ipvs, ServiceKey } from 'ipvs-netlink'

import { buildNat } from '../../test/clusters/index.mjs'
import type { Cluster } from '../../test/clusters/index.mjs'
import { drain as scenarios } from '../scenarios/drain.js'
import { datagrams, makeBed } from './bed.js'

scenarios(makeBed)

/** Answers every request with a line every fifth of a second, as long as a file is there. */
const slowly = (name: string, talking: string): string => `
  while read -r line && [ "\${#line}" -gt 1 ]; do :; done
  printf 'HTTP/1.0 200 OK\\r\\n\\r\\n'
  i=0
  while [ -e ${talking} ]; do
    echo "${name} says $i"
    i=$((i + 1))
    sleep 0.2
  done
  echo end
`

interface Site {
  readonly cluster: Cluster
  readonly ipvs: Ipvs
  readonly host: Host
  /** The rules as ipvsadm reads them, a line each. */
  readonly rules: () => Promise<string>
  /** Whether the servers go on with their answers. */
  readonly talk: (goesOn: boolean) => Promise<void>
}

const makeSite = async (t: Test): Promise<Site> => {
  const cluster = await buildNat()
  t.teardown(() => cluster.close())
  const { director, realServers, vip } = cluster
  const ipvs = await openIpvs({ netns: director.netns })
  const host = await openHost({ netns: director.netns })
  cluster.defer(async () => {
    await ipvs.close()
    await host.close()
  })
  await host.prepareDirector({ forwarding: 'nat', vip, device: ['eth1', 'eth0'] })
  const folder = await mkdtemp(join(tmpdir(), 'drain-'))
  const talking = join(folder, 'talking')
  const talk = async (goesOn: boolean): Promise<void> =>
    goesOn ? writeFile(talking, '') : rm(talking)
  await talk(true)
  for (const server of realServers) {
    const args = ['nc', '-ll', '-p', '81', '-e', '/bin/sh', '-c', slowly(server.address, talking)]
    const { stop } = server.start('busybox', args)
    cluster.defer(stop)
  }
  // Before they are stopped, which waits for those of their children that still talk.
  cluster.defer(() => rm(folder, { recursive: true }))
  return { cluster, ipvs, host, rules: () => director.run('ipvsadm', ['-Sn']), talk }
}

/** Answers when something is as it should be, or after ten seconds as it is. */
const until = async <T>(look: () => Promise<T>, isRight: (found: T) => boolean): Promise<T> => {
  const deadline = Date.now() + 10_000
  for (;;) {
    const found = await look()
    if (isRight(found) || Date.now() > deadline) return found
    await sleep(50)
  }
}

const busyOf = async (
  ipvs: Ipvs,
  key: ServiceKey,
  counter: 'activeConnections' | 'inactiveConnections' | 'persistentConnections',
): Promise<Destination> => {
  const find = async (): Promise<Destination | undefined> =>
    (await ipvs.listDestinations(key)).find((each) => each[counter] > 0)
  const found = await until(find, (each) => each !== undefined)
  if (!found) throw new Error(`nobody has ${counter}`)
  return found
}

const serverOf = (answer: string): string | undefined => /^(\S+) says 0$/m.exec(answer)?.[1]

t.test('connections of a destination that is drained', async (t) => {
  const { cluster, ipvs, host, rules, talk } = await makeSite(t)
  const { client, realServers, vip } = cluster

  const web = { protocol: 'tcp', address: vip, port: 81 } as const
  await ipvs.addService({ ...web, scheduler: 'rr' })
  for (const { address } of realServers) {
    await ipvs.addDestination(web, { address, forwarding: 'nat', weight: 7 })
  }
  const url = `http://${vip}:81/`
  const first = `curl -s --no-buffer --max-time 120 ${url} | grep -m 1 says`
  /** The first line of an answer, which is then cut off. */
  const ask = async (): Promise<string> =>
    client.run('sh', ['-c', first], { mayFail: true, timeout: 150_000 })
  // Until each of them listens.
  const answering = new Set<string | undefined>()
  await until(
    async () => answering.add(serverOf(await ask())),
    () => realServers.every(({ address }) => answering.has(address)),
  )

  await t.test('an abort puts the weight back, and cuts nobody off', async (t) => {
    const download = client.run('curl', ['-s', '--no-buffer', '--max-time', '120', url], {
      timeout: 150_000,
    })
    const busy = await busyOf(ipvs, web, 'activeConnections')
    const controller = new AbortController()
    const { signal } = controller
    const seen: string[] = []
    const onProgress = ({ waitingFor }: DrainProgress): void => {
      t.same(waitingFor, ['active'])
      void rules().then((text) => {
        seen.push(text)
        controller.abort()
      })
    }
    const options = { interval: 60_000, signal, onProgress }
    await t.rejects(ipvs.drainDestination(web, busy, options), { name: 'AbortError' })
    const rule = `-a -t ${vip}:81 -r ${busy.address}:81 -m -w`
    t.match(seen[0], `${rule} 0`)
    t.match(await rules(), `${rule} 7`)

    t.comment('the same download goes on, and its server is drained to the end')
    const progress: DrainProgress[] = []
    const drain = ipvs.drainDestination(web, busy, {
      interval: 100,
      timeout: 120_000,
      onProgress: (each) => progress.push(each),
    })
    const looked = async (times: number): Promise<number> =>
      until(
        async () => progress.length,
        (length) => length >= times,
      )
    await looked(1)
    const others = await Promise.all([ask(), ask(), ask()])
    t.equal(others.filter((answer) => serverOf(answer) !== undefined).length, 3)
    t.notOk(others.map(serverOf).includes(busy.address), 'new connections go elsewhere')
    await looked(6)
    await talk(false)
    const answer = await download
    t.equal(serverOf(answer), busy.address)
    t.match(answer, /says \d+\nend\n$/, 'it came to its end')
    t.match(await drain, { drained: true, ended: 'drained', remaining: { activeConnections: 0 } })
    t.ok(progress.length >= 6)
    t.notMatch(await rules(), busy.address)
  })

  await t.test(
    'a whole service: who is there stays to the end, who comes is refused',
    async (t) => {
      const other = { ...web, port: 82 }
      await ipvs.addService({ ...other, scheduler: 'rr' })
      for (const { address } of realServers) {
        await ipvs.addDestination(other, { address, port: 81, forwarding: 'nat' })
      }
      await talk(true)
      const place = `http://${vip}:82/`
      const download = client.run('curl', ['-s', '--no-buffer', '--max-time', '120', place], {
        timeout: 150_000,
      })
      const busy = await busyOf(ipvs, other, 'activeConnections')
      const progress: DrainProgress[] = []
      const drain = ipvs.drainService(other, {
        interval: 100,
        timeout: 120_000,
        onProgress: (each) => progress.push(each),
      })
      await until(
        async () => progress.length,
        (length) => length > 0,
      )
      const refused = `curl -s --max-time 60 ${place}; echo "status $?"`
      t.equal(await client.run('sh', ['-c', refused], { timeout: 80_000 }), 'status 7\n')
      t.match(await rules(), `-A -t ${vip}:82`, 'it is there as long as somebody is')
      await talk(false)
      const answer = await download
      t.equal(serverOf(answer), busy.address)
      t.match(answer, /says \d+\nend\n$/, 'it came to its end')
      t.match(await drain, { drained: true, ended: 'drained', remaining: { activeConnections: 0 } })
      t.notMatch(await rules(), `${vip}:82`)
    },
  )

  await t.test('a client that has closed its sending half counts as inactive', async (t) => {
    const own = { ...web, port: 83 }
    await ipvs.addService({ ...own, scheduler: 'rr' })
    for (const { address } of realServers) {
      await ipvs.addDestination(own, { address, port: 81, forwarding: 'nat' })
    }
    await talk(true)
    // Its input has ended before it begins.
    const halfClosed = client.start('busybox', ['nc', vip, '83'])
    cluster.defer(halfClosed.stop)
    const found = await busyOf(ipvs, own, 'inactiveConnections')
    t.equal(found.activeConnections, 0, 'while its server still talks')
    t.match(await ipvs.drainDestination(own, found, { waitFor: 'inactive', timeout: 100 }), {
      ended: 'timeout',
      reason: /inactive/,
    })
  })

  await t.test('udp, and clients held by persistence', async (t) => {
    const dns = { protocol: 'udp', address: vip, port: 53 } as const
    const game = { protocol: 'udp', address: vip, port: 54 } as const
    await ipvs.addService({ ...dns, scheduler: 'rr' })
    await ipvs.addService({ ...game, scheduler: 'rr', persistence: { timeout: 15 } })
    for (const key of [dns, game]) {
      for (const { address } of realServers) {
        await ipvs.addDestination(key, { address, forwarding: 'nat' })
      }
    }
    const say = async ({ port }: { port: number }): Promise<string> =>
      client.run('perl', ['-e', datagrams, vip, String(port), '1'])

    await say(dns)
    const first = await busyOf(ipvs, dns, 'inactiveConnections')
    // Which the kernel keeps for 300 s.
    const [drained, remaining] = [true, { activeConnections: 0, inactiveConnections: 1 }]
    t.match(await ipvs.drainDestination(dns, first), { drained, remaining }, 'nothing to wait for')
    // Ample, as a busy machine may halt the guest for seconds: what was said must be seen.
    await ipvs.setTimeouts({ udp: 8 })
    await say(dns)
    const second = await busyOf(ipvs, dns, 'inactiveConnections')
    t.match(await ipvs.drainDestination(dns, second, { waitFor: 'inactive', interval: 100 }), {
      drained: true,
      remaining: { inactiveConnections: 0 },
    })

    const single = { protocol: 'udp', address: vip, port: 55 } as const
    const any = realServers[0]?.address ?? ''
    await ipvs.addService({ ...single, scheduler: 'rr', onePacket: true })
    await ipvs.addDestination(single, { address: any, forwarding: 'nat' })
    await say(single)
    const all = { waitFor: ['active', 'inactive', 'persistent'], timeout: 0 } as const
    t.match(
      await ipvs.drainDestination(single, { address: any }, all),
      { drained: true, remaining: { activeConnections: 0, inactiveConnections: 0 } },
      'one-packet scheduling leaves nothing to wait for',
    )

    await say(game)
    const held = await busyOf(ipvs, game, 'persistentConnections')
    const hurried = await ipvs.drainDestination(game, held, { timeout: 0, remove: false })
    t.match(hurried, { drained: false, remaining: { persistentConnections: 1 } })
    t.match(hurried.reason, /1 persistent\).*held for 15 s after their last connection/)
    const holders = async (): Promise<string[]> =>
      (await ipvs.listDestinations(game))
        .filter((each) => each.persistentConnections > 0)
        .map(({ address }) => address)
    await say(game)
    t.same(await holders(), [held.address], 'a held client still comes there, in spite of weight 0')
    await host.setSysctl('net.ipv4.vs.expire_quiescent_template', 1)
    await say(game)
    t.equal((await holders()).length, 2, 'and now it goes elsewhere')
    const ended = await ipvs.drainDestination(game, held, { interval: 100, timeout: 120_000 })
    t.match(ended, { drained: true, remaining: { persistentConnections: 0 } })
  })
})
