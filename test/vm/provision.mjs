// @ts-check
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fetchKernel } from './fetch.mjs'
import { kernelLine } from './kernels.mjs'
import { withLock } from './lock.mjs'
import { isWhole, readManifest } from './manifest.mjs'
import { installPackages } from './packages.mjs'
import { kernelsDir } from './paths.mjs'

/**
 * A kernel that is ready to boot.
 *
 * @typedef {object} Kernel
 * @property {string} name the kernel line
 * @property {string} release what `uname -r` says
 * @property {string} version the Debian package's version
 * @property {string} directory where its files are
 * @property {string} image
 * @property {readonly string[]} modules files that the initramfs loads, in that order
 */

/** @param {string} name */
const entryOf = (name) => join(kernelsDir, name)

/**
 * The cached kernel of a line, unread: for telling its version.
 *
 * @param {string} name
 */
export async function cachedKernel(name) {
  return await readManifest(entryOf(name))
}

/**
 * @param {string} name
 * @returns {Promise<Kernel | undefined>} nothing where it is absent, half there or damaged
 */
async function wholeKernel(name) {
  const directory = entryOf(name)
  const manifest = await readManifest(directory)
  if (manifest === undefined) return undefined
  if (!(await isWhole(directory, manifest))) {
    console.error(`vm: the cached kernel ${manifest.release} is damaged, and is fetched again`)
    return undefined
  }
  const { release, version } = manifest
  const modules = manifest.modules.map((file) => join(directory, file))
  return { name, release, version, directory, image: join(directory, 'vmlinux'), modules }
}

/** Removes what runs that were killed while fetching have left. */
async function sweep() {
  await mkdir(kernelsDir, { recursive: true })
  const halves = (await readdir(kernelsDir)).filter((entry) => entry.includes('.new-'))
  await Promise.all(
    halves.map((entry) => rm(join(kernelsDir, entry), { recursive: true, force: true })),
  )
}

/**
 * For callers that hold the lock: see {@link provision}.
 *
 * @param {string} name
 * @param {{ refresh?: boolean | undefined }} [options]
 * @returns {Promise<Kernel>}
 */
export async function provisionLocked(name, { refresh = false } = {}) {
  const line = kernelLine(name)
  await installPackages()
  const cached = await wholeKernel(name)
  if (cached !== undefined && !refresh) return cached
  await sweep()
  await fetchKernel(line, entryOf(name), cached?.version)
  const kernel = await wholeKernel(name)
  if (kernel === undefined)
    throw new Error(`the kernel just put at ${entryOf(name)} does not read back`)
  return kernel
}

/**
 * Installs and fetches what a VM of a kernel line needs. What is there and whole is used as it is, without the network.
 *
 * @param {string} name
 * @param {{ refresh?: boolean | undefined, signal?: AbortSignal | undefined }} [options] refresh: look for a newer kernel
 * @returns {Promise<Kernel>}
 */
export async function provision(name, options = {}) {
  return await withLock(options.signal, () => provisionLocked(name, options))
}
