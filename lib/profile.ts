// What a machine needs to be a real server, and the way back.

import { missingArpSuppression } from './arp.js'
import { IpvsError } from './errors.js'
import { nameSetting, readSetting, writeSetting } from './sysctl.js'
import type { SettingPath } from './sysctl.js'
import { addVip, deleteVip, listAddresses, vipOn } from './vip.js'
import type { Vip } from './vip.js'
import { takeAddress, takeDevice, takeList, takeObject, takeOneOf, wrongType } from './validate.js'
import type { HostConnection } from '../types/addon.js'
import type { HostChange, Preparation, UndoReport } from '../types/host.js'

/** Does work with the open handle; also after the preparation was handed out. */
export type WithNative = <T>(
  what: string,
  work: (native: HostConnection) => Promise<T>,
) => Promise<T>

/** One change that was made, and how to take it back. */
interface Step {
  readonly change: HostChange
  /** False when somebody else changed or removed it meanwhile. */
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

const writeStep = async (
  native: HostConnection,
  setting: SettingPath,
  before: string,
  after: string,
): Promise<Step> => {
  await writeSetting(native, setting, after)
  return {
    change: { kind: 'sysctl', name: nameSetting(setting), before, after },
    undo: async (later) => {
      if ((await readSetting(later, setting)) !== after) return false
      await writeSetting(later, setting, before)
      return true
    },
  }
}

const addressStep = async (native: HostConnection, vip: Vip): Promise<Step> => {
  const { address, prefixLength, device, label } = await addVip(native, vip)
  return {
    change: {
      kind: 'address',
      address,
      prefixLength,
      device,
      ...(label !== undefined && { label }),
    },
    undo: async (later) => {
      await deleteVip(later, { ...vip, label })
      return true
    },
  }
}

// A device or an address that is gone took the change with it.
const isGone = (error: unknown): boolean =>
  IpvsError.is(error) &&
  ['ERR_HOST_NO_ADDRESS', 'ERR_HOST_NO_DEVICE', 'ERR_HOST_NO_SYSCTL'].includes(error.code)

/** Takes the steps back, the last one first. Goes on after a failure, and then rejects with it. */
const undoSteps = async (native: HostConnection, steps: readonly Step[]): Promise<UndoReport> => {
  const restored: HostChange[] = []
  const left: HostChange[] = []
  const failures: unknown[] = []
  for (const { change, undo } of steps.toReversed()) {
    try {
      const list = (await undo(native)) ? restored : left
      list.push(change)
    } catch (error) {
      if (isGone(error)) left.push(change)
      else failures.push(error)
    }
  }
  if (failures.length > 0) {
    throw new AggregateError(failures, 'Not everything could be put back as it was')
  }
  return { restored, left }
}

/** ARP before the address, so that the VIP is never announced. */
async function* realServerSteps(
  native: HostConnection,
  { vips, devices }: RealServerPlan,
): AsyncGenerator<Step> {
  if (devices.length > 0) {
    for (const { setting, before, after } of await missingArpSuppression(native, devices)) {
      yield writeStep(native, setting, before, after)
    }
  }
  for (const vip of vips) {
    const present = await listAddresses(native, vip.device)
    if (present.some(({ address }) => address === vip.address)) continue
    yield addressStep(native, vip)
  }
}

const makePreparation = (steps: readonly Step[], withNative: WithNative): Preparation => {
  let undone: Promise<UndoReport> | undefined
  const undo = async (): Promise<UndoReport> => {
    undone ??= withNative('undo', async (native) => undoSteps(native, steps))
    return undone
  }
  return {
    changed: steps.map(({ change }) => change),
    undo,
    [Symbol.asyncDispose]: async () => {
      await undo()
    },
  }
}

export const prepareRealServer = async (
  native: HostConnection,
  plan: RealServerPlan,
  withNative: WithNative,
): Promise<Preparation> => {
  const steps: Step[] = []
  try {
    for await (const step of realServerSteps(native, plan)) steps.push(step)
  } catch (error) {
    await undoSteps(native, steps).catch((undoError: unknown) => {
      throw new AggregateError(
        [error, undoError],
        'The preparation failed, and not everything could be put back as it was',
      )
    })
    throw error
  }
  return makePreparation(steps, withNative)
}
