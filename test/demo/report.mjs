// @ts-check
import { styleText } from 'node:util'
import { tableLines } from './table.mjs'

/** @typedef {Parameters<typeof styleText>[0]} Style */
/**
 * @typedef {(number | undefined)[]} Answers the real servers that answered; undefined: none
 */

/**
 * @typedef {object} Check
 * @property {string} chapter
 * @property {string} what
 * @property {boolean} holds
 * @property {string} found
 */

/** Tells a person what happens, and remembers what was checked. */
export class Report {
  /** @type {Check[]} */
  checks = []
  #chapter = ''

  /** @param {{ write: (text: string) => unknown, color?: boolean }} options */
  constructor({ write, color = false }) {
    this.write = write
    this.color = color
  }

  /** @param {Style} style @param {string} text */
  style(style, text) {
    return this.color ? styleText(style, text) : text
  }

  /** @param {string} [text] */
  line(text = '') {
    this.write(text === '' ? '\n' : `  ${text}\n`)
  }

  /** @param {string} name @param {string} summary @param {readonly string[]} lines */
  chapter(name, summary, lines) {
    this.#chapter = name
    const title = `━━ ${name}: ${summary} `
    this.write(`\n${this.style('bold', title.padEnd(90, '━'))}\n\n`)
    for (const line of lines) this.line(line)
  }

  /** @param {string} title */
  step(title) {
    this.write(`\n${this.style('bold', `▸ ${title}`)}\n`)
  }

  /**
   * A call of the library as it is made.
   *
   * @param {string} where
   * @param {string} code
   */
  call(where, code) {
    this.line(`${this.style('cyan', where.padEnd(14))} ${code}`)
  }

  /** @param {string} where @param {string} text */
  note(where, text) {
    this.line(`${where.padEnd(14)} ${text}`)
  }

  /** @param {Answers} answers */
  answers(answers) {
    const signs = answers.map((answer) => (answer === undefined ? '·' : String(answer)))
    this.note('answered by', signs.join(' '))
    const bars = [1, 2, 3].map((number) => {
      const count = answers.filter((answer) => answer === number).length
      return `real server ${number} ${this.style('green', '█'.repeat(count))}${count > 0 ? ' ' : ''}${count}`
    })
    if (answers.some((answer) => answer !== undefined))
      this.line(`${' '.repeat(14)} ${bars.join('   ')}`)
  }

  /** @param {string} caption @param {readonly import('ipvs-netlink').VirtualServerState[]} table */
  table(caption, table) {
    this.line()
    const [head = '', ...rows] = tableLines(table)
    this.line(this.style('dim', head))
    for (const row of rows) this.line(row)
    this.line(this.style('dim', caption))
    this.line()
  }

  /** @param {string} what should be @param {boolean} holds @param {string} found what is */
  check(what, holds, found) {
    this.checks.push({ chapter: this.#chapter, what, holds, found })
    const sign = holds ? this.style('green', '✓') : this.style('red', '✗')
    this.line(`${sign} ${what}${holds ? '' : this.style('red', `, but: ${found}`)}`)
  }

  /** Whether all that was checked holds. */
  verdict() {
    const failed = this.checks.filter(({ holds }) => !holds)
    if (failed.length === 0 && this.checks.length > 0) {
      this.write(`\n${this.style(['green', 'bold'], `all ${this.checks.length} checks hold`)}\n`)
      return true
    }
    this.write(
      `\n${this.style(['red', 'bold'], `${failed.length} of ${this.checks.length} checks do not hold`)}\n`,
    )
    for (const { what, found } of failed)
      this.line(`${this.style('red', '✗')} ${what}, but: ${found}`)
    return false
  }
}
