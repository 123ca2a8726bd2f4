// What the kernel has, and what this process may do.

import { error, fine, info, warning } from './findings.js'
import { isKernelSince } from './facts.js'
import type { Facts } from './facts.js'
import type { DiagnosisFinding } from '../../types/diagnosis.js'

const schedulers = 'rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh twos'.split(' ')

const CAP_NET_ADMIN = 12n

export const checkIpvs = ({ role, ipvs, loaded, loadable }: Facts): DiagnosisFinding[] => {
  if (role === 'realServer') return []
  if (ipvs !== undefined) return [fine('IPVS', `IPVS is there: ${ipvs}.`)]
  if (loaded.has('ip_vs') || loadable?.has('ip_vs') === true) {
    return [info('IPVS', 'IPVS is not loaded yet; the first call of ipvs loads it.')]
  }
  if (!loadable) {
    const cure = 'Load it where the modules are, in a container on its host: modprobe ip_vs'
    return [
      error('IPVS', 'IPVS is not loaded, and there are no modules of this kernel here.', cure),
    ]
  }
  const cure =
    "Install the modules of this kernel, or a kernel with CONFIG_IP_VS, such as the distribution's"
  return [error('IPVS', 'This kernel has no IPVS.', cure)]
}

const features = [
  ['4.1', '64-bit counters'],
  ['5.2', 'GUE tunnels'],
  ['5.3', 'GRE tunnels'],
  ['3.18', 'destinations of another family than their service (tun)'],
] as const

export const checkFeatures = ({ role, release }: Facts): DiagnosisFinding[] => {
  if (role === 'realServer') return []
  const missing = features.filter(([since]) => !isKernelSince(release, since))
  if (missing.length === 0) {
    const names = features.map(([, name]) => name).join(', ')
    return [fine('KERNEL_FEATURES', `Linux ${release} has ${names}.`)]
  }
  return missing.map(([since, name]) =>
    warning('KERNEL_FEATURES', `Linux ${release} has no ${name}.`, `Use Linux ${since} or newer.`),
  )
}

const present = ({ loaded, loadable }: Facts, module: string): boolean =>
  loaded.has(module) || loadable?.has(module) === true

export const checkSchedulers = (facts: Facts): DiagnosisFinding[] => {
  if (facts.role === 'realServer') return []
  const found = schedulers.filter((name) => present(facts, `ip_vs_${name}`))
  const missing = schedulers.filter((name) => !found.includes(name))
  if (found.length === 0) {
    const cure =
      'Install the modules of this kernel, in a container on its host: ip_vs_wlc and others'
    return [
      error('SCHEDULERS', 'No scheduler is loaded, and none can be found to be loaded.', cure),
    ]
  }
  const without = missing.length === 0 ? '' : `; not ${missing.join(', ')}`
  const text = `Schedulers that are loaded or can be: ${found.join(', ')}${without}.`
  if (found.includes('wlc')) return [fine('SCHEDULERS', text)]
  const cure = 'Load the module ip_vs_wlc, or name another scheduler with each service.'
  return [warning('SCHEDULERS', `${text} The default, wlc, is not among them.`, cure)]
}

export const checkEngines = (facts: Facts): DiagnosisFinding[] => {
  if (facts.role === 'realServer') return []
  return present(facts, 'ip_vs_pe_sip')
    ? [fine('PERSISTENCE_ENGINES', 'The persistence engine sip is loaded or can be.')]
    : [info('PERSISTENCE_ENGINES', 'There is no persistence engine sip (module ip_vs_pe_sip).')]
}

export const checkPrivilege = (facts: Facts): DiagnosisFinding[] => {
  const { role, capabilities, isInitialUserNamespace } = facts
  if (capabilities === undefined) return [info('UNKNOWN', '/proc/self/status cannot be read.')]
  if ((capabilities & (1n << CAP_NET_ADMIN)) === 0n) {
    const cure = 'Run as root, or give the process CAP_NET_ADMIN (AmbientCapabilities= of systemd).'
    return [
      error('PRIVILEGE', 'This process has no CAP_NET_ADMIN, so it can change nothing.', cure),
    ]
  }
  if (role === 'director' && !isInitialUserNamespace) {
    const cure = 'Run outside, or in a container that has no user namespace of its own.'
    const message =
      'This process is in a user namespace of its own, as in a rootless container; every command of IPVS needs CAP_NET_ADMIN in the initial one.'
    return [error('PRIVILEGE', message, cure)]
  }
  return [fine('PRIVILEGE', 'This process has CAP_NET_ADMIN.')]
}

export const checkProcSys = ({ isReadOnly }: Facts): DiagnosisFinding[] =>
  isReadOnly
    ? [
        warning(
          'PROC_SYS',
          '/proc/sys is mounted read-only, as containers usually have it: no setting can be changed here.',
          'Set what is needed outside, or mount /proc/sys to be written.',
        ),
      ]
    : [fine('PROC_SYS', '/proc/sys can be written.')]
