// The fake's synchronisation daemons.

import { constants } from 'node:os'

import type { DaemonFields } from './records.js'

const { errno } = constants

type Daemons = Map<number, DaemonFields>

// Of a device's usual MTU, what headers leave.
const mtu = 1500
const headerOf = ({ group6 }: DaemonFields): number => (group6 ? 48 : 28)

const defaultGroup = Uint8Array.of(224, 0, 0, 81)

/** Answers the kernel's errno. */
export const startDaemon = (
  daemons: Daemons,
  devices: ReadonlySet<string>,
  wanted: DaemonFields,
): number | undefined => {
  if (!devices.has(wanted.interface ?? '')) return errno.ENODEV
  if (daemons.has(wanted.state)) return errno.EEXIST
  daemons.set(wanted.state, {
    ...(!wanted.group6 && { group: defaultGroup }),
    maxLength: mtu - headerOf(wanted),
    port: 8848,
    ttl: 1,
    ...wanted,
  })
  return undefined
}

/** Answers the kernel's errno. */
export const stopDaemon = (daemons: Daemons, { state }: DaemonFields): number | undefined =>
  daemons.delete(state) ? undefined : errno.ESRCH
