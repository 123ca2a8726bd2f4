// What ends when a handle is closed although nothing of it is under way: waiting between two looks.

const signals = new WeakMap<object, AbortSignal>()

/** Says which signal is aborted when a table's handle is closed. */
export const announceClosing = (table: object, signal: AbortSignal): void => {
  signals.set(table, signal)
}

/** That signal; undefined for what is no handle. */
export const closingOf = (table: object): AbortSignal | undefined => signals.get(table)
