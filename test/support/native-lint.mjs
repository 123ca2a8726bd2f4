// Formatting and static analysis of the C++ sources.
//
//   node test/support/native-lint.mjs format         does clang-format agree?
//   node test/support/native-lint.mjs format --fix   let it rewrite the files
//   node test/support/native-lint.mjs tidy           clang-tidy, warnings are errors
//
// One version of the tools, because the next one formats and warns differently:
// the one that Debian 12 calls its default. A missing tool is installed when
// that is possible, and is an error when it is not; it never skips the check.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'

import { needTool } from './tools.mjs'

const version = 14
const root = fileURLToPath(new URL('../..', import.meta.url))

const fail = (message) => {
  console.error(message)
  process.exit(1)
}

const sourcesIn = (folder) =>
  existsSync(`${root}/${folder}`)
    ? readdirSync(`${root}/${folder}`, { recursive: true })
        .filter((name) => /\.(cc|h)$/.test(name))
        .map((name) => `${folder}/${name}`)
    : []

const format = (args) => {
  const files = ['native', 'test/native', 'test/fuzz'].flatMap(sourcesIn)
  const mode = args.includes('--fix') ? ['-i'] : ['--dry-run', '--Werror']
  if (files.length === 0) fail('no C++ sources found')
  const { status } = spawnSync(needTool(`clang-format-${version}`), [...mode, ...files], {
    cwd: root,
    stdio: 'inherit',
  })
  process.exit(status ?? 1)
}

// clang-tidy wants each file's command line, which cmake-js writes down.
const compiledFiles = (out) => {
  execFileSync(
    'npx',
    ['--no', 'cmake-js', 'configure', '--out', out, '--CDBUILD_TESTING=ON', '--silent'],
    { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const commands = JSON.parse(readFileSync(`${root}/${out}/compile_commands.json`, 'utf8'))
  const files = commands.map(({ file }) => file).filter((file) => !file.includes('/node_modules/'))
  return [...new Set(files)]
}

const tidyOne = (tool, out, file) =>
  new Promise((resolve) => {
    const child = spawn(tool, ['-p', out, '--quiet', file], { cwd: root })
    const output = []
    child.stdout.on('data', (chunk) => output.push(chunk))
    // On stderr clang-tidy only counts the warnings that it does not show,
    // unless it could not compile the file: then its stdout says so too.
    child.stderr.resume()
    child.on('close', (status) => {
      if (status !== 0) process.stdout.write(Buffer.concat(output))
      resolve(status === 0)
    })
  })

const tidy = async () => {
  const tool = needTool(`clang-tidy-${version}`)
  needTool('cmake')
  const out = 'out/tidy'
  const waiting = compiledFiles(out)
  const results = []
  const work = async () => {
    for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
      results.push(await tidyOne(tool, out, file))
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  const bad = results.filter((ok) => !ok).length
  console.log(`clang-tidy: ${results.length} files, ${bad} with warnings`)
  process.exit(bad === 0 ? 0 : 1)
}

const [task, ...args] = process.argv.slice(2)
if (task === 'format') format(args)
else if (task === 'tidy') await tidy()
else fail('usage: native-lint.mjs format [--fix] | tidy')
