// A worker thread that calls until it is terminated.

import { parentPort, workerData } from 'node:worker_threads'
import { host, openHost, openIpvs } from 'ipvs-netlink'
const other = await openHost({ netns: workerData })
const table = await openIpvs({ netns: workerData })
for (let n = 0; ; ++n) {
  const calls = [other.listAddresses(), table.snapshot(), host.getSysctl('net.ipv4.ip_forward')]
  const change = table.addService({ fwmark: 1 + (n % 9) }, { ifExists: 'edit' })
  await Promise.allSettled([...calls, change])
  if (n === 0) parentPort.postMessage('works')
}
