// What is right and wrong on a machine for its role around IPVS. It only reads.

import {
  checkEngines,
  checkFeatures,
  checkIpvs,
  checkPrivilege,
  checkProcSys,
  checkSchedulers,
} from './diagnosis/kernel.js'
import { gatherFacts } from './diagnosis/facts.js'
import type { Facts, Question } from './diagnosis/facts.js'
import {
  checkArp,
  checkDevices,
  checkForwarding,
  checkRedirects,
  checkReturnPath,
  checkReversePath,
} from './diagnosis/network.js'
import { checkSettings } from './diagnosis/settings.js'
import { checkTunnel, checkTunnelMtu } from './diagnosis/tunnel.js'
import { checkVips } from './diagnosis/vip.js'
import { formatAddress } from './address.js'
import { orDefault, takeAddress, takeDevice, takeList, takeObject, takeOneOf } from './validate.js'
import type { HostConnection } from '../types/addon.js'
import type { Diagnosis, DiagnosisFinding } from '../types/diagnosis.js'

const checks: readonly ((facts: Facts) => DiagnosisFinding[] | Promise<DiagnosisFinding[]>)[] = [
  checkIpvs,
  checkFeatures,
  checkSchedulers,
  checkEngines,
  checkPrivilege,
  checkProcSys,
  checkDevices,
  checkForwarding,
  checkRedirects,
  checkReversePath,
  checkArp,
  checkVips,
  checkReturnPath,
  checkTunnel,
  checkTunnelMtu,
  checkSettings,
]

export const takeQuestion = (value: unknown): Question => {
  const path = 'profile'
  const names = ['role', 'forwarding', 'vip', 'device', 'director', 'tunnel']
  const { role, forwarding, vip, device, director, tunnel } = takeObject(value, path, names)
  const takeDirector = (): string => {
    const { family, bytes } = takeAddress(director, `${path}.director`)
    return formatAddress(family, bytes)
  }
  return {
    role: takeOneOf(role, `${path}.role`, ['director', 'realServer']),
    forwarding: takeOneOf(forwarding, `${path}.forwarding`, ['nat', 'dr', 'tun']),
    tunnel: takeOneOf(orDefault(tunnel, 'ipip'), `${path}.tunnel`, ['ipip', 'gue', 'gre']),
    vips: vip === undefined ? [] : takeList(vip, `${path}.vip`, takeAddress),
    devices: device === undefined ? undefined : takeList(device, `${path}.device`, takeDevice),
    director: director === undefined ? undefined : takeDirector(),
  }
}

const severities = ['error', 'warning', 'info', 'ok'] as const

const format = ({ severity, code, message, cure }: DiagnosisFinding): string => {
  const line = `${severity.padEnd(8)}${code}: ${message}`
  return cure === undefined ? line : `${line}\n${' '.repeat(8)}cure: ${cure}`
}

export const diagnose = async (native: HostConnection, question: Question): Promise<Diagnosis> => {
  const facts = await gatherFacts(native, question)
  const found = await Promise.all(checks.map(async (check) => check(facts)))
  const findings = severities.flatMap((severity) =>
    found.flat().filter((finding) => finding.severity === severity),
  )
  return {
    findings,
    ok: !findings.some(({ severity }) => severity === 'error'),
    text: `${findings.map(format).join('\n')}\n`,
  }
}
