// Checks of arguments. Nothing wrong passes, and each refusal names the property, the value and
// what is allowed.

import { inspect } from 'node:util'

import { addressFault, parseAddress } from './address.js'
import type { Address } from './address.js'

type Coded<E extends Error> = E & { code: string }

const coded = <E extends Error>(error: E, code: string): Coded<E> => Object.assign(error, { code })

const shown = (value: unknown): string =>
  inspect(value, { depth: 0, maxStringLength: 64, maxArrayLength: 4, breakLength: Infinity })

const sentence = (path: string, allowed: string, value: unknown): string =>
  `The property "${path}" must be ${allowed}. Received ${shown(value)}`

export const wrongType = (path: string, allowed: string, value: unknown): Coded<TypeError> =>
  coded(new TypeError(sentence(path, allowed, value)), 'ERR_INVALID_ARG_TYPE')

export const wrongValue = (path: string, allowed: string, value: unknown): Coded<TypeError> =>
  coded(new TypeError(sentence(path, allowed, value)), 'ERR_INVALID_ARG_VALUE')

const outOfRange = (path: string, allowed: string, value: unknown): Coded<RangeError> =>
  coded(new RangeError(sentence(path, allowed, value)), 'ERR_OUT_OF_RANGE')

export type Properties = Readonly<Record<string, unknown>>

/** What to check in place of an absent property. `null` is not absent: it is a wrong value. */
export const orDefault = (value: unknown, fallback: unknown): unknown =>
  value === undefined ? fallback : value

/**
 * An object with no other properties than the known ones, inherited ones too, as those are read like
 * its own; a misspelt one must not be taken for an absent one.
 */
export const takeObject = (value: unknown, path: string, known: readonly string[]): Properties => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType(path, 'an object', value)
  }
  for (const name in value) {
    if (known.includes(name)) continue
    const message = `The property "${path}.${name}" is unknown. Known are ${known.join(', ')}`
    throw coded(new TypeError(message), 'ERR_INVALID_ARG_VALUE')
  }
  return value as Properties
}

export const takeInteger = (value: unknown, path: string, least: number, most: number): number => {
  // The text is made only when it is needed: this runs several times for each change.
  const allowed = (): string => `an integer from ${least} to ${most}`
  if (typeof value !== 'number') throw wrongType(path, allowed(), value)
  if (!Number.isInteger(value) || value < least || value > most) {
    throw outOfRange(path, allowed(), value)
  }
  // Of -0 the kernel makes 0.
  return value + 0
}

export const takeBoolean = (value: unknown, path: string): boolean => {
  if (typeof value !== 'boolean') throw wrongType(path, 'a boolean', value)
  return value
}

export const takeOneOf = <T extends string>(
  value: unknown,
  path: string,
  allowed: readonly T[],
): T => {
  const list = (): string => `one of ${allowed.map((each) => `'${each}'`).join(', ')}`
  if (typeof value !== 'string') throw wrongType(path, list(), value)
  if (!(allowed as readonly string[]).includes(value)) throw wrongValue(path, list(), value)
  return value as T
}

/** A name that the kernel keeps in a field of `most` bytes beside its terminator. */
export const isName = (value: string, most: number): boolean =>
  /^[\w.-]+$/.test(value) && value.length <= most

export const takeName = (value: unknown, path: string, most: number): string => {
  const allowed = `a name of 1 to ${most} letters, digits, '_', '-' or '.'`
  if (typeof value !== 'string') throw wrongType(path, allowed, value)
  if (!isName(value, most)) throw wrongValue(path, allowed, value)
  return value
}

const anyAddress = 'a numeric IPv4 or IPv6 address'

/** A numeric address, whatever it stands for. */
export const takeNumericAddress = (value: unknown, path: string): Address => {
  if (typeof value !== 'string') throw wrongType(path, anyAddress, value)
  const address = parseAddress(value)
  if (!address) throw wrongValue(path, anyAddress, value)
  return address
}

/** A numeric address at which somebody can be reached. */
export const takeAddress = (value: unknown, path: string): Address => {
  const address = takeNumericAddress(value, path)
  const fault = addressFault(address)
  if (fault !== undefined) {
    const allowed = `${anyAddress} of one machine, and this one is ${fault}`
    throw wrongValue(path, allowed, value)
  }
  return address
}

/** Of folders of settings. The kernel lets no device have settings under these names (sysctl_dev_name_is_allowed). */
const notDevices: readonly string[] = ['all', 'default']

/** The name of a network device, as the kernel allows it. */
export const takeDevice = (value: unknown, path: string): string => {
  const allowed = "the name of a network device: 1 to 15 characters without blanks, '/' or ':'"
  if (typeof value !== 'string') throw wrongType(path, allowed, value)
  // eslint-disable-next-line no-control-regex -- control characters are what it refuses
  const legal = /^[^\s/:\u0000-\u001f]+$/.test(value) && value !== '.' && value !== '..'
  if (!legal || Buffer.byteLength(value) > 15) throw wrongValue(path, allowed, value)
  if (notDevices.includes(value)) {
    throw wrongValue(path, 'a single device, and this stands for many of them', value)
  }
  return value
}

/** One or several; undefined and an empty list are none of them. */
export const takeList = <T>(
  value: unknown,
  path: string,
  take: (each: unknown, path: string) => T,
): T[] => {
  if (!Array.isArray(value)) return [take(value, path)]
  if (value.length === 0) throw wrongValue(path, 'at least one', value)
  // Array.from, unlike map, also looks at holes.
  return Array.from(value, (each: unknown, index) => take(each, `${path}[${index}]`))
}

const callOptions = ['signal']

/** Of this realm or another, such as jsdom's. */
const isSignal = (value: unknown): value is AbortSignal => {
  if (typeof value !== 'object' || value === null) return false
  const { aborted, addEventListener } = value as Partial<AbortSignal>
  return typeof aborted === 'boolean' && typeof addEventListener === 'function'
}

export const takeSignal = (value: unknown, path: string): AbortSignal | undefined => {
  if (value === undefined || isSignal(value)) return value
  throw wrongType(path, 'an AbortSignal', value)
}

/** The last argument of a call: its signal, and whatever other options the call has. */
export const takeOptions = (value: unknown, others: readonly string[] = []): Properties => {
  if (value === undefined) return {}
  const options = takeObject(value, 'options', [...callOptions, ...others])
  takeSignal(options['signal'], 'options.signal')
  return options
}

export const signalOf = (options: Properties): AbortSignal | undefined =>
  options['signal'] as AbortSignal | undefined

/** An option that is on or off; off where it is not given. */
export const flagOf = (options: Properties, name: string): boolean =>
  options[name] === undefined ? false : takeBoolean(options[name], `options.${name}`)

/** An option with a few values; the first where it is not given. */
export const choiceOf = <Choice extends string>(
  options: Properties,
  name: string,
  choices: readonly [Choice, ...Choice[]],
): Choice => takeOneOf(orDefault(options[name], choices[0]), `options.${name}`, choices)
