// A worker thread that calls until it is terminated.

import { parentPort, workerData } from 'node:worker_threads'
import { host, openHost, openIpvs } from 'ipvs-netlink'
const other = await openHost({ netns: workerData })
const table = await openIpvs({ netns: workerData })
for (let n = 0; ; ++n) {
  const calls = await Promise.allSettled([
    other.listAddresses(),
    host.getSysctl('net.ipv4.ip_forward'),
    table.snapshot(),
    table.addService({ fwmark: 1 + (n % 9) }, { ifExists: 'edit' }),
  ])
  if (n === 0) parentPort.postMessage(calls.map(({ status }) => status === 'fulfilled'))
}
