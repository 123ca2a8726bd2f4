// The addon, built with ASan and UBSan, under the addon tests of this machine and the kernel tests of
// a virtual machine. Takes long, so it is not part of `npm test`.
//
//   npm run test:sanitized -- [--kernel 6.12] [NAME...]
//
// Without --kernel only the tests of this machine; NAMEs choose test files by the start of their
// names. Leaks are looked for in a run of its own (test/soak/leaks.mjs), because the programs that
// the tests start are not ours.

import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { values, positionals } = parseArgs({
  options: { kernel: { type: 'string' } },
  allowPositionals: true,
})

const library = execFileSync('g++', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim()
const sanitized = {
  IPVS_NETLINK_PREBUILD: `${root}/out/sanitized`,
  LD_PRELOAD: library,
  UBSAN_OPTIONS: 'print_stacktrace=1',
  // Property tests take their time under ASan.
  TAP_TIMEOUT: '900',
}
const withoutLeaks = { ...sanitized, ASAN_OPTIONS: 'detect_leaks=0' }
const withLeaks = {
  ...sanitized,
  ASAN_OPTIONS: 'detect_leaks=1',
  // Node forgets a promise of each call of a worker thread that is terminated.
  LSAN_OPTIONS: `suppressions=${root}/test/support/leaks.txt`,
}

const isWanted = (file) =>
  positionals.length === 0 || positionals.some((name) => file.startsWith(name))
// These look at sources, types and the package, and load no addon.
const others = ['package.test.js', 'types.test.js']
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
  const harm = /AddressSanitizer|runtime error|LeakSanitizer/.test(`${stdout}${stderr}`)
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
  process.exit(maps.includes('out/sanitized/build') && maps.includes('libasan') ? 0 : 1)
`
const evaluate = ['--input-type=module', '-e', proof]
check('the sanitized addon is the one that is loaded', process.execPath, evaluate, withoutLeaks)
for (const file of files) check(file, process.execPath, [`dist-test/${file}`], withoutLeaks)
check('leaks', process.execPath, ['test/soak/leaks.mjs'], withLeaks)
if (values.kernel !== undefined) {
  const env = Object.entries(withoutLeaks).map(([name, value]) => `${name}=${value}`)
  const job = ['env', ...env, process.execPath, 'dist-test/kernel/run.js', ...positionals]
  const vm = ['test/vm/run.mjs', '--kernel', values.kernel, '--timeout', '1800', '--', ...job]
  check(`kernel ${values.kernel}`, process.execPath, vm, {})
}
const bad = results.filter((good) => !good).length
console.log(`${results.length} runs under ASan and UBSan, ${bad} failed`)
process.exit(bad === 0 ? 0 : 1)
