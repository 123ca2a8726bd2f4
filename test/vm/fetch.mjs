// @ts-check
import { mkdir, mkdtemp, readdir, rename, rm, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { aptFor } from './apt.mjs'
import { output, run } from './child.mjs'
import { decompressImage } from './kernel-image.mjs'
import { metaPackage } from './kernels.mjs'
import { writeManifest } from './manifest.mjs'

/** What the initramfs needs to reach the host's files and to lay an overlay over them. */
const earlyModules = ['virtio_pci', 'virtiofs', 'overlay']

/**
 * The release that a suite has now.
 *
 * @param {string} record the meta package's
 */
function newest(record) {
  const [, release, version] =
    /^Depends:.*\blinux-image-(\S+-cloud-amd64) \(= ([^)\s]+)\)/m.exec(record) ?? []
  if (release === undefined || version === undefined) {
    throw new Error(`${metaPackage} does not say which kernel it stands for:\n${record}`)
  }
  return { release, version }
}

/**
 * Brings the image and the module tree of unpacked packages to the same place whichever suite they are from.
 *
 * @param {string} from
 * @param {string} to
 * @param {string} release
 */
async function arrange(from, to, release) {
  const modules = join(to, 'lib', 'modules')
  await mkdir(modules, { recursive: true })
  const found = await readdir(from, { recursive: true })
  const tree = found.find((path) => path.endsWith(`lib/modules/${release}`))
  const image = found.find((path) => /^vmlinuz/.test(basename(path)))
  if (tree === undefined || image === undefined)
    throw new Error(`the packages of ${release} hold no image or no modules`)
  await decompressImage(join(from, image), join(to, 'vmlinux'))
  await rename(join(from, tree), join(modules, release))
  // Whichever of the two places the kmod at hand looks in.
  await symlink('.', join(to, 'usr'))
  await run('depmod', ['-b', to, release])
}

/**
 * Unpacks the modules that the initramfs loads, which insmod there takes only uncompressed.
 *
 * @param {string} directory
 * @param {string} release
 * @returns {Promise<string[]>} the files, relative to the directory
 */
async function unpackEarlyModules(directory, release) {
  const options = [
    '-d',
    directory,
    '-S',
    release,
    '--ignore-install',
    '--show-depends',
    '-a',
    ...earlyModules,
  ]
  const listed = await output('modprobe', options)
  const paths = new Set(listed.split('\n').flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? []))
  await mkdir(join(directory, 'early'))
  const files = []
  for (const path of paths) {
    const file = join('early', basename(path).replace(/\.xz$/, ''))
    const script = path.endsWith('.xz') ? 'xz -dc "$1" > "$2"' : 'cp "$1" "$2"'
    await run('sh', ['-c', script, 'sh', path, join(directory, file)])
    files.push(file)
  }
  return files
}

/**
 * Fetches a line's newest kernel and puts it at `place`. Everything is made beside the place and renamed into it, so
 * that an interrupted run leaves no half kernel there.
 *
 * @param {import('./kernels.mjs').KernelLine} line
 * @param {string} place
 * @param {string | undefined} have the version that is there already and whole
 */
export async function fetchKernel(line, place, have) {
  const work = await mkdtemp(`${place}.new-`)
  try {
    const apt = await aptFor(line, join(work, 'apt'))
    const { release, version } = newest(await apt.show(metaPackage))
    if (version === have) return
    console.error(`vm: fetching kernel ${release}`)
    const packages = join(work, 'packages')
    await mkdir(packages)
    await apt.download(line.packages(release), packages)
    const unpacked = join(work, 'unpacked')
    for (const file of await readdir(packages))
      await run('dpkg-deb', ['-x', join(packages, file), unpacked])
    const ready = join(work, 'ready')
    await arrange(unpacked, ready, release)
    const modules = await unpackEarlyModules(ready, release)
    await writeManifest(ready, { release, version, modules })
    await rm(place, { recursive: true, force: true })
    await rename(ready, place)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
