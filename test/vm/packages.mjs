// @ts-check
import { readFile } from 'node:fs/promises'
import { spawn } from 'node:child_process'
import { ended, run } from './child.mjs'

/** What the host needs to boot a VM, and what tests find in the guest, which sees the host's programs. */
const wanted = [
  'qemu-system-x86',
  'busybox-static',
  'kmod',
  'xz-utils',
  'zstd',
  'lz4',
  'util-linux',
  'iproute2',
  'ipvsadm',
  'procps',
  'iputils-ping',
  'iputils-arping',
  'tcpdump',
  'curl',
]

/** From Debian 13 on virtiofsd is a package of its own; before, it came with QEMU. */
async function virtiofsdPackage() {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '')
  const version = /^VERSION_ID="?(\d+)/m.exec(release)?.[1]
  return version !== undefined && Number(version) < 13 ? [] : ['virtiofsd']
}

/** @param {readonly string[]} packages */
async function missing(packages) {
  const query = spawn(
    'dpkg-query',
    ['-W', '-f', '${Package} ${db:Status-Status}\\n', ...packages],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  )
  let text = ''
  query.stdout.setEncoding('utf8').on('data', (chunk) => (text += chunk))
  await ended(query).catch(() => {
    throw new Error('the VM test bed needs a Debian system: there is no dpkg-query here')
  })
  const installed = new Set(text.split('\n').filter((line) => line.endsWith(' installed')))
  return packages.filter((name) => !installed.has(`${name} installed`))
}

/**
 * Installs what is not installed yet. Where it may not, it says what to install by hand.
 */
export async function installPackages() {
  if (process.arch !== 'x64')
    throw new Error(`the VM test bed runs on x86-64 only, and this is ${process.arch}`)
  const packages = await missing([...wanted, ...(await virtiofsdPackage())])
  if (packages.length > 0) {
    const commands = [
      'apt-get update',
      `apt-get install -y --no-install-recommends ${packages.join(' ')}`,
    ]
    const byHand = `missing packages: ${packages.join(', ')}. As root:\n  ${commands.join('\n  ')}`
    if (process.getuid?.() !== 0) throw new Error(byHand)
    console.error(`vm: installing ${packages.join(' ')}`)
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    try {
      for (const command of commands) {
        const [program = '', ...args] = command.split(' ')
        await run(program, ['-q', '-o', 'DPkg::Lock::Timeout=120', ...args], { env })
      }
    } catch (error) {
      throw new Error(`could not install what the VM test bed needs; ${byHand}`, { cause: error })
    }
  }
}
