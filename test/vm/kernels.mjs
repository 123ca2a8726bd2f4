// @ts-check

/**
 * One line of kernels that the package is tested on.
 *
 * @typedef {object} KernelLine
 * @property {string} name what `--kernel` is given
 * @property {string} suite the Debian suite whose kernel it is
 * @property {boolean} security whether the suite has a security suite beside it
 * @property {(release: string) => string[]} packages the packages that hold the image and the modules of a release
 */

/** @param {string} release */
const wholeImage = (release) => [`linux-image-${release}-unsigned`]

/** @param {string} release */
const inParts = (release) =>
  ['linux-binary-unsigned', 'linux-modules', 'linux-base'].map((part) => `${part}-${release}`)

/**
 * The kernels, oldest first. The name of the last one is what backports had when it was written; it stands for the
 * newest kernel there, whatever its version: `--list` prints that.
 *
 * @type {readonly KernelLine[]}
 */
export const kernels = [
  { name: '6.1', suite: 'bookworm', security: true, packages: wholeImage },
  { name: '6.12', suite: 'trixie', security: true, packages: wholeImage },
  { name: '7.3', suite: 'trixie-backports', security: false, packages: inParts },
]

/**
 * The package whose dependencies name a suite's current kernel release. The cloud flavour: small, and with virtiofs
 * and every IPVS module.
 */
export const metaPackage = 'linux-image-cloud-amd64'

/**
 * @param {string} name
 * @returns {KernelLine}
 */
export function kernelLine(name) {
  const line = kernels.find((kernel) => kernel.name === name)
  if (line === undefined) {
    throw new Error(
      `there is no kernel line ${name}: choose from ${kernels.map((kernel) => kernel.name).join(', ')}`,
    )
  }
  return line
}
