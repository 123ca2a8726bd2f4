// @ts-check
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { output, run } from './child.mjs'
import { exists } from './files.mjs'

const keyrings = [
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/usr/share/keyrings/debian-archive-keyring.pgp',
]

/** The mirrors that the machine's own apt uses, which can be any: the archive itself and its security updates. */
async function mirrors() {
  const format = '$(ORIGIN)|$(LABEL)|$(REPO_URI)'
  const targets = await output('apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
  ])
  /** @param {string} label */
  const uri = (label) => {
    const start = `Debian|${label}|`
    return targets
      .split('\n')
      .find((line) => line.startsWith(start))
      ?.slice(start.length)
  }
  const main = uri('Debian')
  if (main === undefined) {
    throw new Error("apt knows no Debian mirror: check /etc/apt, then run 'apt-get update' as root")
  }
  return { main, security: uri('Debian-Security') }
}

async function keyring() {
  for (const path of keyrings) {
    if (await exists(path)) return path
  }
  throw new Error(
    "Debian's archive keys are missing. As root:\n  apt-get install -y debian-archive-keyring",
  )
}

/**
 * The sources of a kernel line, as an apt list.
 *
 * @param {import('./kernels.mjs').KernelLine} line
 */
async function sources(line) {
  const { main, security } = await mirrors()
  const options = `[arch=amd64 signed-by=${await keyring()}]`
  const lines = [`deb ${options} ${main} ${line.suite} main`]
  if (line.security && security !== undefined)
    lines.push(`deb ${options} ${security} ${line.suite}-security main`)
  return `${lines.join('\n')}\n`
}

/**
 * An apt with lists of its own, for one suite, that leaves the machine's alone. Proxies and everything else are as the
 * machine has them, but for pins and a default release, which are about the machine's own packages.
 *
 * @param {import('./kernels.mjs').KernelLine} line
 * @param {string} directory for the lists
 * @returns {Promise<{ show(name: string): Promise<string>, download(names: readonly string[], to: string): Promise<void> }>}
 */
export async function aptFor(line, directory) {
  const list = join(directory, 'sources.list')
  const lists = join(directory, 'lists')
  await mkdir(join(lists, 'partial'), { recursive: true })
  await writeFile(list, await sources(line))
  const settings = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State::Lists': lists,
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'APT::Default-Release': '',
    'Acquire::Languages': 'none',
    // The user that apt downloads as cannot write into a private directory.
    'APT::Sandbox::User': 'root',
  }
  const options = [
    '-q',
    ...Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]),
  ]
  await run('apt-get', [...options, 'update'])
  return {
    show: (name) => output('apt-cache', [...options, 'show', '--no-all-versions', name]),
    download: (names, to) => run('apt-get', [...options, 'download', ...names], { cwd: to }),
  }
}
