// @ts-check
import { homedir } from 'node:os'
import { quote } from './quote.mjs'
import { sizeOfTerminal } from './terminal.mjs'

/**
 * What runs in the guest.
 *
 * @typedef {object} Job
 * @property {string} command
 * @property {readonly string[]} args
 * @property {Readonly<Record<string, string>>} env all of its environment
 * @property {string} cwd
 * @property {boolean} terminal whether it runs on the serial console
 */

const systemPath = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/**
 * The environment that every job has.
 *
 * @returns {Record<string, string>}
 */
export function baseEnvironment() {
  const { PATH = '', TERM, CI } = process.env
  // The host's, for wherever its node is, and root's, which a host's PATH may lack.
  const path = new Set([...PATH.split(':').filter((entry) => entry !== ''), ...systemPath])
  return {
    PATH: [...path].join(':'),
    HOME: homedir(),
    TERM: TERM ?? 'dumb',
    ...(CI === undefined ? {} : { CI }),
  }
}

/** @param {Job} job */
export function script({ command, args, env, cwd, terminal }) {
  const settings = Object.entries(env).map(([name, value]) => quote(`${name}=${value}`))
  const words = [...settings, ...[command, ...args].map(quote)].join(' ')
  return `${terminal ? sizeOfTerminal() : ''}cd ${quote(cwd)} || exit 126\nexec /usr/bin/env -i ${words}\n`
}
