// @ts-check
import { inspect } from 'node:util'

/** @typedef {import('./report.mjs').Report} Report */

/** @param {unknown} value */
const literal = (value) => inspect(value, { breakLength: Infinity, compact: true, depth: 8 })

/**
 * What an object has beyond another one, when it has all of that.
 *
 * @param {unknown} object
 * @param {object} base
 */
function extension(object, base) {
  if (typeof object !== 'object' || object === null) return undefined
  const entries = new Map(Object.entries(object))
  for (const [key, value] of Object.entries(base)) {
    if (entries.get(key) !== value) return undefined
    entries.delete(key)
  }
  return entries.size === 0 ? undefined : Object.fromEntries(entries)
}

/** Shows the library's calls as the code that makes them. */
export class Narrator {
  /** @type {Map<string, object>} */
  #names = new Map()

  /** @param {Report} report */
  constructor(report) {
    this.report = report
  }

  /**
   * Gives an object the name under which calls show it.
   *
   * @template {object} T
   * @param {string} where
   * @param {string} name
   * @param {T} value
   * @returns {T}
   */
  name(where, name, value) {
    this.#names.set(name, value)
    this.report.call(where, `const ${name} = ${literal(value)}`)
    return value
  }

  /**
   * A handle that shows each call before making it, so that what is shown is what happens.
   *
   * @template {object} T
   * @param {string} where the machine
   * @param {string} name the handle's
   * @param {T} handle
   * @returns {T}
   */
  handle(where, name, handle) {
    return new Proxy(handle, {
      get: (target, property) => {
        const value = Reflect.get(target, property, target)
        if (typeof value !== 'function') return value
        return (/** @type {unknown[]} */ ...args) => {
          const shown = args.map((argument) => this.#shown(argument)).join(', ')
          this.report.call(where, `await ${name}.${String(property)}(${shown})`)
          return value.apply(target, args)
        }
      },
    })
  }

  /** @param {unknown} argument */
  #shown(argument) {
    for (const [name, value] of this.#names) {
      if (argument === value) return name
      const rest = extension(argument, value)
      if (rest !== undefined) return `{ ...${name}, ${literal(rest).slice(2)}`
    }
    return literal(argument)
  }
}
