// What is drained: one destination, or all of a service.

import { IpvsError, isUnknown } from './errors.js'
import { joinAddress, nameService } from './service.js'
import type { DestinationKey } from '../types/destination.js'
import type { IpvsErrorCode } from '../types/error.js'
import type { Ipvs } from '../types/ipvs.js'
import type { Destination } from '../types/observed.js'
import type { ServiceKey } from '../types/service.js'

/** One destination, or all of a service. */
export interface Target {
  readonly service: ServiceKey
  /** For messages. */
  readonly name: string
  /** Its destinations as they are now; undefined when it is gone. */
  readonly look: (signal: AbortSignal | undefined) => Promise<readonly Destination[] | undefined>
  /** Sets all weights to 0; says when one was set, or may have been, also when it rejects. */
  readonly quiesce: (before: readonly Destination[], begun: () => void) => Promise<void>
  readonly remove: () => Promise<void>
  /** Why it is not deleted when a weight is not 0 any more. */
  readonly revived: string
}

export const isAnswer = (error: unknown, code: IpvsErrorCode): boolean =>
  IpvsError.is(error) && error.code === code

const listUnlessGone = async (
  ipvs: Ipvs,
  service: ServiceKey,
  signal: AbortSignal | undefined,
): Promise<Destination[] | undefined> => {
  try {
    return await ipvs.listDestinations(service, { signal })
  } catch (error) {
    if (isAnswer(error, 'ERR_IPVS_NO_SERVICE')) return undefined
    throw error
  }
}

type DestinationName = Pick<Destination, 'address' | 'port'>

const isSame = (one: DestinationName, other: DestinationName): boolean =>
  one.address === other.address && one.port === other.port

export const destinationTarget = (
  ipvs: Ipvs,
  service: ServiceKey,
  destination: DestinationName,
): Target => {
  const find = async (signal: AbortSignal | undefined): Promise<Destination[] | undefined> => {
    const found = await listUnlessGone(ipvs, service, signal)
    const own = found?.filter((each) => isSame(each, destination)) ?? []
    return own.length > 0 ? own : undefined
  }
  const setToZero = (): Promise<void> => ipvs.patchDestination(service, destination, { weight: 0 })
  return {
    service,
    name: `${joinAddress(destination.address, destination.port)} of ${nameService(service)}`,
    // While others are deleted, the kernel may leave it out of its list once, which a patch reads, too.
    look: async (signal) => (await find(signal)) ?? find(signal),
    // Also when it is 0 already: this is what finds out that there is no such destination.
    quiesce: async (_, begun) => {
      try {
        await setToZero().catch((error: unknown) => {
          if (isAnswer(error, 'ERR_IPVS_NO_DESTINATION')) return setToZero()
          throw error
        })
        begun()
      } catch (error) {
        if (isUnknown(error)) begun()
        throw error
      }
    },
    remove: () => ipvs.deleteDestination(service, destination, { ifMissing: 'ignore' }),
    revived: 'somebody else gave it a weight again, so it was not deleted',
  }
}

/** Those that are gone need none any more. */
const setWeights = async (
  ipvs: Ipvs,
  service: ServiceKey,
  weights: readonly (readonly [destination: DestinationKey, weight: number])[],
  begun?: () => void,
): Promise<void> => {
  if (weights.length === 0) return
  const outcomes = await ipvs.batch(
    weights.map(([{ address, port }, weight]) => ({
      op: 'patchDestination',
      service,
      destination: { address, port },
      changes: { weight },
    })),
  )
  if (outcomes.some((each) => each.ok || isUnknown(each.error))) begun?.()
  for (const outcome of outcomes) {
    if (!outcome.ok && !isAnswer(outcome.error, 'ERR_IPVS_NO_DESTINATION')) throw outcome.error
  }
}

export const serviceTarget = (ipvs: Ipvs, service: ServiceKey): Target => ({
  service,
  name: nameService(service),
  look: (signal) => listUnlessGone(ipvs, service, signal),
  quiesce: (before, begun) =>
    setWeights(
      ipvs,
      service,
      before.map((each) => [each, 0]),
      begun,
    ),
  remove: () => ipvs.deleteService(service, { ifMissing: 'ignore' }),
  revived:
    'one of its destinations has a weight, added or given by somebody else meanwhile, so the service was not deleted; the others stay at weight 0, and listDrains() finds them',
})

/** Gives back the weights that nobody else has changed since. */
export const putBack = async (
  ipvs: Ipvs,
  { service, look }: Target,
  before: readonly Destination[],
): Promise<void> => {
  if (before.length === 0) return
  const now = (await look(undefined)) ?? []
  const untouched = before.filter((each) =>
    now.some((other) => isSame(each, other) && other.weight === 0),
  )
  await setWeights(
    ipvs,
    service,
    untouched.map((each) => [each, each.weight]),
  )
}
