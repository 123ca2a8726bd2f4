// Builds what the package ships: one stripped binary per architecture, under
// the names by which node-gyp-build finds them.
//
// x64 is always built, on x64; arm64 when Debian's cross compiler
// (g++-aarch64-linux-gnu) is there, and required with --all. musl systems
// compile from source.

import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

// Debian 10, Ubuntu 20.04 and RHEL 8 have this; Node 20 itself asks for it.
const newestGlibc = [2, 28]

const targets = [
  { arch: 'x64', tools: 'x86_64-linux-gnu-' },
  { arch: 'arm64', tools: 'aarch64-linux-gnu-' },
]

const run = (command, ...args) =>
  execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

const hasCompiler = ({ tools }) =>
  spawnSync(`${tools}g++`, ['--version'], { stdio: 'ignore' }).status === 0

const checkGlibc = (file, { tools }) => {
  const wanted = run(`${tools}readelf`, '--version-info', '--wide', file).matchAll(
    /GLIBC_(\d+)\.(\d+)/g,
  )
  for (const [symbol, major, minor] of wanted) {
    const isNewer = Number(major) > newestGlibc[0] || Number(minor) > newestGlibc[1]
    if (isNewer) throw new Error(`${file} needs ${symbol}, newer than ${newestGlibc.join('.')}`)
  }
}

const build = (target) => {
  const { arch, tools } = target
  const out = `out/prebuild-${arch}`
  const folder = `prebuilds/linux-${arch}`
  const file = `${folder}/ipvs-netlink.glibc.node`
  // cmake-js configures a folder only once; a release starts from none.
  rmSync(`${root}/${out}`, { recursive: true, force: true })
  const compilers = ['--cc', `${tools}gcc`, '--cxx', `${tools}g++`]
  run('npx', '--no', 'cmake-js', 'compile', '--out', out, '--arch', arch, ...compilers)
  mkdirSync(`${root}/${folder}`, { recursive: true })
  copyFileSync(`${root}/${out}/Release/ipvs_netlink.node`, `${root}/${file}`)
  run(`${tools}strip`, '--strip-unneeded', file)
  checkGlibc(file, target)
  console.error(`built ${file}`)
}

rmSync(`${root}/prebuilds`, { recursive: true, force: true })
for (const target of targets) {
  if (hasCompiler(target)) build(target)
  else if (target.arch === 'x64' || process.argv.includes('--all')) {
    throw new Error(`${target.tools}g++ is missing, which ${target.arch} needs`)
  }
}
