// Every kernel test in one process, because starting node takes a second in an emulated machine.
//
//   node dist-test/kernel/run.js               those that every run of the tests has
//   node dist-test/kernel/run.js NAME...       those whose file names begin with a NAME
//   node dist-test/kernel/run.js --apart       those that take too long for every run

import { readdir } from 'node:fs/promises'
import { release } from 'node:os'

import t from 'tap'

/** Minutes in an emulated machine, and not yet seen on each kernel: `npm run test:apart`. */
const apart = [
  'desired',
  'diagnosis',
  'drain',
  'example',
  'fake',
  'kill',
  'link',
  'profile',
  'reliability',
  'rules',
  'settings',
  'speed',
  'watch',
]

const suffix = '.test.js'
const wanted = process.argv.slice(2).map((name) => name.replace(/^.*\//, ''))
const isWanted = (file: string): boolean => {
  const isApart = apart.includes(file.slice(0, -suffix.length))
  if (wanted.length === 0) return !isApart
  return wanted.some((name) => (name === '--apart' ? isApart : file.startsWith(name)))
}

const files = (await readdir(import.meta.dirname)).filter((file) => file.endsWith(suffix))
const chosen = files.filter(isWanted).sort()
if (chosen.length === 0) throw new Error(`no kernel test is called ${wanted.join(' or ')}`)

t.comment(`kernel ${release()}`)
t.setTimeout(1_800_000)
for (const file of chosen) await import(`./${file}`)
