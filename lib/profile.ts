// What a machine needs to be a real server, and the way back.

import { missingArpSuppression } from './arp.js'
import type { ArpChange } from './arp.js'
import { abortError, IpvsError } from './errors.js'
import { nameSetting, putBackSetting, readSetting, writeSetting } from './sysctl.js'
import { addVip, deleteVip, listAddresses, vipOn, withLabel } from './vip.js'
import type { Vip } from './vip.js'
import { takeAddress, takeDevice, takeList, takeObject, takeOneOf, wrongType } from './validate.js'
import type { HostConnection } from '../types/addon.js'
import type { HostChange, Preparation, UndoReport } from '../types/host.js'

/** Does work with the open handle; also after the preparation was handed out. */
export type WithNative = <T>(
  what: string,
  work: (native: HostConnection) => Promise<T>,
) => Promise<T>

/** One change, and how to take it back. */
interface Step {
  readonly change: HostChange
  readonly apply: (native: HostConnection) => Promise<void>
  /** False when somebody else changed it meanwhile. */
  readonly undo: (native: HostConnection) => Promise<boolean>
}

/** A profile, checked. */
export interface RealServerPlan {
  readonly vips: readonly Vip[]
  readonly devices: readonly string[]
}

const takeVipOnLoopback = (value: unknown, path: string): Vip =>
  vipOn('lo', takeAddress(value, path))

export const takeRealServerProfile = (value: unknown): RealServerPlan => {
  const path = 'profile'
  const properties = takeObject(value, path, ['forwarding', 'vip', 'device'])
  const forwarding = takeOneOf(properties['forwarding'], `${path}.forwarding`, ['nat', 'dr'])
  if (forwarding === 'nat') return { vips: [], devices: [] }
  const { vip, device } = properties
  if (vip === undefined) throw wrongType(`${path}.vip`, 'an address or several', vip)
  const vips = takeList(vip, `${path}.vip`, takeVipOnLoopback)
  const needsArp = vips.some(({ family }) => family === 'ipv4')
  if (device === undefined && needsArp) {
    throw wrongType(`${path}.device`, 'the device on which packets arrive, or several', device)
  }
  const devices = device === undefined ? [] : takeList(device, `${path}.device`, takeDevice)
  return { vips, devices: needsArp ? devices : [] }
}

const settingStep = ({ setting, before, after }: ArpChange): Step => ({
  change: { kind: 'sysctl', name: nameSetting(setting), before, after },
  apply: (native) => writeSetting(native, setting, after),
  undo: async (native) => {
    if ((await readSetting(native, setting)) !== after) return false
    await putBackSetting(native, setting, before)
    return true
  },
})

const addressStep = (vip: Vip): Step => {
  const { address, prefixLength, device, label } = vip
  return {
    change: {
      kind: 'address',
      address,
      prefixLength,
      device,
      ...(label !== undefined && { label }),
    },
    apply: async (native) => {
      await addVip(native, vip)
    },
    undo: async (native) => {
      await deleteVip(native, vip)
      return true
    },
  }
}

// A device or an address that is gone took the change with it.
const isGone = (error: unknown): boolean =>
  IpvsError.is(error) &&
  ['ERR_HOST_NO_ADDRESS', 'ERR_HOST_NO_DEVICE', 'ERR_HOST_NO_SYSCTL'].includes(error.code)

/** ARP before the address, so that the VIP is never announced. What is right already has no step. */
async function* realServerSteps(
  native: HostConnection,
  { vips, devices }: RealServerPlan,
): AsyncGenerator<Step> {
  if (devices.length > 0) {
    for (const change of await missingArpSuppression(native, devices)) yield settingStep(change)
  }
  for (const vip of vips) {
    const present = await listAddresses(native, vip.device)
    if (present.some(({ address }) => address === vip.address)) continue
    yield addressStep(withLabel(vip, present))
  }
}

/** Steps that were made, and what became of them when they were taken back. */
class Trail {
  #steps: Step[] = []
  readonly #restored: HostChange[] = []
  readonly #left: HostChange[] = []

  get changes(): readonly HostChange[] {
    return this.#steps.map(({ change }) => change)
  }

  async make(native: HostConnection, step: Step): Promise<void> {
    try {
      await step.apply(native)
    } catch (error) {
      // It may have been made, so it is taken back with the others.
      if (IpvsError.is(error) && error.code === 'ERR_IPVS_OUTCOME_UNKNOWN') this.#steps.push(step)
      throw error
    }
    this.#steps.push(step)
  }

  /**
   * Takes the steps back, the last one first. Goes on after a failure and then rejects with it; the
   * next time only what failed is tried again.
   */
  async undo(native: HostConnection): Promise<UndoReport> {
    const failed: Step[] = []
    const failures: unknown[] = []
    for (const step of this.#steps.toReversed()) {
      try {
        const list = (await step.undo(native)) ? this.#restored : this.#left
        list.push(step.change)
      } catch (error) {
        if (isGone(error)) {
          this.#left.push(step.change)
        } else {
          failed.unshift(step)
          failures.push(error)
        }
      }
    }
    this.#steps = failed
    if (failures.length > 0) {
      throw new AggregateError(failures, 'Not everything could be put back as it was')
    }
    return { restored: [...this.#restored], left: [...this.#left] }
  }
}

const abandon = async (native: HostConnection, trail: Trail, error: unknown): Promise<never> => {
  await trail.undo(native).catch((undoError: unknown) => {
    throw new AggregateError(
      [error, undoError],
      'The preparation failed, and not everything could be put back as it was',
    )
  })
  throw error
}

export const prepareRealServer = async (
  native: HostConnection,
  plan: RealServerPlan,
  withNative: WithNative,
  signal: AbortSignal | undefined,
): Promise<Preparation> => {
  const trail = new Trail()
  try {
    for await (const step of realServerSteps(native, plan)) {
      if (signal?.aborted === true) throw abortError(signal, false)
      await trail.make(native, step)
    }
  } catch (error) {
    return abandon(native, trail, error)
  }
  const undo = (): Promise<UndoReport> => withNative('undo', (later) => trail.undo(later))
  return {
    changed: trail.changes,
    undo,
    [Symbol.asyncDispose]: async () => {
      await undo()
    },
  }
}
