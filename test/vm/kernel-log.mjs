// @ts-check

/** Lines after which a kernel is not to be trusted. */
// A lockup is what a kernel sees when the machine is halted.
const broken =
  /\bOops\b|\bBUG\b(?!: (?:soft|workqueue) lockup)|Kernel panic|general protection fault|Unable to handle kernel/

// A program that crashed is one of ours, or the emulator's mistake.
const suspicious = /\bWARNING:|\bBUG: (?:soft|workqueue) lockup|\bsegfault at\b|\btraps: /

/** @param {string} log */
const linesOf = (log) => log.split(/\r?\n/)

/**
 * What a kernel log says of mistakes in the kernel.
 *
 * @param {string} log
 * @returns {{ errors: string[], warnings: string[] }}
 */
export function mistakes(log) {
  const lines = linesOf(log)
  const errors = lines.filter((line) => broken.test(line))
  const warnings = lines.filter((line) => suspicious.test(line) && !broken.test(line))
  return { errors, warnings }
}

/**
 * The log from its first mistake on, enough of it to hold a call trace.
 *
 * @param {string} log
 */
export function excerpt(log) {
  const lines = linesOf(log)
  const first = lines.findIndex((line) => broken.test(line) || suspicious.test(line))
  return first === -1
    ? ''
    : lines
        .slice(first, first + 60)
        .join('\n')
        .trimEnd()
}
