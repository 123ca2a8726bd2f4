// @ts-check
import { spawnSync } from 'node:child_process'
import { quote } from './quote.mjs'

/** @param {readonly string[]} args */
function stty(args) {
  const { stdout } = spawnSync('stty', args, { stdio: ['inherit', 'pipe', 'ignore'] })
  return stdout.toString().trim()
}

/**
 * Keeps our terminal's settings, which QEMU changes and, when it is killed, does not change back.
 *
 * @returns {() => void} sets them again
 */
export function keepTerminal() {
  const settings = stty(['-g'])
  return () => void stty([settings])
}

/** A line of shell script that tells the guest's end of a serial console how large our terminal is. */
export function sizeOfTerminal() {
  const { rows, columns } = process.stdout
  return rows && columns ? `stty rows ${quote(String(rows))} cols ${quote(String(columns))}\n` : ''
}
