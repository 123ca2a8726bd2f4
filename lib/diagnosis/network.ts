// Forwarding, redirects, reverse path filters, ARP and the way back.

import { error, fine, info, warning } from './findings.js'
import { effective, familiesOf } from './facts.js'
import type { Facts } from './facts.js'
import { arpSuppression } from '../arp.js'
import type { DiagnosisFinding } from '../../types/diagnosis.js'

const forwardSettings = {
  ipv4: ['ipv4', 'ip_forward'],
  ipv6: ['ipv6', 'conf', 'all', 'forwarding'],
} as const

export const checkDevices = ({ devices = [], links }: Facts): DiagnosisFinding[] =>
  devices.flatMap((device) => {
    const link = links.get(device)
    if (link?.up === true) return []
    if (link) return [error('DEVICE', `${device} is down.`, `Set ${device} up.`)]
    const message = `There is no network device ${device} in this network namespace.`
    return [error('DEVICE', message, 'Name a device that there is, or make it first.')]
  })

export const checkForwarding = async (facts: Facts): Promise<DiagnosisFinding[]> => {
  const { role, forwarding, arrivals, setting } = facts
  if (role === 'realServer') return []
  if (forwarding !== 'nat') {
    return [info('IP_FORWARD', `A director of ${forwarding} need not forward packets.`)]
  }
  const findings: DiagnosisFinding[] = []
  for (const family of familiesOf(facts)) {
    const name = ['net', ...forwardSettings[family]].join('.')
    const value = await setting(...forwardSettings[family])
    if (value === undefined) {
      findings.push(info('UNKNOWN', `${name} cannot be read.`))
    } else if (value === '0') {
      const cure = `host.ipForward(true${family === 'ipv6' ? ", { family: 'ipv6' }" : ''})`
      const message = `${name} is 0: replies of real servers are not forwarded to the clients.`
      findings.push(error('IP_FORWARD', message, cure))
    } else {
      findings.push(fine('IP_FORWARD', `${name} is ${value}.`))
    }
    for (const device of arrivals) {
      if (value === '0' || (await setting(family, 'conf', device, 'forwarding')) !== '0') continue
      const own = `net.${family}.conf.${device.replaceAll('.', '/')}.forwarding`
      const message = `${own} is 0, and that counts for packets that arrive on ${device}.`
      findings.push(error('IP_FORWARD', message, `host.setSysctl('${own}', 1)`))
    }
  }
  return findings
}

export const checkRedirects = async (facts: Facts): Promise<DiagnosisFinding[]> => {
  const { role, forwarding, arrivals } = facts
  if (role === 'realServer' || forwarding !== 'nat' || !familiesOf(facts).has('ipv4')) return []
  const findings: DiagnosisFinding[] = []
  for (const device of arrivals) {
    const value = await effective(facts, device, 'send_redirects')
    if (value === undefined) continue
    const name = `net.ipv4.conf.{all,${device.replaceAll('.', '/')}}.send_redirects`
    findings.push(
      value === 0
        ? fine('SEND_REDIRECTS', `${device} sends no redirects.`)
        : warning(
            'SEND_REDIRECTS',
            `${device} sends redirects: where real servers and clients share its network, it tells real servers to answer clients directly, and those do not know the connection.`,
            `Set ${name} to 0, both of them.`,
          ),
    )
  }
  return findings
}

const strict = 1

export const checkReversePath = async (facts: Facts): Promise<DiagnosisFinding[]> => {
  if (!familiesOf(facts).has('ipv4')) return []
  const outgoing = facts.defaultRoutes.filter(({ family }) => family === 'ipv4')
  const findings: DiagnosisFinding[] = []
  for (const device of facts.arrivals) {
    const value = await effective(facts, device, 'rp_filter')
    if (value === undefined) continue
    const leavesElsewhere = outgoing.length > 0 && outgoing.every((each) => each.device !== device)
    const isTrouble = value === strict && leavesElsewhere
    findings.push(
      isTrouble
        ? warning(
            'RP_FILTER',
            `${device} filters strictly by the way back (rp_filter is 1), and the default route leaves by ${outgoing[0]?.device ?? ''}: packets of clients that are not on ${device}'s own networks are dropped.`,
            `host.setSysctl('net.ipv4.conf.${device.replaceAll('.', '/')}.rp_filter', 2)`,
          )
        : fine('RP_FILTER', `${device} lets clients' packets pass: rp_filter is ${value}.`),
    )
  }
  return findings
}

export const checkArp = async (facts: Facts): Promise<DiagnosisFinding[]> => {
  const { role, forwarding, arrivals, native, setting } = facts
  if (role === 'director' || forwarding === 'nat' || !familiesOf(facts).has('ipv4')) return []
  const findings: DiagnosisFinding[] = []
  for (const device of arrivals) {
    if ((await setting('ipv4', 'conf', device, 'arp_ignore')) === undefined) continue
    for (const state of await arpSuppression(native, [device])) {
      const values = `arp_ignore is ${state.arpIgnore} and arp_announce ${state.arpAnnounce}`
      findings.push(
        state.suppressed
          ? fine('ARP', `${device} hides addresses of lo: ${values}.`)
          : error(
              'ARP',
              `${device} does not hide a virtual address on lo from ARP (${values}): clients reach this machine past the director.`,
              `host.suppressArp('${device}')`,
            ),
      )
    }
  }
  return findings
}

export const checkReturnPath = (facts: Facts): DiagnosisFinding[] => {
  const { role, forwarding, director, defaultRoutes } = facts
  const findings: DiagnosisFinding[] = []
  for (const family of familiesOf(facts)) {
    const routes = defaultRoutes.filter((route) => route.family === family)
    const shown = routes
      .map(({ device, gateway }) => `${gateway === undefined ? '' : `${gateway} on `}${device}`)
      .join(', ')
    const gateways = routes.map(({ gateway }) => gateway)
    if (routes.length === 0) {
      const message = `There is no default route for ${family}: replies reach only the networks that have a route.`
      const cure =
        role === 'realServer' && forwarding === 'nat'
          ? 'Add one by the director.'
          : "Add one by the clients' router."
      findings.push(warning('RETURN_PATH', message, cure))
    } else if (role === 'realServer' && forwarding === 'nat') {
      if (director === undefined) {
        const message = `Replies leave by ${shown}; that has to be the director.`
        findings.push(info('RETURN_PATH', message))
      } else if (!gateways.includes(director)) {
        const message = `Replies leave by ${shown} and not by the director, ${director}, which alone can translate them back.`
        findings.push(error('RETURN_PATH', message, `Make ${director} the default gateway.`))
      } else findings.push(fine('RETURN_PATH', `Replies leave by the director, ${director}.`))
    } else if (role === 'realServer' && director !== undefined && gateways.includes(director)) {
      const message = `Replies leave by the director, ${director}: it drops them, since their source, the virtual address, is its own.`
      const cure =
        "Use the clients' router as the gateway, or set accept_local to 1 on the director."
      findings.push(warning('RETURN_PATH', message, cure))
    } else findings.push(fine('RETURN_PATH', `Replies of ${family} leave by ${shown}.`))
  }
  return findings
}
