// Waiting.

/**
 * Resolves after some milliseconds, or as soon as one of the signals is aborted, and leaves nothing
 * behind.
 */
export const pause = async (
  milliseconds: number,
  ...given: readonly (AbortSignal | undefined)[]
): Promise<void> =>
  new Promise((resolve) => {
    const signals = given.filter((signal) => signal !== undefined)
    const end = (): void => {
      clearTimeout(timer)
      for (const signal of signals) signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, milliseconds)
    for (const signal of signals) signal.addEventListener('abort', end)
    if (signals.some(({ aborted }) => aborted)) end()
  })
