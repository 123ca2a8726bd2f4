// Tap's reporter for this package: a line per file, every failure in full, then
// each failure once more in brief, for whoever sees the end only, a line per
// kernel on which tests ran (they say `# kernel RELEASE`), and as the last line `N passed, N failed, N skipped`, which CI reads.
//
// What is counted are tests, not assertions: a test is a block that contains
// assertions only. A block of further tests counts only when it fails by itself
// (a plan that was not met, a time-out, an exception between two tests).

import { Transform } from 'node:stream'
import { inspect } from 'node:util'
import { Parser } from 'tap-parser'

const newBlock = () => ({
  passed: 0,
  failed: 0,
  skipped: 0,
  hasTests: false,
  hasFailedAssertion: false,
})

const summary = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

const indent = (text, by = '    ') => text.replace(/^(?=.)/gm, by)

// The parts that tap lays out over several lines are printed as they are,
// the rest as a JavaScript value.
const explain = (diag) => {
  const { diff, source, stack, at, ...rest } = diag ?? {}
  const parts = []
  if (at?.fileName !== undefined) parts.push(`at ${at.fileName}:${at.lineNumber}`)
  if (typeof source === 'string') parts.push(source.trimEnd())
  if (typeof diff === 'string') parts.push(diff.trimEnd())
  if (Object.keys(rest).length > 0) parts.push(inspect(rest, { depth: 8 }))
  if (typeof stack === 'string') parts.push(stack.trimEnd())
  return parts.join('\n')
}

// Extending a bare Writable is not enough: tap pipes its reporter on to stdout.
export default class Reporter extends Transform {
  #parser = new Parser()
  #total = newBlock()
  #kernels = []
  #failures = []

  constructor() {
    super({ decodeStrings: false })
    this.#follow(this.#parser, [], this.#total)
    this.#parser.on('bailout', (reason) => {
      this.#total.failed += 1
      this.#print(`Bail out! ${reason}`)
    })
  }

  _transform(chunk, _encoding, done) {
    this.#parser.write(chunk)
    done()
  }

  _flush(done) {
    this.#parser.end()
    // What fails outside of any file counts once, unless a file told of it.
    if (this.#total.hasFailedAssertion && this.#total.failed === 0) this.#total.failed = 1
    for (const failure of this.#failures.slice(0, 20)) this.#print(failure)
    for (const { kernel, block } of this.#kernels) {
      this.#print(`kernel ${kernel}: ${summary(block)}`)
    }
    if (this.#kernels.length === 0) this.#print('no kernel tests ran')
    this.#print(summary(this.#total))
    done()
  }

  #print(text) {
    this.push(`${text}\n`)
  }

  /**
   * Adds up in `parent` what `parser` reports. A block's own result follows in
   * its parent after the block has ended.
   */
  #follow(parser, path, parent) {
    let ended
    parser.on('child', (child) => {
      parent.hasTests = true
      ended = { ...newBlock(), name: child.name }
      this.#follow(child, [...path, child.name], ended)
    })
    parser.on('assert', (result) => {
      const block = ended
      ended = undefined
      if (block === undefined || block.name === result.name) {
        this.#settle(result, block, path, parent)
      } else {
        // After a time-out tap reports it again under the number of a block
        // that follows, whose own result then never comes.
        this.#settle({ name: block.name, ok: block.failed === 0 }, block, path, parent)
        this.#settle(result, undefined, path, parent)
      }
    })
    parser.on('comment', (text) => {
      const kernel = /^# kernel (\S+)/.exec(text)?.[1]
      if (kernel !== undefined) this.#kernels.push({ kernel, block: parent })
    })
    parser.on('extra', (text) => {
      if (text.trim() !== '') this.#print(text.trimEnd())
    })
  }

  #settle(result, block, parentPath, parent) {
    const path = [...parentPath, result.name]
    if (result.skip || result.todo) this.#skipped(result, path, parent)
    else if (block !== undefined) this.#blockEnded(result, block, path, parent)
    else if (!result.ok) this.#assertionFailed(result, path, parent)
    if (path.length === 1 && block !== undefined) this.#fileEnded(result, block)
  }

  // A test that is skipped as a whole has no block, only a result.
  #skipped(result, path, parent) {
    parent.hasTests = true
    parent.skipped += 1
    this.#print(`skipped: ${path.join(' > ')}: ${result.skip || result.todo}`)
  }

  #assertionFailed(result, path, parent) {
    parent.hasFailedAssertion = true
    this.#tell(result, path)
  }

  #blockEnded(result, block, path, parent) {
    if (!result.ok && block.failed === 0) {
      if (!block.hasFailedAssertion) this.#tell(result, path)
      block.failed = 1
    } else if (result.ok && !block.hasTests) {
      block.passed = 1
    }
    parent.passed += block.passed
    parent.failed += block.failed
    parent.skipped += block.skipped
  }

  #fileEnded(result, block) {
    const seconds = ((result.time ?? 0) / 1000).toFixed(1)
    const verdict = result.ok ? 'ok    ' : 'FAILED'
    this.#print(`${verdict} ${result.name} (${summary(block)}, ${seconds} s)`)
  }

  #tell(result, path) {
    const why = explain(result.diag)
    const title = `failed: ${path.join(' > ')}`
    this.#print(`\n${title}${why === '' ? '' : `\n${indent(why)}`}\n`)
    const brief = why.split('\n').slice(0, 12).join('\n')
    this.#failures.push(brief === '' ? title : `${title}\n${indent(brief)}`)
  }
}
