// @ts-check
export { buildNat } from './nat.mjs'
export { buildDr } from './dr.mjs'
export { settledSnapshot } from './counters.mjs'
export { pageSize } from './web.mjs'
