// The collector's series beside what node_exporter makes of the kernel's own text: one of each metric for
// every real server of /proc/net/ip_vs, with the labels that the text has.

import { setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'

import { IpvsCollector } from 'ipvs-netlink/prometheus'

import { datagrams, makeBed, tcp } from './bed.js'

/** `0A000001:0050` or `[2001:0db8:...:0001]:0050`. */
const readPlace = (text: string): { readonly address: string; readonly port: number } => {
  const port = parseInt(text.slice(-4), 16)
  const place = text.slice(0, -5)
  if (place.startsWith('[')) {
    return { address: new URL(`http://${place}/`).hostname.slice(1, -1), port }
  }
  return { address: (place.match(/../g) ?? []).map((byte) => parseInt(byte, 16)).join('.'), port }
}

/** The lines of node_exporter's three metrics of real servers, labels in the order of their names. */
const expectedOf = (text: string): string[] => {
  let local = ['', '', '', '']
  return text.split('\n').flatMap((line) => {
    const [first = '', place = '', , weight, active, inactive] = line.trim().split(/\s+/)
    if (/^(TCP|UDP|SCTP)$/.test(first)) {
      const { address, port } = readPlace(place)
      local = [address, '', String(port), first]
    }
    if (first === 'FWM') local = ['', place, '0', first]
    if (first !== '->' || weight === 'Weight') return []
    const remote = readPlace(place)
    const [address, mark, port, proto] = local
    const labels = [
      `local_address="${address}",local_mark="${mark}",local_port="${port}",proto="${proto}"`,
      `remote_address="${remote.address}",remote_port="${remote.port}"`,
    ].join()
    return [
      `node_ipvs_backend_connections_active{${labels}} ${active}`,
      `node_ipvs_backend_connections_inactive{${labels}} ${inactive}`,
      `node_ipvs_backend_weight{${labels}} ${weight}`,
    ]
  })
}

const ordered = (line: string): string =>
  line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort().join()}}`)

t.test("the kernel's text and the collector's say the same", async (t) => {
  const { ipvs, inside } = await makeBed(t)
  await inside('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'lo')
  const dns = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const
  const six = { protocol: 'tcp', address: '2001:db8:0:1::', port: 443 } as const
  const sctp = { protocol: 'sctp', address: '10.0.0.2', port: 9899 } as const
  for (const key of [tcp, dns, six, sctp, { fwmark: 7 }, { fwmark: 0xfedc_ba98, family: 'ipv6' }]) {
    await ipvs.addService(key as typeof tcp)
  }
  await ipvs.addDestination(tcp, { address: '127.0.0.1', weight: 3 })
  await ipvs.addDestination(tcp, { address: '127.0.0.2', weight: 0 })
  await ipvs.addDestination(dns, { address: '127.0.0.1', forwarding: 'nat', weight: 2_000_000_000 })
  await ipvs.addDestination(six, { address: '::1', forwarding: 'tun' })
  await ipvs.addDestination(sctp, { address: '127.0.0.3' })
  await ipvs.addDestination({ fwmark: 7 }, { address: '127.0.0.1', port: 8080 })
  await ipvs.addDestination({ fwmark: 0xfedc_ba98, family: 'ipv6' }, { address: '::1', port: 80 })
  await inside('perl', '-e', datagrams, dns.address, String(dns.port), '5')

  // Some time later, when the kernel has counted them.
  for (let looks = 0; looks < 100 && (await ipvs.totals()).connections < 5; ++looks) {
    await sleep(100)
  }

  const collector = new IpvsCollector({ ipvs, registers: [] })
  const lines = (await collector.metrics()).split('\n').map(ordered)
  const expected = expectedOf(await inside('cat', '/proc/net/ip_vs'))
  t.equal(expected.length, 3 * 7)
  t.ok(expected.some((line) => /inactive\{.*"UDP".*\} 5$/.test(line)))
  const isTheirs = /^node_ipvs_backend_(connections_(in)?active|weight)\{/
  t.same(lines.filter((line) => isTheirs.test(line)).sort(), expected.sort())

  const [, , totals = ''] = (await inside('cat', '/proc/net/ip_vs_stats')).split('\n')
  const names = 'connections incoming_packets outgoing_packets incoming_bytes outgoing_bytes'
  names.split(' ').forEach((name, index) => {
    const total = parseInt(totals.trim().split(/\s+/)[index] ?? '', 16)
    t.ok(lines.includes(`node_ipvs_${name}_total ${total}`), `${name}: ${total}`)
  })
})
