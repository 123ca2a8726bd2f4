// The unit and addon tests on other versions of Node, with the one addon that is built here: N-API
// promises that it runs on all of them. The runtimes come from npm, into out/node.
//
//   npm run test:matrix -- [VERSION...]     20, 22, 24 and latest when none is named

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { arch } from 'node:process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const runtime = `node-linux-${arch}`

const run = (command, args, options = {}) =>
  spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options })

const fetchNode = (version) => {
  const folder = `${root}/out/node/${version}`
  mkdirSync(folder, { recursive: true })
  writeFileSync(`${folder}/package.json`, '{ "private": true }\n')
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--silent', '--prefix', folder]
  run('npm', ['install', ...options, `${runtime}@${version}`])
  const node = `${folder}/node_modules/${runtime}/bin/node`
  if (existsSync(node)) return node
  console.error(`node ${version} could not be installed`)
  process.exit(1)
}

// What needs a virtual machine, or npm's own behaviour, says nothing about the runtime.
const excluded = [
  'dist-test/kernel/**',
  'dist-test/all-kernels.test.js',
  'dist-test/package.test.js',
]

const chosen = process.argv.slice(2)
const results = (chosen.length > 0 ? chosen : ['20', '22', '24', 'latest']).map((version) => {
  const node = fetchNode(version)
  const exact = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()
  console.log(`\n== node ${exact}`)
  const exclude = excluded.map((pattern) => `--exclude=${pattern}`)
  const { status } = run(node, ['node_modules/.bin/tap', '--disable-coverage', ...exclude])
  return { exact, status }
})

console.log()
for (const { exact, status } of results)
  console.log(`${exact}: ${status === 0 ? 'passed' : 'FAILED'}`)
process.exit(results.every(({ status }) => status === 0) ? 0 : 1)
