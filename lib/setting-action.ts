// The change of a kernel setting by a preparation, and its way back.

import { nameSetting, putSetting, readSetting } from './sysctl.js'
import type { SettingPath } from './sysctl.js'
import { wantedAction } from './wanted-action.js'
import type { PutBack } from './wants.js'
import type { HostConnection } from '../types/addon.js'
import type { SysctlChange } from '../types/profile.js'

/** A setting as it is, and as a preparation wants it; see lib/wanted-action.ts. */
export interface SettingWanting {
  readonly setting: SettingPath
  readonly before: string
  readonly after: string
  /** Not what will merely do. */
  readonly isWanted: boolean
  readonly mayVanish?: boolean
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
  putBack: async (native, change) => {
    await putSetting(native, setting, change.before)
    return { restored: [change], left: [] }
  },
})

/** Writes a setting unless it is as it should be, and keeps it so until it is undone. */
export const settingAction = (
  { setting, why, ...wanting }: SettingWanting,
  { put, putBack }: Writer = writerOf(setting),
): ReturnType<typeof wantedAction> =>
  wantedAction(
    {
      ...wanting,
      name: nameSetting(setting),
      changeOf: (before, after) => settingChange(setting, before, after, why),
    },
    {
      read: (native) => readSetting(native, setting),
      put: (native) => put(native, wanting.after),
      putBack,
    },
  )
