// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, readdir } from 'node:fs/promises'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { compileLauncher } from '../support/launcher.mjs'

const usage = `Builds the handbook's two clusters, NAT and DR, from network namespaces, and shows
them at work.

usage: npm run demo [-- options]

  --kernel LINE   of the virtual machine: 6.1, 6.12 (default) or 7.3
  --family NAME   ipv4 (default) or ipv6
  --here          no virtual machine: as root, with this machine's own kernel, which must have IPVS;
                  its own virtual server table and network stay as they are
  --help          this text`

const root = fileURLToPath(new URL('../..', import.meta.url))
const clusters = fileURLToPath(new URL('clusters.mjs', import.meta.url))

function options() {
  const { values } = parseArgs({
    options: {
      kernel: { type: 'string', default: '6.12' },
      family: { type: 'string', default: 'ipv4' },
      here: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (!['ipv4', 'ipv6'].includes(values.family))
    throw new Error(`--family takes ipv4 or ipv6, not ${values.family}`)
  return values
}

/** @param {string} path */
const exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  )

async function assertBuilt() {
  if (!(await exists(`${root}dist/index.js`)))
    throw new Error('there is no dist/: run `npm ci`, or `npm run build`')
  const addons = [`${root}build/Release`, `${root}prebuilds/linux-${process.arch}`]
  const files = await Promise.all(addons.map((directory) => readdir(directory).catch(() => [])))
  if (!files.flat().some((file) => file.endsWith('.node'))) {
    throw new Error('the addon is not built: run `npm ci`, or `npm run build:native`')
  }
}

/** @param {readonly string[]} args */
async function here(args) {
  if (process.getuid?.() !== 0)
    throw new Error('network namespaces need root: run the same command as root')
  const child = spawn(process.execPath, [clusters, ...args], { stdio: 'inherit' })
  stopped.signal.addEventListener('abort', () => child.kill())
  const [status] = await once(child, 'close')
  return status ?? 1
}

/** @param {string} kernel @param {readonly string[]} args */
async function inVm(kernel, args) {
  const { kernels, runInVm } = await import('../vm/vm.mjs')
  if (!kernels.some(({ name }) => name === kernel)) {
    throw new Error(`--kernel takes ${kernels.map(({ name }) => name).join(', ')}, not ${kernel}`)
  }
  // In the guest the output is no terminal.
  const color = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
  console.error(`starting a virtual machine with a kernel of the ${kernel} line`)
  const result = await runInVm({
    kernel,
    command: process.execPath,
    args: [clusters, ...args],
    cwd: root,
    env: color ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' },
    timeout: 300,
    signal: stopped.signal,
  })
  for (const line of [...result.kernelErrors, ...result.kernelWarnings])
    console.error(`kernel log: ${line}`)
  return result.status
}

const stopped = new AbortController()
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, () => {
    process.exitCode = 128 + constants.signals[signal]
    stopped.abort()
  })
}
// A reader that has gone away, as in `... | head`.
process.stdout.on('error', () => {
  process.exitCode = 128 + constants.signals.SIGPIPE
  stopped.abort()
})

try {
  const values = options()
  if (values.help) {
    console.log(usage)
  } else {
    await assertBuilt()
    // Here, as the virtual machine takes long for it.
    compileLauncher()
    const args = ['--family', values.family]
    process.exitCode = values.here ? await here(args) : await inVm(values.kernel, args)
  }
} catch (error) {
  if (!stopped.signal.aborted) {
    process.exitCode = 1
    console.error(`demo: ${error instanceof Error ? error.message : error}`)
  }
}
