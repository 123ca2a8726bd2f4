// Every call of the addon, well and badly, without starting a program: for the leak detector.

import { Worker, isMainThread } from 'node:worker_threads'

import { host, ipvs, openHost, openIpvs } from 'ipvs-netlink'

const quietly = (call) => call.catch(() => {})

const round = async () => {
  const table = await openIpvs({ netns: '/proc/self/ns/net' })
  const machine = await openHost({ netns: '/proc/self/ns/net' })
  await Promise.all(
    [
      table.snapshot({ consistent: true }),
      table.listServices(),
      table.getService({ fwmark: 7 }),
      table.listDestinations({ fwmark: 7 }),
      table.info(),
      table.timeouts(),
      table.syncDaemons(),
      table.totals(),
      table.deleteService({ fwmark: 7 }),
      table.patchService({ fwmark: 7 }, { scheduler: 'rr' }),
      table.connections().next(),
      machine.listAddresses(),
      machine.listAddresses('nosuch'),
      machine.getSysctl('net.ipv4.ip_forward'),
      machine.getSysctl('net.ipv4.nosuch'),
      machine.deleteVip({ address: '192.0.2.77' }),
      openIpvs({ netns: '/nosuch' }),
      openHost({ netns: 1_000_000 }),
    ].map(quietly),
  )
  if (Math.random() < 0.5) await Promise.all([table.close(), machine.close()])
}

for (let n = 0; n < 100; ++n) await round()
if (isMainThread) {
  for (let n = 0; n < 5; ++n) {
    const worker = new Worker(new URL(import.meta.url))
    await new Promise((resolve) => setTimeout(resolve, 500))
    await worker.terminate()
  }
  await Promise.all([host.close(), ipvs.close()])
}
