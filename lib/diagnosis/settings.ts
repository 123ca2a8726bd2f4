// IPVS's own settings: those that contradict each other, and those that surprise.

import { error, fine, info, warning } from './findings.js'
import type { Facts } from './facts.js'
import { presentIpvsSettings } from '../settings.js'
import type { DiagnosisFinding } from '../../types/diagnosis.js'
import type { KnownIpvsSettings } from '../../types/settings.js'

type Check = (settings: KnownIpvsSettings, facts: Facts) => DiagnosisFinding | undefined

const ALWAYS = 3

const checks: readonly Check[] = [
  ({ dropPacket, amDroprate }) => {
    if (dropPacket !== ALWAYS || amDroprate > 1) return undefined
    const message =
      amDroprate === 1
        ? 'dropPacket is 3 and amDroprate 1: every packet is dropped.'
        : `dropPacket is 3 and amDroprate ${amDroprate}: nothing is dropped.`
    const cure = 'host.setIpvsSettings({ dropPacket: 0 }), or a larger amDroprate'
    return (amDroprate === 1 ? error : warning)('DROP_PACKET', message, cure)
  },
  ({ connMax }) =>
    connMax === 0
      ? error(
          'CONN_MAX',
          'connMax is 0: no connection can be made.',
          'host.setIpvsSettings({ connMax: 2 ** 20 })',
        )
      : undefined,
  ({ runEstimation }) =>
    runEstimation
      ? fine('ESTIMATION', 'Counters are brought up to date.')
      : warning(
          'ESTIMATION',
          'runEstimation is off: counters and rates stand still.',
          'host.setIpvsSettings({ runEstimation: true })',
        ),
  ({ estCpulist }) =>
    estCpulist === ''
      ? warning(
          'ESTIMATION',
          'estCpulist is empty: counters and rates stand still.',
          "host.setIpvsSettings({ estCpulist: 'all' })",
        )
      : undefined,
  ({ connReuseMode }) =>
    connReuseMode === 0
      ? warning(
          'CONN_REUSE_MODE',
          'connReuseMode is 0: a client that uses a port again stays at its old destination, even one of weight 0.',
          'host.setIpvsSettings({ connReuseMode: 1 })',
        )
      : undefined,
  ({ expireNodestConn }) =>
    expireNodestConn
      ? fine('EXPIRE_NODEST_CONN', 'Connections of deleted destinations end.')
      : info(
          'EXPIRE_NODEST_CONN',
          'Packets of connections whose destination was deleted are dropped without a word; setIpvsSettings({ expireNodestConn: true }) ends them.',
        ),
  ({ conntrack }, { forwarding }) =>
    forwarding === 'nat' && conntrack === false
      ? info(
          'CONNTRACK',
          'conntrack is off: rules of netfilter for states or SNAT do not see connections of IPVS.',
        )
      : undefined,
  ({ syncRetries, syncRefreshPeriod }) =>
    syncRetries > 0 && syncRefreshPeriod === 0
      ? warning(
          'SYNC_RETRIES',
          `syncRetries is ${syncRetries} and has no effect, since syncRefreshPeriod is 0.`,
          'host.setIpvsSettings({ syncRefreshPeriod: 8 }), for example',
        )
      : undefined,
  ({ syncPersistMode, sloppyTcp }) =>
    syncPersistMode === 1 && !sloppyTcp
      ? warning(
          'SYNC_PERSIST_MODE',
          'syncPersistMode is 1 without sloppyTcp: when this machine takes over, connections of persistent services that it never saw are not taken up.',
          'host.setIpvsSettings({ sloppyTcp: true }) on every director',
        )
      : undefined,
]

export const checkSettings = async (facts: Facts): Promise<DiagnosisFinding[]> => {
  if (facts.role === 'realServer') return []
  const settings = await presentIpvsSettings(facts.native)
  if (!settings) return []
  return checks.flatMap((check) => check(settings, facts) ?? [])
}
