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

// What Node 20's own binaries ask for, so that RHEL 8 and Ubuntu 20.04 will do.
const newest = { GLIBC: [2, 28, 0], GLIBCXX: [3, 4, 25] }

const targets = [
  { arch: 'x64', tools: 'x86_64-linux-gnu-' },
  { arch: 'arm64', tools: 'aarch64-linux-gnu-' },
]

const run = (command, ...args) =>
  execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })

const hasCompiler = ({ tools }) =>
  spawnSync(`${tools}g++`, ['--version'], { stdio: 'ignore' }).status === 0

const isNewer = (version, limit) => {
  const at = limit.findIndex((number, index) => number !== (version[index] ?? 0))
  return at !== -1 && (version[at] ?? 0) > limit[at]
}

const checkSymbols = (file, { tools }) => {
  const info = run(`${tools}readelf`, '--version-info', '--wide', file)
  for (const [symbol, library, version] of info.matchAll(/\b(GLIBC|GLIBCXX)_([\d.]+)/g)) {
    if (isNewer(version.split('.').map(Number), newest[library])) {
      throw new Error(`${file} needs ${symbol}, newer than ${newest[library].join('.')}`)
    }
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
  run(
    'npx',
    '--no',
    'cmake-js',
    'compile',
    '--out',
    out,
    '--arch',
    arch,
    '--CDPORTABLE=ON',
    ...compilers,
  )
  mkdirSync(`${root}/${folder}`, { recursive: true })
  copyFileSync(`${root}/${out}/Release/ipvs_netlink.node`, `${root}/${file}`)
  run(`${tools}strip`, '--strip-unneeded', file)
  checkSymbols(file, target)
  console.error(`built ${file}`)
}

rmSync(`${root}/prebuilds`, { recursive: true, force: true })
for (const target of targets) {
  if (hasCompiler(target)) build(target)
  else if (target.arch === 'x64' || process.argv.includes('--all')) {
    throw new Error(`${target.tools}g++ is missing, which ${target.arch} needs`)
  }
}
