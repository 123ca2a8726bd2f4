// @ts-check
// The questions, a file in bench/ each: how they are asked and what their columns are.

/**
 * @typedef {object} Question
 * @property {string} name its file
 * @property {string} title
 * @property {boolean} counted whether instructions are counted; else it is about time or memory
 * @property {boolean} compared whether the first row of a work is the yardstick of the others
 * @property {Readonly<Record<string, string>>} columns of its rows, with their heads
 * @property {number} divisor what the figures are shown in
 * @property {string} unit
 */

const instructions = {
  counted: true,
  compared: true,
  columns: { cold: 'cold', warm: 'warm' },
  divisor: 1000,
  unit: 'thousands of instructions (times raw C)',
}

/** @type {readonly Question[]} */
export const questions = [
  { name: 'changes', title: 'A change of the table', ...instructions },
  { name: 'reading', title: 'Reading the table, a destination', ...instructions },
  { name: 'growth', title: 'How the cost grows', ...instructions, columns: { warm: 'warm' } },
  {
    name: 'memory',
    title: 'The peak of memory',
    counted: false,
    compared: false,
    columns: { once: 'once', often: 'four times' },
    divisor: 1e6,
    unit: 'megabytes',
  },
  {
    name: 'turns',
    title: 'The event loop, and calls of another handle meanwhile',
    counted: true,
    compared: false,
    columns: {
      whole: 'took',
      longest: 'longest turn',
      p50: 'other, median',
      max: 'other, longest',
    },
    divisor: 1,
    unit: 'millions of instructions, 10 ms being 40 to 80 of them',
  },
  {
    name: 'pool',
    title: 'Threads',
    counted: false,
    compared: false,
    columns: { p50: 'median', max: 'longest' },
    divisor: 1,
    unit: 'milliseconds of the emulated processor',
  },
]

/** What `--check` asks: the two that are quick and repeat. */
export const checked = ['changes', 'reading']
