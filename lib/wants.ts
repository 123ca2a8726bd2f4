// Who wants something to be what: the calls of a handle, its preparations, and what was found in
// between, which is somebody else's. What a preparation lets go of stays as long as anybody else wants
// it so, and is at last what it was before, in whatever order they let go.
//
// It is about kernel settings, and about addresses, devices and ports, whose values are that they are
// there or not. Each has a name; that of a setting begins with `net.`.

import type { HostConnection } from '../types/addon.js'
import type { HostChange, UndoReport } from '../types/profile.js'

/** Whether the kernel would read the same from both, which differ in blanks at most. */
export const isSameValue = (one: string, other: string): boolean =>
  one.trim().split(/\s+/).join(' ') === other.trim().split(/\s+/).join(' ')

/** What a handle did with a setting. */
export interface SettingRecord {
  /** What it is wanted to be, or was put back to. */
  readonly value: string
  /** Nobody wants it any more. */
  readonly isPutBack: boolean
}

/** Makes it what it was before the change. Called again after it failed, it does what is left to do. */
export type PutBack = (native: HostConnection, change: HostChange) => Promise<UndoReport>

interface Layer {
  readonly kind: 'found' | 'asked' | 'held'
  readonly value: string
  /** Whether it is persisted; not what will merely do. */
  isWanted: boolean
  /** It was not so, but a preparation made it so. */
  readonly isMade: boolean
  /** The preparations that hold it. None is left of what one held that failed, and could not undo. */
  readonly holders: Set<string>
}

interface State {
  /** The last one is what it is, unless somebody else changed it since. */
  layers: readonly Layer[]
  /** What it was when the last one let go of it. */
  putBack?: string
  /** How it is put back by whoever is the last. */
  restore?: PutBack | undefined
  /** A file has it as it was wanted: what it was put back to is remembered until that is there. */
  isPersisted?: boolean
}

/** What a preparation holds. */
export interface Hold {
  readonly layer: Layer
  readonly holder: string
}

const states = new WeakMap<HostConnection, Map<string, State>>()

const stateOf = (native: HostConnection, name: string): State => {
  const own = states.get(native) ?? new Map<string, State>()
  states.set(native, own)
  const state = own.get(name) ?? { layers: [] }
  own.set(name, state)
  return state
}

const recordOf = ({ layers, putBack }: State): SettingRecord | undefined => {
  const wanted = layers.findLast(({ isWanted }) => isWanted)
  if (wanted) return { value: wanted.value, isPutBack: false }
  return putBack === undefined ? undefined : { value: putBack, isPutBack: true }
}

/** What was done with settings through a handle, by their names. */
export const settingRecords = (native: HostConnection): ReadonlyMap<string, SettingRecord> =>
  new Map(
    [...(states.get(native) ?? [])].flatMap(([name, state]) => {
      const record = recordOf(state)
      return record ? [[name, record] as const] : []
    }),
  )

/** These are in a file now. */
export const notePersisted = (
  native: HostConnection,
  records: ReadonlyMap<string, SettingRecord>,
): void => {
  for (const [name, { isPutBack }] of records) stateOf(native, name).isPersisted = !isPutBack
}

const dropPutBack = (native: HostConnection, name: string): void => {
  const own = states.get(native)
  const state = own?.get(name)
  if (state?.layers.length === 0 && state.isPersisted !== true) own?.delete(name)
}

/**
 * Remembers no longer what settings were put back to whose device is gone: devices come and go, and
 * that would be more and more.
 */
export const dropGone = (native: HostConnection, devices: readonly string[]): void => {
  const present = new Set(['all', 'default', ...devices])
  for (const name of states.get(native)?.keys() ?? []) {
    const device = /^net\.ipv[46]\.conf\.([^.]+)\./.exec(name)?.[1]?.replaceAll('/', '.')
    if (device !== undefined && !present.has(device)) dropPutBack(native, name)
  }
}

const found = (value: string): Layer => ({
  kind: 'found',
  value,
  isWanted: false,
  isMade: false,
  holders: new Set(),
})

/** Left by a preparation that failed; it is put back along with whatever is above it. */
const isOrphan = ({ kind, holders }: Layer): boolean => kind === 'held' && holders.size === 0

/** Of values that were found one after the other, the last. */
const withoutOldFound = (layers: readonly Layer[]): Layer[] =>
  layers.filter(({ kind }, index) => kind !== 'found' || layers[index + 1]?.kind !== 'found')

/** Notices what somebody else has set. */
const see = (state: State, current: string): void => {
  const top = state.layers.at(-1)
  if (top && isSameValue(top.value, current)) return
  state.layers = withoutOldFound([...state.layers, found(current)])
}

/** A call asked for this value; nothing takes that back but the next call. */
export const noteAsked = (native: HostConnection, name: string, value: string): void => {
  const state = stateOf(native, name)
  const others = state.layers.filter(({ kind }) => kind !== 'asked')
  const asked: Layer = { ...found(value), kind: 'asked', isWanted: true }
  state.layers = withoutOldFound([...others, asked])
}

/**
 * A call has changed what preparations may hold: what these made it is no more, also should it look the
 * same again. Other than a setting, it is not remembered where none of them does.
 */
export const noteChanged = (native: HostConnection, name: string, value: string): void => {
  const state = states.get(native)?.get(name)
  if (state) state.layers = withoutOldFound([...state.layers, found(value)])
}

