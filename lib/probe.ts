// Asking the kernel again, where it said only that something is missing.

import { familyNumbers } from './address.js'
import { EINVAL, ENOENT } from './errno.js'
import { Stage } from './meanings.js'
import type { KnownFailure, Missing, Request } from './meanings.js'
import type { ServiceFields } from './records.js'

/**
 * The scheduler of a change of which the kernel said that a scheduler or an engine is missing, and not
 * which of the two; undefined when there is no such doubt. What was asked for is read only where it
 * matters.
 */
export const schedulerInDoubt = (
  failure: KnownFailure | undefined,
  readRequest: () => Request,
): string | undefined => {
  if (failure?.stage !== Stage.kernel || failure.errno !== ENOENT) return undefined
  const { scheduler, engine } = readRequest()
  return engine === undefined ? undefined : scheduler
}

/**
 * A request that never succeeds and tells whether the kernel has a scheduler: it looks for the
 * scheduler first (ENOENT), and then refuses an IPv6 prefix length of 0 (EINVAL).
 */
export const schedulerProbe = (
  scheduler: string,
): { command: 'NEW_SERVICE'; service: ServiceFields } => ({
  command: 'NEW_SERVICE',
  service: {
    family: familyNumbers.ipv6,
    protocol: 0,
    address: new Uint8Array(16),
    port: 0,
    scheduler,
    flags: 0,
    timeout: 0,
    netmask: new Uint8Array(4),
  },
})

/** What the answer to the probe says; undefined when it leaves the question open. */
export const missingAfter = (
  answer: Pick<KnownFailure, 'stage' | 'errno'> | undefined,
): Missing | undefined => {
  if (answer?.stage !== Stage.kernel) return undefined
  if (answer.errno === ENOENT) return 'scheduler'
  return answer.errno === EINVAL ? 'engine' : undefined
}
