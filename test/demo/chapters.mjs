// @ts-check
export { dr } from './dr.mjs'
export { nat } from './nat.mjs'
export { tun } from './tun.mjs'
export { Report } from './report.mjs'