/** The setting was put back along with another one. */
export const notePutBack = (native: HostConnection, name: string, value: string): void => {
  stateOf(native, name).putBack = value
}

/** What it is as far as the handle has made it so, or wants it; undefined if it was only found. */
const layerOf = (native: HostConnection, name: string): Layer | undefined => {
  const top = states.get(native)?.get(name)?.layers.at(-1)
  return top?.kind === 'found' ? undefined : top
}

/** The value that a preparation holds, or has left when it failed. */
export const heldValue = (native: HostConnection, name: string): string | undefined =>
  layerOf(native, name)?.value

/** Whether anybody wants it to be as it is. */
export const isHeld = (native: HostConnection, name: string, value: string): boolean => {
  const top = layerOf(native, name)
  return top !== undefined && !isOrphan(top) && isSameValue(top.value, value)
}

/** Whether it is as a preparation has left it that failed. */
export const isOrphaned = (native: HostConnection, name: string, value: string): boolean => {
  const top = layerOf(native, name)
  return top !== undefined && isOrphan(top) && isSameValue(top.value, value)
}

/** Others stand above what a preparation holds: it lets go of that, to have it on top again. */
const moveOff = (state: State, holder: string): void => {
  const top = state.layers.at(-1)
  const rest = state.layers.filter(
    (layer) => layer === top || !layer.holders.delete(holder) || layer.holders.size > 0,
  )
  state.layers = withoutOldFound(rest)
}

interface Wanted {
  readonly before: string
  readonly value: string
  readonly isWanted: boolean
  readonly restore?: PutBack | undefined
}

/**
 * A preparation wants something. Undefined when it holds that already: preparing the same again takes
 * no more than one to undo.
 */
export const hold = (
  native: HostConnection,
  name: string,
  holder: string,
  { before, value, isWanted, restore }: Wanted,
): Hold | undefined => {
  const state = stateOf(native, name)
  see(state, before)
  if (before === value) {
    const since = state.layers.findLastIndex(({ kind }) => kind === 'found') + 1
    if (state.layers.slice(since).some(({ holders }) => holders.has(holder))) return undefined
  }
  moveOff(state, holder)
  if (before === value) {
    const top = state.layers.at(-1)
    if (top?.kind === 'held') {
      top.holders.add(holder)
      top.isWanted ||= isWanted
      return { layer: top, holder }
    }
  }
  const isMade = before !== value
  const layer: Layer = { kind: 'held', value, isWanted, isMade, holders: new Set([holder]) }
  state.layers = [...state.layers, layer]
  if (isMade) state.restore = restore
  return { layer, holder }
}

const without = ({ layers }: State, { layer, holder }: Hold): readonly Layer[] => {
  // Preparing the same again may have taken its place.
  const isLast = layer.holders.has(holder) && layer.holders.size === 1
  return isLast ? layers.filter((each) => each !== layer && !isOrphan(each)) : layers
}

/** Only settings are remembered when nobody wants them any more, for persist(). */
const isSetting = (name: string): boolean => name.startsWith('net.')

/** Keeps what others want; `last` is for persist() what it was when nobody wants it. */
const settle = (
  native: HostConnection,
  name: string,
  { layer, holder }: Hold,
  rest: readonly Layer[],
  last: string | undefined,
): void => {
  const state = stateOf(native, name)
  layer.holders.delete(holder)
  state.layers = withoutOldFound(rest)
  if (rest.some(({ kind }) => kind !== 'found')) return
  state.layers = []
  state.restore = undefined
  if (last !== undefined) state.putBack = last
  if (!isSetting(name)) states.get(native)?.delete(name)
}

/** What letting go leads to. */
interface Release {
  /** What it is to be then. */
  readonly target: string
  /** It is that already: somebody else wants it so, or has changed it. */
  readonly isKept: boolean
  readonly restore: PutBack | undefined
  /** To be called once it is that. */
  readonly done: () => void
}

/** Lets go of what is `current` now. */
export const release = (
  native: HostConnection,
  name: string,
  held: Hold,
  current: string,
): Release => {
  const state = stateOf(native, name)
  see(state, current)
  const rest = without(state, held)
  const target = rest.at(-1)?.value ?? current
  const above = state.layers.slice(state.layers.indexOf(held.layer) + 1)
  const isOverruled = above.some(({ kind }) => kind === 'found')
  const isKept = isSameValue(target, current)
  return {
    target,
    isKept,
    restore: state.restore,
    done: () => settle(native, name, held, rest, isOverruled || !isKept ? target : undefined),
  }
}

/** Lets go of what is gone with its device. */
export const forget = (native: HostConnection, name: string, held: Hold): void => {
  const rest = without(stateOf(native, name), held)
  settle(native, name, held, rest, rest.at(-1)?.value)
  dropPutBack(native, name)
}

/** Lets go of what stays as it is for good, for somebody else. */
export const leave = (native: HostConnection, name: string, held: Hold): void => {
  const state = stateOf(native, name)
  const value = state.layers.at(-1)?.value ?? held.layer.value
  settle(native, name, held, [...without(state, held), found(value)], value)
}

/** Lets go of what should be put back and is not; whoever wants it next, and is undone, does that. */
export const orphan = ({ layer, holder }: Hold): void => {
  layer.holders.delete(holder)
  if (layer.holders.size === 0) layer.isWanted = false
}
