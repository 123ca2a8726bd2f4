// Every kernel test in one process, because starting node takes a second in an emulated machine.
//
//   node dist-test/kernel/run.js               all of them
//   node dist-test/kernel/run.js NAME...       those whose file names begin with a NAME

import { readdir } from 'node:fs/promises'
import { release } from 'node:os'

import t from 'tap'

import { limit } from '../fixtures/limits.js'

const wanted = process.argv.slice(2).map((name) => name.replace(/^.*\//, ''))
const isWanted = (file: string): boolean =>
  wanted.length === 0 || wanted.some((name) => file.startsWith(name))

const files = (await readdir(import.meta.dirname)).filter((file) => file.endsWith('.test.js'))
const chosen = files.filter(isWanted).sort()
if (chosen.length === 0) throw new Error(`no kernel test is called ${wanted.join(' or ')}`)

t.comment(`kernel ${release()}`)
t.setTimeout(limit(1_800_000))
// A test that hangs is named, and does not take the others' time.
t.on('subtestStart', (test) => test.setTimeout(limit(300_000)))
for (const file of chosen) await import(`./${file}`)
