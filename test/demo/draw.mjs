// @ts-check
// Boxes and the wires between them.

const gap = 2

/** @param {string} text @param {number} width */
export function centre(text, width) {
  const left = Math.max(0, Math.floor((width - text.length) / 2))
  return (' '.repeat(left) + text).padEnd(width)
}

/** @param {string} line @param {Iterable<number>} positions @param {string} sign */
function mark(line, positions, sign) {
  const signs = [...line]
  for (const position of positions) signs[position] = sign
  return signs.join('')
}

/**
 * @param {readonly string[]} texts
 * @param {number} width inside
 * @param {{ up?: boolean, down?: boolean }} [wires]
 */
export function box(texts, width, { up = false, down = false } = {}) {
  const edge = '─'.repeat(width)
  const middle = [Math.floor(width / 2)]
  return [
    `┌${up ? mark(edge, middle, '┴') : edge}┐`,
    ...texts.map((text) => `│${centre(text, width)}│`),
    `└${down ? mark(edge, middle, '┬') : edge}┘`,
  ]
}

/**
 * Where the wire of the nth of equally wide boxes is.
 *
 * @param {number} index
 * @param {number} width inside
 */
const wireAt = (index, width) => index * (width + 2 + gap) + 1 + Math.floor(width / 2)

/**
 * Boxes side by side under a common wire, with one more wire going up from it.
 *
 * @param {readonly (readonly string[])[]} machines
 * @param {number} width inside
 * @param {number} up the box above which that wire is
 */
export function bus(machines, width, up) {
  const boxes = machines.map((texts) => box(texts, width, { up: true }))
  const ends = machines.map((_, index) => wireAt(index, width))
  const [first = 0, last = 0] = [ends[0], ends.at(-1)]
  const bare = ' '.repeat(first) + '─'.repeat(last - first + 1)
  const corners = mark(mark(mark(bare, ends, '┬'), [first], '┌'), [last], '┐')
  const above = ends[up] ?? first
  const wire = mark(corners, [above], above === first ? '├' : above === last ? '┤' : '┼')
  return [wire, ...beside(boxes, ' '.repeat(gap))]
}

/** @param {readonly (readonly string[])[]} blocks equally high @param {string} between */
export const beside = (blocks, between) =>
  (blocks[0] ?? []).map((_, row) => blocks.map((block) => block[row]).join(between))

/**
 * A block so that its middle is above that of the nth box of a bus.
 *
 * @param {readonly string[]} block
 * @param {number} index
 * @param {number} width
 */
export const above = (block, index, width) => {
  const indent = ' '.repeat(wireAt(index, width) - Math.floor((block[0]?.length ?? 0) / 2))
  return block.map((line) => indent + line)
}
