// The change of a kernel setting by a preparation, and its way back.

import { isUnknown } from './errors.js'
import { forgetSetting, holdSetting, leaveSetting, releaseSetting } from './setting-wants.js'
import type { Hold, PutBack } from './setting-wants.js'
import { nameSetting, putSetting, readSetting } from './sysctl.js'
import type { SettingPath } from './sysctl.js'
import { isGone } from './trail.js'
import type { Action } from './trail.js'
import type { HostConnection } from '../types/addon.js'
import type { SysctlChange, UndoReport } from '../types/profile.js'

/** A setting as it is, and as a preparation wants it. */
export interface Wanting {
  readonly setting: SettingPath
  readonly before: string
  /** The same as `before`: there is nothing to do but to keep it so. */
  readonly after: string
  /** Whether persist() writes it; not what will merely do. */
  readonly isWanted: boolean
  readonly why: string
}

export const settingChange = (
  setting: SettingPath,
  before: string,
  after: string,
  why: string,
): SysctlChange => ({ kind: 'sysctl', name: nameSetting(setting), before, after, why })

/** How a setting is written, where others change with it. */
export interface Writer {
  readonly put: (native: HostConnection, value: string) => Promise<void>
  readonly putBack: PutBack
}

const writerOf = (setting: SettingPath): Writer => ({
  put: (native, value) => putSetting(native, setting, value),
  putBack: async (native, value) => {
    await putSetting(native, setting, value)
    return []
  },
})

interface SettingAction extends Action {
  /** Lets the setting be as it is, for good. */
  readonly leave: (native: HostConnection) => void
}

/** Reads a setting that is held; what is gone is held no more. */
const readHeld = async (
  native: HostConnection,
  setting: SettingPath,
  hold: Hold,
): Promise<string> => {
  try {
    return await readSetting(native, setting)
  } catch (error) {
    if (isGone(error)) forgetSetting(native, nameSetting(setting), hold)
    throw error
  }
}

/** Writes a setting unless it is as it should be, and keeps it so until it is undone. */
export const settingAction = (
  { setting, before, after, isWanted, why }: Wanting,
  { put, putBack }: Writer = writerOf(setting),
): SettingAction => {
  const name = nameSetting(setting)
  const changes = before === after ? [] : [settingChange(setting, before, after, why)]
  let hold: Hold | undefined
  const apply = async (native: HostConnection, preparation: string): Promise<void> => {
    const take = (): void => {
      const wanted = { before, value: after, isWanted, restore: putBack }
      hold = holdSetting(native, name, preparation, wanted)
    }
    try {
      if (before !== after) await put(native, after)
    } catch (error) {
      if (isUnknown(error)) take()
      throw error
    }
    take()
  }
  const undo = async (native: HostConnection): Promise<UndoReport> => {
    if (!hold) return { restored: [], left: [] }
    const current = await readHeld(native, setting, hold)
    const { target, isKept, restore = putBack, done } = releaseSetting(native, name, hold, current)
    if (isKept) {
      done()
      return { restored: [], left: changes }
    }
    const left = await restore(native, target)
    done()
    return { restored: [settingChange(setting, target, current, why)], left }
  }
  const leave = (native: HostConnection): void => {
    if (hold) leaveSetting(native, name, hold)
  }
  return { changes, apply, undo, leave }
}
