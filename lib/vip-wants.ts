// VIPs as what somebody wants: see lib/wants.ts.

import { noteChanged } from './wants.js'
import type { HostConnection } from '../types/addon.js'
import type { HostAddress } from '../types/host.js'

type Place = Pick<HostAddress, 'address' | 'prefixLength' | 'device'>

export const nameVip = ({ address, prefixLength, device }: Place): string =>
  `${address}/${prefixLength} on ${device}`

export const nameWantedVip = (place: Place): string => `address ${nameVip(place)}`

interface Labelled {
  readonly label?: string | undefined
}

/** The label tells whose it is: what has another one is not what was there before. */
export const valueOf = ({ label }: Labelled): string => label ?? 'present'

/**
 * Calls have added VIPs, or may have: these are theirs from now on, also where a preparation had the
 * same before.
 */
export const noteAdded = (native: HostConnection, vips: readonly (Place & Labelled)[]): void => {
  for (const vip of vips) noteChanged(native, nameWantedVip(vip), valueOf(vip))
}

/**
 * A call has deleted a VIP. Not one that it may have deleted: what undoes a preparation does no more
 * than what that call wanted, should the VIP still be there.
 */
export const noteDeleted = (native: HostConnection, vip: Place): void =>
  noteChanged(native, nameWantedVip(vip), 'absent')
