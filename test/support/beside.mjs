// Runs a command, and others beside it where the machine has a second core: `beside.mjs MAIN OTHER...`.
// What the others print is shown when they fail, so that MAIN has the last word when all is well.

import { spawn } from 'node:child_process'

/** @param {string} command @param {'inherit' | 'pipe'} output */
const run = (command, output) => {
  const child = spawn(command, { shell: true, stdio: ['ignore', output, output] })
  /** @type {Buffer[]} */
  const said = []
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => said.push(chunk))
  return new Promise((resolve) =>
    child.on('close', (code) => resolve({ command, ok: code === 0, said: Buffer.concat(said) })),
  )
}

const [main = '', ...others] = process.argv.slice(2)
const beside = others.map((command) => run(command, 'pipe'))
const { ok } = await run(main, 'inherit')
const failed = (await Promise.all(beside)).filter((each) => !each.ok)
for (const { command, said } of failed) process.stdout.write(`${said}\nfailed: ${command}\n`)
process.exitCode = ok && failed.length === 0 ? 0 : 1
