// @ts-check
// The growth curves as a picture: raw C and ours, instructions an operation over the number of
// destinations, both axes logarithmic.

/** @typedef {import('./report.mjs').Row} Row */

const width = 270
const height = 190
const margin = { left: 46, top: 28, right: 12, bottom: 30 }
const colours = /** @type {Record<string, string>} */ ({ 'raw C': '#888', ours: '#1f5fa8' })
const least = { x: 10, y: 1000 }
const most = { x: 100_000, y: 1_000_000 }

/** @param {number} value @param {number} from @param {number} to */
const share = (value, from, to) => Math.log(value / from) / Math.log(to / from)

/** @param {number} size */
const xOf = (size) =>
  margin.left + share(size, least.x, most.x) * (width - margin.left - margin.right)

/** @param {number} cost */
const yOf = (cost) =>
  height - margin.bottom - share(cost, least.y, most.y) * (height - margin.top - margin.bottom)

/** @param {number} from @param {number} to */
const decades = (from, to) =>
  Array.from({ length: Math.round(Math.log10(to / from)) + 1 }, (_, power) => from * 10 ** power)

/** @param {number} value */
const label = (value) =>
  value >= 1e6 ? `${value / 1e6}M` : value >= 1000 ? `${value / 1000}k` : String(value)

const grid = [
  ...decades(least.x, most.x).map((size) => {
    const x = xOf(size).toFixed(1)
    const foot = height - margin.bottom
    return `<path d="M${x} ${margin.top}V${foot}" stroke="#eee"/><text x="${x}" y="${foot + 13}" text-anchor="middle">${label(size)}</text>`
  }),
  ...decades(least.y, most.y).map((cost) => {
    const y = yOf(cost).toFixed(1)
    return `<path d="M${margin.left} ${y}H${width - margin.right}" stroke="#eee"/><text x="${margin.left - 5}" y="${Number(y) + 3}" text-anchor="end">${label(cost)}</text>`
  }),
].join('\n')

/** @param {string} contender @param {Row[]} rows */
function line(contender, rows) {
  const points = rows
    .filter((row) => row.contender === contender)
    .map((row) => `${xOf(row['size']).toFixed(1)},${yOf(row['warm']).toFixed(1)}`)
  const dots = points.map((point) => {
    const [x, y] = point.split(',')
    return `<circle cx="${x}" cy="${y}" r="2" fill="${colours[contender]}"/>`
  })
  return `<polyline fill="none" stroke="${colours[contender]}" stroke-width="1.5" points="${points.join(' ')}"/>\n${dots.join('')}`
}

/** @param {string} title @param {Row[]} rows @param {number} x @param {number} y */
const panel = (title, rows, x, y) => `<g transform="translate(${x} ${y})">
<text x="${margin.left}" y="16" font-weight="bold">${title}</text>
${grid}
${Object.keys(colours)
  .map((contender) => line(contender, rows))
  .join('\n')}
</g>`

/** @param {Row[]} rows those of the question growth */
export function picture(rows) {
  const titles = [...new Set(rows.map((row) => /** @type {string} */ (row['curve'])))]
  const panels = titles.map((title, index) =>
    panel(
      title,
      rows.filter((row) => row['curve'] === title),
      width * (index % 3),
      height * Math.floor(index / 3),
    ),
  )
  const size = { x: 3 * width, y: height * Math.ceil(titles.length / 3) + 24 }
  const legend = Object.entries(colours).map(
    ([contender, colour], index) =>
      `<text x="${margin.left + 70 * index}" y="${size.y - 8}" fill="${colour}">${contender}</text>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.x} ${size.y}" font-family="sans-serif" font-size="10">
<rect width="100%" height="100%" fill="#fff"/>
${panels.join('\n')}
${legend.join('\n')}
<text x="${margin.left + 160}" y="${size.y - 8}">instructions an operation, over the number of destinations</text>
</svg>
`
}
