// What npm would publish, seen by someone who installs it: packed from a clean
// copy of the sources, because `npm pack` rebuilds dist, which the other tests
// are reading at the same time.

import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const root = fileURLToPath(new URL('..', import.meta.url))

const sources = [
  'CHANGELOG.md',
  'CMakeLists.txt',
  'LICENSE',
  'README.md',
  'binding.gyp',
  'lib',
  'native',
  'package.json',
  'tsconfig.build.json',
  'tsconfig.json',
  'types',
]

const binary = (arch: string): string => `prebuilds/linux-${arch}/ipvs-netlink.glibc.node`

/** Every file that the tarball has, by what lies in the sources. */
async function listShipped(): Promise<string[]> {
  const under = async (folder: string, pattern: RegExp): Promise<string[]> =>
    (await readdir(join(root, folder), { recursive: true }))
      .filter((name) => pattern.test(name))
      .map((name) => `${folder}/${name}`)
  const compiled = (await under('lib', /\.ts$/)).flatMap((path) => {
    const name = path.replace(/^lib\//, 'dist/').replace(/\.ts$/, '')
    return [`${name}.js`, `${name}.d.ts`]
  })
  return [
    ...['CHANGELOG.md', 'LICENSE', 'README.md', 'binding.gyp', 'package.json'],
    ...compiled,
    'dist/schema.json',
    ...(await under('types', /\.d\.ts$/)),
    ...(await under('native', /\.(cc|h)$/)),
    binary('x64'),
  ].sort()
}

const consumer = `
import { IpvsError, host, ipvs, openHost, openIpvs } from 'ipvs-netlink'
import type { Ipvs } from 'ipvs-netlink'

export const mine: Ipvs = ipvs
export const opened: Promise<Ipvs> = openIpvs({ timeout: 1000 })
export const both = [host, openHost]
export const code = (e: unknown): string => (IpvsError.is(e) ? e.code : '')
// @ts-expect-error: a weight is a number
void ipvs.addDestination({ fwmark: 1 }, { address: '10.0.0.1', weight: 'heavy' })
`

interface PackResult {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

const execute = promisify(execFile)

/** Answers stdout; a failure carries the output, so that the test shows it. */
async function run(cwd: string, command: string, ...args: string[]): Promise<string> {
  try {
    const { stdout } = await execute(command, args, { cwd, maxBuffer: 2 ** 26 })
    return stdout
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`, { cause: error })
  }
}

const tool = (name: string): string => join(root, 'node_modules', '.bin', name)

async function pack(folder: string): Promise<PackResult> {
  await mkdir(folder)
  for (const name of sources) await cp(join(root, name), join(folder, name), { recursive: true })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  const [packed] = JSON.parse(await run(folder, 'npm', 'pack', '--json')) as [PackResult]
  return packed
}

async function createConsumer(folder: string, tarball: string): Promise<void> {
  await mkdir(folder)
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true }))
  // No scripts: the binary in the tarball has to do.
  await run(folder, 'npm', 'install', '--prefer-offline', '--ignore-scripts', tarball)
}

// Compiling for two architectures beside busy virtual machines takes its time.
t.setTimeout(1_800_000)

const work = await mkdtemp(join(tmpdir(), 'ipvs-netlink-package-'))
t.teardown(async () => rm(work, { recursive: true, force: true }))

const packed = await pack(join(work, 'package'))
const tarball = join(work, 'package', packed.filename)
const project = join(work, 'consumer')
await createConsumer(project, tarball)

t.test('the tarball contains what it should and nothing else', async (t) => {
  // The other architecture's binary is there where its compiler is.
  const paths = packed.files.map(({ path }) => path).filter((path) => path !== binary('arm64'))
  t.same(paths.sort(), await listShipped())
})

t.test('nothing of it runs a program or evaluates text', async (t) => {
  const paths = packed.files.map(({ path }) => path)
  const textOf = async (path: string): Promise<string> =>
    readFile(join(project, 'node_modules', 'ipvs-netlink', path), 'utf8')
  const scripts = paths.filter((path) => path.endsWith('.js'))
  for (const path of scripts) {
    const text = await textOf(path)
    t.notMatch(
      text,
      /child_process|\beval\(|\bFunction\(|['"](node:)?vm['"]|process\.binding/,
      path,
    )
    t.notMatch(text, /\bimport\((?!\s*'[^']*'\s*\))/, `${path} names what it imports`)
    // The addon, and a peer that need not be there.
    const loads = ['dist/native.js', 'dist/prom-client.js'].includes(path)
    if (!loads) t.notMatch(text, /createRequire|\brequire\(|dlopen/, path)
  }
  t.ok(scripts.length > 10)
  const sources = paths.filter((path) => /^native\/.*\.(cc|h)$/.test(path))
  for (const path of sources) {
    t.notMatch(
      await textOf(path),
      /\b(system|popen|v?fork|posix_spawnp?|f?exec[lv]\w*|dlm?open)\s*\(/,
      path,
    )
  }
  t.ok(sources.length > 10)
})

t.test('the source build finds every file that binding.gyp names', async (t) => {
  const paths = packed.files.map(({ path }) => path)
  const gyp = JSON.parse(await readFile(join(root, 'binding.gyp'), 'utf8')) as {
    targets: [{ sources: string[] }]
  }
  t.same(
    gyp.targets[0].sources.filter((path) => !paths.includes(path)),
    [],
  )
})

t.test('an ES module imports it', async (t) => {
  const script = `import { ipvs } from 'ipvs-netlink'; console.log(typeof ipvs.snapshot)`
  const printed = await run(project, process.execPath, '--input-type=module', '-e', script)
  t.equal(printed, 'function\n')
})

t.test('a CommonJS module requires it', async (t) => {
  const script = `const { ipvs } = require('ipvs-netlink'); console.log(typeof ipvs.snapshot)`
  t.equal(await run(project, process.execPath, '-e', script), 'function\n')
})

t.test('the other entries are imported and required', async (t) => {
  const print = 'console.log(typeof createFakeIpvs().snapshot)'
  const script = `import { createFakeIpvs } from 'ipvs-netlink/testing'; ${print}`
  t.equal(await run(project, process.execPath, '--input-type=module', '-e', script), 'function\n')
  const required = `const { createFakeIpvs } = require('ipvs-netlink/testing'); ${print}`
  t.equal(await run(project, process.execPath, '-e', required), 'function\n')
  // The consumer has no prom-client.
  const metrics = `import('ipvs-netlink/prometheus').catch((error) => console.log(error.message))`
  t.match(await run(project, process.execPath, '-e', metrics), /npm install prom-client/)
})

t.test('its binary is found and loads', async (t) => {
  const script = `require('node-gyp-build')(require('node:path').resolve('node_modules/ipvs-netlink'))`
  await t.resolves(run(project, process.execPath, '-e', script))
})

t.test('its types compile in .mts and .cts files', async (t) => {
  await writeFile(join(project, 'module.mts'), consumer)
  await writeFile(join(project, 'common.cts'), consumer)
  const options = ['--noEmit', '--strict', '--target', 'es2023', '--module', 'nodenext']
  const types = ['--typeRoots', join(root, 'node_modules', '@types'), '--types', 'node']
  const compile = run(project, tool('tsc'), ...options, ...types, 'module.mts', 'common.cts')
  await t.resolves(compile)
})

t.test('publint has nothing to say', async (t) => {
  await t.resolves(run(work, tool('publint'), tarball, '--strict'))
})

t.test('every way of importing its types resolves', async (t) => {
  await t.resolves(run(work, tool('attw'), tarball, '--profile', 'esm-only'))
})
