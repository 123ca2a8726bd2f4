// Names of schedulers as the words of records.

import { Known } from './known.js'
import { recordFormat } from './records.js'
import { mostSchedulerName } from './service.js'
import { isName } from './validate.js'

const schedulers = new Known<string, Uint32Array>()

/** The words of the name of a scheduler; undefined for what is for others to judge. */
export const schedulerWords = (name: string): Uint32Array | undefined => {
  const known = schedulers.values.get(name)
  if (known || !isName(name, mostSchedulerName)) return known
  const made = new Uint32Array(recordFormat().service.sizeOf('scheduler') / 4)
  new TextEncoder().encodeInto(name, new Uint8Array(made.buffer))
  schedulers.keep(name, made)
  return made
}
