// Applying a desired state, with an eye on what is sent.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'

import type { DesiredStateOptions, Ipvs, RequestTrace, VirtualServer } from 'ipvs-netlink'

import { text } from '../fixtures/tables.js'

/** Changes that were sent while something was done. */
export const sentBy = async (work: () => Promise<unknown>): Promise<number> => {
  let sent = 0
  const hear = (message: unknown): void => {
    const { command, count } = message as RequestTrace
    if (command !== 'proc' && !command.startsWith('GET_')) sent += count
  }
  subscribe('ipvs-netlink:request', hear)
  await work()
  unsubscribe('ipvs-netlink:request', hear)
  return sent
}

/** From now on, what somebody else does after each reading of the table. */
export const afterReading = (ipvs: Ipvs, meanwhile: () => Promise<void>): void => {
  const { prototype } = ipvs.constructor as unknown as { readonly prototype: Ipvs }
  const snapshot = prototype.snapshot.bind<Ipvs['snapshot']>(ipvs)
  ipvs.snapshot = (async (...given: Parameters<Ipvs['snapshot']>) => {
    const table = await snapshot(...given)
    await meanwhile()
    return table
  }) as never
}

const mustHold = (what: string, holds: boolean, value: unknown): void => {
  if (!holds) throw new Error(`${what}: ${text(value)}`)
}

/** Applies it twice: nothing may fail, and nothing may be sent the second time. */
export const applyTwice = async (
  ipvs: Ipvs,
  desired: readonly VirtualServer[],
  options?: DesiredStateOptions,
): Promise<void> => {
  const { changes } = await ipvs.plan(desired, options)
  const first = await ipvs.apply(desired, options)
  mustHold('failed', first.failed.length === 0, first.failed)
  mustHold('as planned', text(first.changes) === text(changes), [first.changes, changes])
  const again = await sentBy(async () => {
    const second = await ipvs.apply(desired, options)
    mustHold('the second time', second.changes.length + second.failed.length === 0, second)
  })
  mustHold('sent the second time', again === 0, again)
}
