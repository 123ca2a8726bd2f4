// @ts-check
// Figures as tables, and against stored ones.

/** @typedef {import('./questions.mjs').Question} Question */
/** @typedef {{ work: string, contender: string, count: number } & Record<string, any>} Row */
/** @typedef {{ kernel: string, node: string, rows: Row[] }} Figures */

/** How much dearer, relative to raw C, something of ours may have become. */
export const tolerance = 0.15

/** @param {number} value */
const short = (value) => value.toFixed(value < 100 ? 2 : 0)

/** The first row of the same work: what the others are compared with. @param {Row[]} rows @param {Row} row */
const yardstick = (rows, row) => rows.find(({ work }) => work === row.work) ?? row

/**
 * @param {Question} question
 * @param {Row[]} rows
 * @param {Row} row
 */
function cells({ columns, compared, divisor }, rows, row) {
  const floor = yardstick(rows, row)
  return Object.keys(columns).flatMap((name) => {
    const value = row[name]
    if (value === undefined) return compared ? ['-', ''] : ['-']
    const figure = short(value / divisor)
    if (!compared) return [figure]
    const ratio = floor[name] === undefined ? NaN : value / floor[name]
    return [figure, Number.isNaN(ratio) ? '' : `(${short(ratio)})`]
  })
}

/** @param {Question} question @param {Figures} figures */
export function table(question, { kernel, node, rows }) {
  const { title, unit, columns, compared } = question
  const heads = Object.values(columns).flatMap((head) => (compared ? [head, ''] : [head]))
  const lines = [
    ['', '', 'count', ...heads],
    ...rows.map((row) => [
      row.work,
      row.contender,
      String(row.count),
      ...cells(question, rows, row),
    ]),
  ]
  const widths = lines[0]?.map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)))
  const formatted = lines.map((line) =>
    line
      .map((cell, at) =>
        at < 2 ? cell.padEnd(widths?.[at] ?? 0) : cell.padStart(widths?.[at] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  )
  return [`${title}: ${unit}; Linux ${kernel}, Node.js ${node}`, ...formatted].join('\n')
}

/** A lone call costs a quarter more when the one thread runs first than when the other does. */
const byChance = 'awaited one by one'

/**
 * What of ours costs more than it did, relative to raw C of the same run: another kernel or another
 * state of its allocator moves both.
 *
 * @param {Figures} now
 * @param {Figures} stored
 */
export function regressions(now, stored) {
  const found = []
  for (const row of stored.rows) {
    if (!row.contender.startsWith('ours') || row.contender.endsWith(byChance)) continue
    const same = now.rows.find(
      ({ work, contender }) => work === row.work && contender === row.contender,
    )
    if (!same) throw new Error(`nothing was measured for: ${row.work}, ${row.contender}`)
    const before = row['warm'] / yardstick(stored.rows, row)['warm']
    const after = same['warm'] / yardstick(now.rows, same)['warm']
    if (after > before * (1 + tolerance))
      found.push(
        `${row.work}, ${row.contender}: ${short(after)} times raw C, ${short(before)} before`,
      )
  }
  return found
}
