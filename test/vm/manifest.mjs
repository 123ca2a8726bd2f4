// @ts-check
import { createHash } from 'node:crypto'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'

const name = 'manifest.json'

/**
 * What a cached kernel is and what it consists of.
 *
 * @typedef {object} Manifest
 * @property {number} format
 * @property {string} release what `uname -r` says
 * @property {string} version the Debian package's version
 * @property {readonly string[]} modules what the initramfs loads, in that order
 * @property {Readonly<Record<string, string>>} files the SHA-256 of each file
 */

/** Counted up when the layout of a cached kernel changes, so that old ones are rebuilt. */
export const format = 2

/** @param {string} directory */
async function hashes(directory) {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries
    .filter((entry) => entry.isFile() && entry.name !== name)
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
  /** @type {Record<string, string>} */
  const result = {}
  for (const file of files) {
    result[relative(directory, file)] = createHash('sha256')
      .update(await readFile(file))
      .digest('hex')
  }
  return result
}

/**
 * @param {string} directory
 * @param {Omit<Manifest, 'files' | 'format'>} about
 */
export async function writeManifest(directory, about) {
  const manifest = { format, ...about, files: await hashes(directory) }
  await writeFile(join(directory, name), `${JSON.stringify(manifest, undefined, 1)}\n`)
}

/**
 * @param {string} directory
 * @returns {Promise<Manifest | undefined>} nothing where there is none that can be read
 */
export async function readManifest(directory) {
  try {
    const manifest = JSON.parse(await readFile(join(directory, name), 'utf8'))
    return manifest.format === format ? manifest : undefined
  } catch {
    return undefined
  }
}

/**
 * @param {string} directory
 * @param {Manifest} manifest
 * @returns {Promise<boolean>} whether each file is there and has the content it had
 */
export async function isWhole(directory, manifest) {
  const found = await hashes(directory)
  const wanted = Object.entries(manifest.files)
  return (
    wanted.length === Object.keys(found).length &&
    wanted.every(([file, hash]) => found[file] === hash)
  )
}
