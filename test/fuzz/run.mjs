// Lets libFuzzer loose on the readers.
//
//   npm run fuzz -- TARGET SECONDS [--keep]     TARGET is one of those below, or all (SECONDS each)
//
// --keep writes the smallest set of inputs that reaches everything that was reached into
// test/fuzz/corpus, which `npm run test:native` replays. An input that crashes is printed; put it
// there as well, as the test of its mending.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { needFile, needTool } from '../support/tools.mjs'
import { corpusFile, seedsOf, targets } from './seeds.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const out = 'out/fuzz'
const longest = 16384
/** Of a kept input, in bytes: what is longer is found again from the captures. */
const longestKept = 1200

const run = (command, ...args) => spawnSync(command, args, { cwd: root, stdio: 'inherit' }).status

const fail = (message) => {
  console.error(message)
  process.exit(1)
}

const build = () => {
  needTool('cmake')
  const clang = needTool('clang++-14', 'clang-14')
  needFile(
    '/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a',
    'libclang-rt-14-dev',
  )
  const options = [
    `-DCMAKE_CXX_COMPILER=${clang}`,
    '-DCMAKE_BUILD_TYPE=RelWithDebInfo',
    '-DSANITIZE=address,undefined',
    '-DFUZZ=ON',
  ]
  const configured = run('cmake', '-S', '.', '-B', out, '--log-level=ERROR', ...options)
  if (configured !== 0) fail('cmake could not configure the fuzzers')
  if (run('cmake', '--build', out, '--', '-s') !== 0) fail('the fuzzers do not compile')
}

const put = (folder, inputs) => {
  mkdirSync(`${root}/${folder}`, { recursive: true })
  for (const input of inputs) {
    const name = createHash('sha1').update(input).digest('hex')
    writeFileSync(`${root}/${folder}/${name}`, input)
  }
}

const read = (folder, wanted = () => true) =>
  readdirSync(`${root}/${folder}`)
    .filter(wanted)
    .map((name) => readFileSync(`${root}/${folder}/${name}`))

const keep = (target, folder) => {
  const kept = `${folder}/kept`
  rmSync(`${root}/${kept}`, { recursive: true, force: true })
  mkdirSync(`${root}/${kept}`)
  const merge = ['-merge=1', `-max_len=${longestKept}`, '-verbosity=0']
  if (run(`${out}/${target}_fuzz`, ...merge, kept, `${folder}/found`, `${folder}/seeds`) !== 0) {
    fail(`${target}: the inputs could not be merged`)
  }
  const lines = read(kept).map((input) => input.toString('hex'))
  writeFileSync(corpusFile(target), `${lines.sort().join('\n')}\n`)
  console.log(`${target}: ${lines.length} inputs kept`)
}

const fuzz = (target, seconds) => {
  const folder = `${out}/${target}`
  put(`${folder}/seeds`, seedsOf(target))
  put(`${folder}/found`, [])
  const status = run(
    `${out}/${target}_fuzz`,
    `-max_total_time=${seconds}`,
    `-max_len=${longest}`,
    '-timeout=20',
    '-rss_limit_mb=2048',
    '-print_final_stats=1',
    '-verbosity=0',
    `-artifact_prefix=${folder}/`,
    `${folder}/found`,
    `${folder}/seeds`,
  )
  if (status !== 0) {
    for (const input of read(folder, (name) => /^(crash|oom|timeout|leak)-/.test(name))) {
      console.error(`${target}: ${input.toString('hex')}`)
    }
    fail(`${target}: an input does harm`)
  }
  return folder
}

const [wanted, seconds] = process.argv.slice(2)
const chosen = wanted === 'all' ? targets : targets.filter((target) => target === wanted)
if (chosen.length === 0 || !(Number(seconds) > 0)) {
  fail(`usage: npm run fuzz -- ${targets.join('|')}|all SECONDS [--keep]`)
}
build()
for (const target of chosen) {
  const folder = fuzz(target, Number(seconds))
  if (process.argv.includes('--keep')) keep(target, folder)
}
