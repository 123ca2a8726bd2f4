// A daemon that is started, makes everything as it is to be, and then changes it over and over until
// it is killed. kill.mjs starts it and looks at what it left.

import { host, ipvs, openHost, openIpvs } from 'ipvs-netlink'

const { folder, netns, states, web, profile, files } = JSON.parse(process.argv[2])

const tell = (message) => new Promise((resolve) => process.send(message, resolve))
const told = (wanted) =>
  new Promise((resolve) => {
    process.on('message', (message) => message === wanted && resolve())
  })

const isMark = ({ fwmark }) => fwmark !== undefined
const failuresOf = ({ failed }) => failed.map(({ error }) => String(error))
const other = await openIpvs({ netns })
const otherHost = await openHost({ netns })

/** What a daemon does when it starts, whatever the one before it has left. */
const restart = async () => {
  const options = { prune: true, owns: isMark }
  const failed = failuresOf(await ipvs.apply(states[0], options))
  const again = await ipvs.plan(states[0], options)
  const drains = await ipvs.listDrains()
  await tell({
    stage: 'drains',
    drains: drains.map(({ destination: { address, port } }) => `${address}:${port}`),
  })
  const resumed = await Promise.all(
    drains.map(({ service, destination }) =>
      ipvs.drainDestination(service, destination, { interval: 20, timeout: 20_000 }),
    ),
  )
  failed.push(...failuresOf(await ipvs.apply([...states[0], web], { prune: true })))
  await host.prepareRealServer(profile)
  const { changed } = await host.prepareRealServer(profile)
  await host.persist(`${folder}/${files.profile}`)
  await other.restoreFromFile(`${folder}/${files.rules}`)
  return {
    stage: 'restarted',
    failed,
    notConverged: again.changes.length,
    ended: resumed.map(({ ended }) => ended),
    changedTwice: changed.length,
    restored: await other.save(),
  }
}

const forever = async (work) => {
  for (let n = 0; ; ++n) await work(n)
}

/** All at once, on things that have nothing to do with each other. */
const toil = async () => {
  let isDraining = false
  const [held, free] = [web.destinations[1], { ...web.destinations[1], address: '127.0.0.9' }]
  await Promise.all([
    forever((n) => ipvs.apply(states[(n + 1) % 2], { prune: true, owns: isMark })),
    // In turn one that waits, until it is given up, and one that has nothing to wait for.
    forever(async (n) => {
      const onProgress = () => {
        if (!isDraining) void tell({ stage: 'draining' })
        isDraining = true
      }
      const options = { interval: 10, onProgress }
      if (n % 2 === 1) {
        await ipvs.addDestination(web, free, { ifExists: 'edit' })
        return ipvs.drainDestination(web, free, options)
      }
      const signal = AbortSignal.timeout(500)
      return ipvs.drainDestination(web, held, { ...options, signal }).catch((error) => {
        if (error.name !== 'AbortError') throw error
      })
    }),
    forever(async () => {
      const preparation = await host.prepareRealServer(profile)
      await preparation.undo()
    }),
    forever(async (n) => {
      if (n % 2 === 0) await other.addService({ fwmark: 9999 }, { ifExists: 'ignore' })
      else await other.deleteService({ fwmark: 9999 }, { ifMissing: 'ignore' })
      await other.saveToFile(`${folder}/${files.rules}`)
    }),
    forever(async (n) => {
      await otherHost.setSysctl('net.ipv4.vs.conntrack', n % 2)
      await otherHost.persist(`${folder}/${files.settings}`)
    }),
  ])
}

await tell(await restart())
await told('go')
await toil()
