// Programs that the tests need and npm does not bring.
//
//   node test/support/tools.mjs cmake...     installs what is missing, or says how

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'

const isInstalled = (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0

const aptGet = (...args) =>
  // Somebody else may be installing.
  spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=600', ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  }).status === 0

const install = (name) => aptGet('install', '-y', '-q', '--no-install-recommends', name)

const need = (isThere, what, debian) => {
  if (isThere()) return
  const mayInstall = process.getuid() === 0 && isInstalled('apt-get')
  if (mayInstall) {
    console.error(`${what} is missing, installing ${debian}`)
    // The package lists of a fresh machine are often absent or out of date.
    if (install(debian) || (aptGet('update', '-q') && install(debian))) return
  }
  console.error(`${what} is missing: apt-get install ${debian}`)
  process.exit(1)
}

/**
 * Makes sure that a program is there: installs its Debian package where that is possible, and
 * otherwise ends the process with the command that would. Never skips.
 */
export const needTool = (tool, debian = tool) => {
  need(() => isInstalled(tool), tool, debian)
  return tool
}

/** The same for a file that is no program. */
export const needFile = (path, debian) => need(() => existsSync(path), path, debian)

if (argv[1] === fileURLToPath(import.meta.url)) argv.slice(2).forEach(needTool)
