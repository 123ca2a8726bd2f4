// Tunnels between director and real server.

import { error, fine, warning } from './findings.js'
import { effective, familiesOf } from './facts.js'
import type { Facts } from './facts.js'
import type { DiagnosisFinding } from '../../types/diagnosis.js'

interface Kind {
  /** The device that the kernel makes with the module, on which packets come out. */
  readonly device: string
  readonly module: string
  /** Bytes around the packet, beside the outer IP header. */
  readonly overhead: number
}

const kinds: Readonly<Record<Facts['tunnel'], Kind>> = {
  ipip: { device: 'tunl0', module: 'ipip', overhead: 0 },
  gre: { device: 'gre0', module: 'ip_gre', overhead: 4 },
  // Decapsulated by a socket of fou, it comes out of tunl0.
  gue: { device: 'tunl0', module: 'fou', overhead: 12 },
}

export const checkTunnel = async (facts: Facts): Promise<DiagnosisFinding[]> => {
  const { role, forwarding, tunnel, links, loaded, loadable } = facts
  if (forwarding !== 'tun' || role === 'director' || !familiesOf(facts).has('ipv4')) return []
  const { device, module } = kinds[tunnel]
  const findings: DiagnosisFinding[] = []
  if (!loaded.has(module) && loadable?.has(module) === false) {
    const message = `This kernel has no module ${module}, which takes packets out of ${tunnel}.`
    findings.push(error('TUNNEL', message, "Install this kernel's modules."))
  }
  const link = links.get(device)
  if (!link) {
    const message = `There is no device ${device}; another one may take packets out of ${tunnel}.`
    const cure = `Load ${module} and set ${device} up, or make a device of your own.`
    return [...findings, warning('TUNNEL', message, cure)]
  }
  findings.push(
    link.up
      ? fine('TUNNEL', `${device} is up.`)
      : error('TUNNEL', `${device} is down: nothing comes out of it.`, `Set ${device} up.`),
  )
  const filter = await effective(facts, device, 'rp_filter')
  if (filter !== 0) {
    const message = `${device} filters by the way back (rp_filter is ${filter}), which fails without an address on it: packets of clients that come out of it are dropped.`
    const cure = `host.prepareRealServer() sets net.ipv4.conf.${device}.rp_filter and net.ipv4.conf.all.rp_filter to 0, and the other devices to what 'all' was.`
    findings.push(error('RP_FILTER', message, cure))
  } else findings.push(fine('RP_FILTER', `${device} lets clients' packets pass.`))
  return findings
}

const outerHeader = { ipv4: 20, ipv6: 40 } as const
const usual = 1500

export const checkTunnelMtu = (facts: Facts): DiagnosisFinding[] => {
  const { role, forwarding, tunnel, arrivals, links } = facts
  if (forwarding !== 'tun' || role === 'realServer') return []
  const findings: DiagnosisFinding[] = []
  for (const device of arrivals) {
    const mtu = links.get(device)?.mtu
    if (mtu === undefined) continue
    const inner = mtu - outerHeader.ipv4 - kinds[tunnel].overhead
    if (inner >= usual) {
      findings.push(
        fine('TUNNEL_MTU', `Packets of ${inner} bytes fit into ${tunnel} on ${device}.`),
      )
      continue
    }
    const message = `Packets of at most ${inner} bytes fit into ${tunnel} on ${device} (MTU ${mtu}); larger ones of clients are refused by ICMP, and lost where that is filtered.`
    const cure = `Give the network between director and real servers an MTU of ${usual + mtu - inner} or more, or let real servers announce a smaller TCP segment (advmss ${inner - 40}).`
    findings.push(warning('TUNNEL_MTU', message, cure))
  }
  return findings
}
