// Reading calls: what they answer, or throw.

import type { Command } from './commands.js'
import { errorFor } from './errors.js'
import type { Failure } from '../types/addon.js'
import type { ServiceKey } from '../types/service.js'

/** What is read, for the words and properties of an error. */
export interface Reading {
  readonly command: Command
  readonly what: string
  readonly service?: ServiceKey
}

/** What the addon answers. */
export interface Answer {
  readonly failure: Failure | undefined
}

/** The reply, unless it is a failure: that is thrown. */
export const unlessFailed = <Reply extends Answer>(
  reply: Reply,
  command: string,
  what: string,
  service?: ServiceKey,
): Reply => {
  if (!reply.failure) return reply
  const request = { command, what: () => what, ...(service && { service }), changes: false }
  throw errorFor(reply.failure, request)
}
