// Programs that the tests need and npm does not bring.
//
//   node test/support/tools.mjs cmake...     installs what is missing, or says how

import { spawnSync } from 'node:child_process'
import { argv } from 'node:process'
import { fileURLToPath } from 'node:url'

const isInstalled = (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0

const aptGet = (...args) =>
  spawnSync('apt-get', args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  }).status === 0

const install = (name) => aptGet('install', '-y', '-q', '--no-install-recommends', name)

/**
 * Makes sure that a program is there, whose Debian package has its name: installs it where that is
 * possible, and otherwise ends the process with the command that would. Never skips.
 */
export const needTool = (tool) => {
  if (isInstalled(tool)) return tool
  const cure = `apt-get install ${tool}`
  const mayInstall = process.getuid() === 0 && isInstalled('apt-get')
  if (mayInstall) {
    console.error(`${tool} is missing, installing it`)
    // The package lists of a fresh machine are often absent or out of date.
    if (install(tool) || (aptGet('update', '-q') && install(tool))) return tool
  }
  console.error(`${tool} is missing: ${cure}`)
  process.exit(1)
}

if (argv[1] === fileURLToPath(import.meta.url)) argv.slice(2).forEach(needTool)
