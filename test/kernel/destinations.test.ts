import t from 'tap'

import { destinations } from '../scenarios/destinations.js'
import { makeBed, tcp } from './bed.js'
import { sendRaw } from './raw.js'

destinations(makeBed)

t.test("forwarding that only the kernel's own code uses is read, and not taken back", async (t) => {
  const { ipvs, netns, inside } = await makeBed(t)
  await ipvs.addService(tcp)
  const service = { family: 2, protocol: 6, address: Uint8Array.of(10, 0, 0, 1), port: 80 }
  const destination = {
    ...{ address: Uint8Array.of(127, 0, 0, 1), family: 2 },
    ...{ weight: 3, upperThreshold: 0, lowerThreshold: 0 },
  }
  await sendRaw(netns, 'NEW_DEST', service, { ...destination, port: 81, forwarding: 1 })
  await sendRaw(netns, 'NEW_DEST', service, { ...destination, port: 82, forwarding: 4 })
  const read = await ipvs.listDestinations(tcp)
  t.match(read, [
    { address: '127.0.0.1', port: 82, forwarding: 'bypass', weight: 3 },
    { address: '127.0.0.1', port: 81, forwarding: 'local', weight: 3 },
  ])
  // ipvsadm shows the one and has no name for the other.
  t.match(await inside('ipvsadm', '-Ln'), /-> 127\.0\.0\.1:81 +Local +3 /)
  for (const each of read) {
    const { forwarding } = each
    await t.rejects(ipvs.editDestination(tcp, each), {
      code: 'ERR_INVALID_ARG_VALUE',
      message: new RegExp(`destination\\.forwarding.*'?${forwarding}`),
    })
    await ipvs.patchDestination(tcp, each, { weight: 7 })
  }
  t.match(await ipvs.listDestinations(tcp), [
    { forwarding: 'bypass', weight: 7 },
    { forwarding: 'local', weight: 7 },
  ])
  for (const each of read) await ipvs.deleteDestination(tcp, each)
  t.same(await ipvs.listDestinations(tcp), [])
})
