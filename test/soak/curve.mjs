// A soak's curve as a small picture: each measure is drawn from 0 to its own highest value.

const width = 640
const height = 200
const left = 10
const lines = [
  { name: 'changes', label: 'changes', colour: '#8a3fa0', unit: String },
  {
    name: 'rss',
    label: 'resident memory',
    colour: '#1f5fa8',
    unit: (n) => `${(n / 2 ** 20).toFixed(0)} MiB`,
  },
  {
    name: 'heapUsed',
    label: 'heap',
    colour: '#2e8540',
    unit: (n) => `${(n / 2 ** 20).toFixed(0)} MiB`,
  },
  { name: 'descriptors', label: 'descriptors', colour: '#b0490f', unit: String },
  {
    name: 'delay',
    label: 'event loop, p99',
    colour: '#7a7a7a',
    unit: (n) => `${n} ms`,
  },
]

export const drawCurve = (curve) => {
  const end = curve.at(-1)?.seconds ?? 1
  const paths = lines.map(({ name, colour }) => {
    const top = Math.max(...curve.map((each) => each[name]), 1e-9)
    const points = curve.map(
      (each) =>
        `${(left + (width * each.seconds) / end).toFixed(1)},${(height + 10 - (height * each[name]) / top).toFixed(1)}`,
    )
    return `<polyline fill="none" stroke="${colour}" points="${points.join(' ')}"/>`
  })
  const words = lines.map(({ name, label, colour, unit }, index) => {
    const top = Math.max(...curve.map((each) => each[name]))
    return `<text x="${left + 132 * index}" y="${height + 42}" fill="${colour}">${label}: ${unit(top)}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width + 2 * left} ${height + 50}" font-family="sans-serif" font-size="10">
<rect x="${left}" y="10" width="${width}" height="${height}" fill="none" stroke="#ccc"/>
${paths.join('\n')}
<text x="${left}" y="${height + 26}">0 to ${end} s; each line from 0 to its highest value:</text>
${words.join('\n')}
</svg>
`
}
