// @ts-check
export { dr } from './dr.mjs'
export { nat } from './nat.mjs'
export { Report } from './report.mjs'
