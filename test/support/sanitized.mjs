// The addon, built with sanitizers (ASan and UBSan), under the addon tests of this machine and the kernel tests of
// a virtual machine. Takes long, so it is not part of `npm test`.
//
//   npm run test:sanitized -- [--kernel 6.12] [NAME...]
//
// Without --kernel only the tests of this machine; NAMEs choose test files by the start of their
// names. Leaks are looked for in a run of its own (test/soak/leaks.mjs), because the programs that
// the tests start are not ours. Then the same under TSan, for what threads share.

import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values, positionals } = parseArgs({
  options: { kernel: { type: 'string' } },
  allowPositionals: true,
})

const library = (name) =>
  execFileSync('g++', [`-print-file-name=${name}`], { encoding: 'utf8' }).trim()
const sanitized = {
  IPVS_NETLINK_PREBUILD: `${root}/out/sanitized`,
  LD_PRELOAD: library('libasan.so'),
  UBSAN_OPTIONS: 'print_stacktrace=1',
  // Every test's own limit, ten times longer, and tap's for those without one.
  IPVS_NETLINK_SLOWER: '10',
  TAP_TIMEOUT: '900',
}
// An exit code that no test expects. What was freed is kept for 16 MiB, so that memory can be looked at.
const withoutLeaks = {
  ...sanitized,
  ASAN_OPTIONS: 'detect_leaks=0:exitcode=99:quarantine_size_mb=16',
}
const withLeaks = {
  ...sanitized,
  ASAN_OPTIONS: 'detect_leaks=1',
  LSAN_OPTIONS: `suppressions=${root}/test/support/leaks.txt`,
}
const withThreads = {
  IPVS_NETLINK_PREBUILD: `${root}/out/threads`,
  LD_PRELOAD: library('libtsan.so'),
  // V8's own platform, which is not built for it.
  TSAN_OPTIONS: `suppressions=${root}/test/support/races.txt`,
}

const isWanted = (file) =>
  positionals.length === 0 || positionals.some((name) => file.startsWith(name))
// These look at sources, types and the package, and load no addon; the last starts virtual machines.
const others = ['package.test.js', 'types.test.js', 'all-kernels.test.js']
const files = readdirSync(`${root}/dist-test`).filter(
  (file) => file.endsWith('.test.js') && !others.includes(file) && isWanted(file),
)

const results = []
const check = (name, command, args, env) => {
  const started = performance.now()
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  })
  const harm = /(Address|Leak|Thread)Sanitizer|runtime error/.test(`${stdout}${stderr}`)
  const tests = /# \{[^}]*total: (\d+)/.exec(stdout)?.[1] ?? ''
  const good = status === 0 && !harm
  const seconds = Math.round((performance.now() - started) / 100) / 10
  console.log(`${good ? 'ok    ' : 'FAILED'} ${name} ${tests} (${seconds} s)`)
  if (!good) console.log(`${stdout.slice(-4000)}\n${stderr.slice(-8000)}`)
  results.push(good)
}

// Otherwise all of it would pass with the ordinary build.
const proof = `
  import { readFileSync } from 'node:fs'
  import { ipvs } from 'ipvs-netlink'
  await ipvs.info().catch(() => {})
  const maps = readFileSync('/proc/self/maps', 'utf8')
  const [build, library] = process.argv.slice(-2)
  process.exit(maps.includes(build) && maps.includes(library) ? 0 : 1)
`
const prove = (build, name, env) => {
  const args = ['--input-type=module', '-e', proof, `out/${build}/build`, name]
  check(`the addon of out/${build} is the one that is loaded`, process.execPath, args, env)
}
prove('sanitized', 'libasan', withoutLeaks)
for (const file of files) check(file, process.execPath, [`dist-test/${file}`], withoutLeaks)
check('leaks', process.execPath, ['test/soak/leaks.mjs'], withLeaks)
prove('threads', 'libtsan', withThreads)
check('threads of the addon', process.execPath, ['test/soak/leaks.mjs'], withThreads)
const programs = readdirSync(`${root}/test/native`)
  .filter((file) => /^concurrency_test|_faults_test/.test(file))
  .map((file) => file.replace('.cc', ''))
for (const program of programs) {
  check(`threads: ${program}`, `out/threads/build/${program}`, [], {})
}
if (values.kernel !== undefined) {
  const env = Object.entries(withoutLeaks).map(([name, value]) => `${name}=${value}`)
  const vm = [
    'test/vm/run.mjs',
    '--kernel',
    values.kernel,
    '--timeout',
    '3600',
    '--',
    'env',
    ...env,
  ]
  const checkThere = (name, ...args) =>
    check(
      `kernel ${values.kernel}: ${name}`,
      process.execPath,
      [...vm, process.execPath, ...args],
      {},
    )
  const here = ['--import', './test/support/sanitized-here.mjs']
  checkThere('tests', ...here, 'dist-test/kernel/run.js', ...positionals)
  // What those start is ordinary, so these once more.
  const load = [
    '--changes',
    '2000',
    '--seconds',
    '60',
    '--handles',
    '2',
    '--workers',
    '1',
    '--size',
    '64',
  ]
  checkThere('load', 'test/soak/load.mjs', ...load)
  const lifecycle = ['--opens', '20', '--calls', '200', '--batches', '3', '--workers', '5']
  checkThere('lifecycle', 'test/soak/lifecycle.mjs', ...lifecycle)
}
const bad = results.filter((good) => !good).length
console.log(`${results.length} runs under sanitizers, ${bad} failed`)
process.exit(bad === 0 ? 0 : 1)
