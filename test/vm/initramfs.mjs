// @ts-check
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { guestDir } from './paths.mjs'
import { quote } from './quote.mjs'

const regularFile = 0o100755
const directory = 0o040755
const symbolicLink = 0o120777

/** The busybox commands that `guest/init` uses. */
const applets = ['sh', 'mount', 'mkdir', 'ln', 'insmod', 'sleep', 'switch_root']

/**
 * One member of a cpio archive in the `newc` format, which the kernel unpacks by itself.
 *
 * @param {string} name
 * @param {number} mode
 * @param {Buffer} [content]
 */
function member(name, mode, content = Buffer.alloc(0)) {
  const inode = 0
  const fields = [inode, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0]
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`
  return Buffer.concat([padded(Buffer.from(header, 'latin1')), padded(content)])
}

/** @param {Buffer} bytes */
const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)])

/**
 * The file system that the kernel starts from: busybox, `guest/init`, the modules that it needs and its configuration.
 *
 * @param {readonly string[]} modules in the order they are loaded
 * @param {Readonly<Record<string, string>>} config variables for `guest/init`
 * @returns {Promise<Buffer>}
 */
export async function initramfs(modules, config) {
  const settings = Object.entries(config).map(([name, value]) => `${name}=${quote(value)}\n`)
  const loaded = modules.map(async (path, index) => {
    const order = String(index).padStart(2, '0')
    return member(`modules/${order}-${basename(path)}`, regularFile, await readFile(path))
  })
  return Buffer.concat([
    ...['bin', 'proc', 'modules'].map((name) => member(name, directory)),
    member('bin/busybox', regularFile, await readFile('/bin/busybox')),
    ...applets.map((applet) => member(`bin/${applet}`, symbolicLink, Buffer.from('busybox'))),
    member('init', regularFile, await readFile(join(guestDir, 'init'))),
    member('config', regularFile, Buffer.from(settings.join(''))),
    ...(await Promise.all(loaded)),
    member('TRAILER!!!', 0),
  ])
}
