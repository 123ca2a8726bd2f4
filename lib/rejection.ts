// What it means that the addon rejects instead of answering (native/worker.h).

import type { KnownFailure } from './errors.js'
import { Stage } from './meanings.js'

/** Either no thread could be started, or it broke off, and nobody knows how far it had come. */
export const failureOfRejection = (reason: unknown): KnownFailure => {
  const error = reason as Error & { readonly errno?: unknown }
  const { errno } = error
  // Positive, unlike Node's own.
  return typeof errno === 'number' && errno > 0
    ? { stage: Stage.thread, errno, text: '' }
    : { stage: Stage.reply, errno: 0, text: '', cause: error }
}
