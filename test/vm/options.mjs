// @ts-check
import { parseArgs } from 'node:util'

export const usage = `Runs a command in a virtual machine with a kernel that has IPVS.

usage: node test/vm/run.mjs [options] -- command [args...]
       node test/vm/run.mjs [options] [--shell]

  --kernel LINE       6.1, 6.12 (default) or 7.3; see --list
  --env NAME=VALUE    a variable for the command; may be repeated
  --scratch DIR       a directory that the guest may write to, at the same place
  --timeout SECONDS   the VM is stopped after this long: 600; for a shell, never
  --memory MIB        of the guest: 2048
  --icount            count instructions: one guest nanosecond is one of them
  --verbose           print how long it took
  --shell             a shell in the guest, the default without a command
  --provision         only install and fetch what is needed, for one or all lines
  --refresh           look for newer kernels instead of using those fetched before
  --list              print the kernel lines and their exact versions`

/** @param {readonly string[]} settings */
function environment(settings) {
  return Object.fromEntries(
    settings.map((setting) => {
      const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(setting) ?? []
      if (name === undefined || value === undefined)
        throw new Error(`--env takes NAME=VALUE, not ${setting}`)
      return [name, value]
    }),
  )
}

/**
 * @param {string} option
 * @param {string | undefined} text
 */
function positive(option, text) {
  if (text === undefined) return {}
  const value = Number(text)
  if (!(value > 0 && value < 2 ** 31 / 1000))
    throw new Error(`--${option} takes a number above 0, not ${text}`)
  return { [option]: value }
}

/** @typedef {ReturnType<typeof parse>} Options */

/** @param {string[]} argv */
export function parse(argv) {
  const end = argv.indexOf('--')
  const own = end === -1 ? argv : argv.slice(0, end)
  const [command = '', ...args] = end === -1 ? [] : argv.slice(end + 1)
  const { values } = parseArgs({
    args: own,
    options: {
      kernel: { type: 'string' },
      env: { type: 'string', multiple: true, default: [] },
      scratch: { type: 'string' },
      timeout: { type: 'string' },
      memory: { type: 'string' },
      icount: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      shell: { type: 'boolean', default: false },
      provision: { type: 'boolean', default: false },
      refresh: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { env, timeout, memory, kernel, scratch, ...flags } = values
  const only = flags.provision || flags.list || flags.help
  const shell = flags.shell || (command === '' && !only)
  if (shell && command !== '') throw new Error('--shell takes no command')
  if (shell && !process.stdin.isTTY)
    throw new Error('a shell needs a terminal; to run a command: -- command args...')
  return {
    ...flags,
    shell,
    command,
    args,
    env: environment(env),
    ...(kernel === undefined ? {} : { kernel }),
    ...(scratch === undefined ? {} : { scratch }),
    ...positive('timeout', timeout ?? (shell ? String(7 * 24 * 3600) : undefined)),
    ...positive('memory', memory),
  }
}
