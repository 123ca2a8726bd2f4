// The changing verbs, one call at a time.

import type { ChangeQueue } from './batch.js'
import type { DirectVerb } from './direct.js'
import { IpvsError } from './errors.js'
import type { Group } from './group.js'
import { addVerb, groupForVerb } from './operations.js'
import type { Verb } from './operations.js'
import { choiceOf, signalOf, takeOptions } from './validate.js'
import type { Properties } from './validate.js'

const isExisting = (error: unknown): boolean =>
  IpvsError.is(error) &&
  (error.code === 'ERR_IPVS_SERVICE_EXISTS' || error.code === 'ERR_IPVS_DESTINATION_EXISTS')

const isMissing = (error: unknown): boolean =>
  IpvsError.is(error) &&
  (error.code === 'ERR_IPVS_NO_SERVICE' || error.code === 'ERR_IPVS_NO_DESTINATION')

/**
 * What changing calls are made of. They are no async functions, and make one promise a call: of ten
 * thousand calls in a tick every further one costs as much as the kernel's work.
 */
export class Changes {
  readonly #queue: ChangeQueue

  constructor(queue: ChangeQueue) {
    this.#queue = queue
  }

  add(verb: Verb, values: Properties, options: unknown): Promise<void> {
    return options === undefined
      ? this.change(verb, values, undefined)
      : this.#addUnless(verb, values, options)
  }

  async #addUnless(verb: Verb, values: Properties, options: unknown): Promise<void> {
    const given = takeOptions(options, ['ifExists'])
    const ifExists = choiceOf(given, 'ifExists', ['refuse', 'edit', 'ignore'])
    const signal = signalOf(given)
    try {
      await this.change(verb, values, { signal }, ifExists === 'edit')
    } catch (error) {
      if (ifExists !== 'ignore' || !isExisting(error)) throw error
    }
  }

  delete(verb: Verb, values: Properties, options: unknown): Promise<void> {
    return options === undefined
      ? this.change(verb, values, undefined)
      : this.#deleteUnless(verb, values, options)
  }

  async #deleteUnless(verb: Verb, values: Properties, options: unknown): Promise<void> {
    const given = takeOptions(options, ['ifMissing'])
    const ifMissing = choiceOf(given, 'ifMissing', ['refuse', 'ignore'])
    try {
      await this.change(verb, values, { signal: signalOf(given) })
    } catch (error) {
      if (ifMissing === 'refuse' || !isMissing(error)) throw error
    }
  }

  /** What a verb asks for. */
  change(verb: Verb, values: Properties, options: unknown, editIfExists = false): Promise<void> {
    try {
      const signal = options === undefined ? undefined : signalOf(takeOptions(options))
      const group = groupForVerb(() => this.#queue.groupFor(signal), verb, values)
      const index = addVerb(group, verb, values)
      if (editIfExists) group.editIfExists(index)
      this.#queue.send(verb, group, index, signal)
      return signal
        ? this.#queue.ended(group, signal).then(() => group.throwFailure(index))
        : group.outcome()
    } catch (error) {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- as it was thrown
      return Promise.reject(error)
    }
  }

  /** The same for nearly all calls that there are, without what those do not need. */
  changeDirectly(verb: DirectVerb, service: unknown, destination: unknown): Promise<void> {
    try {
      const group = this.#groupIfAvailable()
      const index = group === undefined ? -1 : group.addDirect(verb, service, destination)
      if (group === undefined || index < 0) {
        return this.change(verb, { service, destination }, undefined)
      }
      this.#queue.send(verb, group, index, undefined)
      return group.outcome()
    } catch (error) {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- as it was thrown
      return Promise.reject(error)
    }
  }

  /** None without the addon: what is wrong is refused before that is said. */
  #groupIfAvailable(): Group | undefined {
    try {
      return this.#queue.groupFor(undefined)
    } catch {
      return undefined
    }
  }
}
