// @ts-check
import { spawn } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { ended } from './child.mjs'

/** How a kernel can be compressed, by the first bytes of the compressed part. */
const decompressors = new Map([
  ['28b52ffd', 'zstd'],
  ['fd377a58', 'xz'],
  ['02214c18', 'lz4'],
])

/**
 * Where the compressed kernel is in a bzImage, by the fields of the x86 boot protocol.
 *
 * @param {Buffer} image
 */
function payload(image) {
  const sector = 512
  const setupSectors = image.readUInt8(0x1f1) || 4
  const start = (setupSectors + 1) * sector + image.readUInt32LE(0x248)
  // The last four bytes are the length of the uncompressed kernel.
  return image.subarray(start, start + image.readUInt32LE(0x24c) - 4)
}

/**
 * Decompresses a kernel image. QEMU starts the uncompressed kernel just as well, by its PVH entry, and in an emulated
 * machine decompressing takes up to a third of the time to boot.
 *
 * @param {string} from a bzImage
 * @param {string} to
 */
export async function decompressImage(from, to) {
  const compressed = payload(await readFile(from))
  const program = decompressors.get(compressed.subarray(0, 4).toString('hex'))
  if (program === undefined)
    throw new Error(`${from} is compressed in a way that is not known here`)
  const child = spawn(program, ['-dc'], { stdio: ['pipe', 'pipe', 'inherit'] })
  /** @type {Buffer[]} */
  const chunks = []
  child.stdout.on('data', (chunk) => chunks.push(chunk))
  child.stdin.end(compressed)
  const { code } = await ended(child)
  if (code !== 0) throw new Error(`${program} could not decompress ${from}`)
  await writeFile(to, Buffer.concat(chunks))
}
