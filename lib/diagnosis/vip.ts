// The virtual addresses: where they have to be, and where they must not.

import { addressBits, formatAddress } from '../address.js'
import type { Address } from '../address.js'
import { error, fine, warning } from './findings.js'
import { effective } from './facts.js'
import type { Facts } from './facts.js'
import type { DiagnosisFinding } from '../../types/diagnosis.js'
import type { HostAddress } from '../../types/host.js'

const onDirector = async (
  facts: Facts,
  vip: string,
  places: readonly HostAddress[],
): Promise<DiagnosisFinding[]> => {
  const [place] = places
  if (!place) {
    const message = `${vip} is not on this machine: it does not take clients' packets for its own.`
    const cure = `host.addVip({ address: '${vip}', device: '${facts.arrivals[0] ?? 'eth0'}' })`
    return [error('VIP', message, cure)]
  }
  const findings: DiagnosisFinding[] = []
  for (const { device, family, tentative } of places) {
    if (tentative) {
      const message = `${vip} on ${device} is tentative: duplicate-address detection has not ended, or found another machine with it.`
      const cure = 'Wait, and look for another machine that has it.'
      findings.push(warning('VIP', message, cure))
    }
    if (device !== 'lo' || family !== 'ipv4') continue
    for (const arrival of facts.arrivals) {
      const ignore = (await effective(facts, arrival, 'arp_ignore')) ?? 0
      if (ignore === 0) continue
      const message = `${vip} is on lo, and ${arrival} answers no ARP for it (arp_ignore is ${ignore}): nobody finds the director.`
      const cure = `host.addVip({ address: '${vip}', device: '${arrival}' })`
      findings.push(error('VIP', message, cure))
    }
  }
  return findings.length > 0 ? findings : [fine('VIP', `${vip} is on ${place.device}.`)]
}

const onRealServer = (
  facts: Facts,
  vip: string,
  places: readonly HostAddress[],
): DiagnosisFinding[] => {
  if (facts.forwarding === 'nat') {
    if (places.length === 0) return [fine('VIP', `${vip} is not on this machine, as nat needs it.`)]
    const message = `${vip} is on this machine, which with nat belongs to the director alone.`
    const cure = `host.deleteVip({ address: '${vip}', device: '${places[0]?.device ?? 'lo'}' })`
    return [error('VIP', message, cure)]
  }
  const findings: DiagnosisFinding[] = []
  for (const { device, prefixLength, family } of places) {
    if (facts.arrivals.includes(device)) {
      const message = `${vip} is on ${device}, so that this machine answers for it as the director does.`
      const cure = `host.deleteVip({ address: '${vip}', device: '${device}', prefixLength: ${prefixLength} }), then host.addVip({ address: '${vip}' })`
      findings.push(error('VIP', message, cure))
    } else if (device === 'lo' && prefixLength !== addressBits[family]) {
      const message = `${vip}/${prefixLength} on lo makes all of that network local to this machine.`
      const cure = `host.deleteVip({ address: '${vip}', prefixLength: ${prefixLength} }), then host.addVip({ address: '${vip}' })`
      findings.push(error('VIP', message, cure))
    } else findings.push(fine('VIP', `${vip} is on ${device}.`))
  }
  if (findings.length > 0) return findings
  const message = `${vip} is not on this machine: it does not take clients' packets for its own.`
  return [error('VIP', message, `host.addVip({ address: '${vip}' })`)]
}

const checkOne = async (facts: Facts, { family, bytes }: Address): Promise<DiagnosisFinding[]> => {
  const vip = formatAddress(family, bytes)
  const places = facts.addresses.filter(({ address }) => address === vip)
  return facts.role === 'director'
    ? onDirector(facts, vip, places)
    : onRealServer(facts, vip, places)
}

export const checkVips = async (facts: Facts): Promise<DiagnosisFinding[]> => {
  const findings = await Promise.all(facts.vips.map((vip) => checkOne(facts, vip)))
  return findings.flat()
}
