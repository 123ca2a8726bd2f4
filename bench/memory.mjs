// @ts-check
// How much memory does it take to read 100,000 destinations? The peak of the whole process, after one
// reading and after four.
import { answer, costOfIpvsadm, inNamespaces, ours, progress, raw } from './support/guest.mjs'

const table = { services: 10_000, each: 10 }
const count = table.services * table.each
const work = `read ${table.services} x ${table.each}, bytes`

/** @param {(passes: number) => number[][]} run */
const peaks = (run) => ({ once: run(1)[1]?.[0] ?? NaN, often: run(4)[1]?.[0] ?? NaN })

const rows = await inNamespaces(1, table.services, ([netns = '']) => {
  raw('change', table.services, table.each, 128, 0, netns)
  return [
    { contender: 'raw C', ...peaks((passes) => raw('read', passes, netns)) },
    { contender: 'ours, nothing read', once: ours('snapshot', 0, netns).at(-1)?.[0] ?? NaN },
    ...['snapshot', 'stream', 'columns'].map((way) => {
      progress(way)
      return { contender: `ours, ${way}()`, ...peaks((passes) => ours(way, passes, netns)) }
    }),
    { contender: 'ipvsadm -Ln', once: costOfIpvsadm(netns, ['-Ln']).memory },
  ].map((row) => ({ work, count, ...row }))
})
answer(rows)
