// @ts-check
import { access } from 'node:fs/promises'

/** @param {string} path */
export const exists = (path) =>
  access(path).then(
    () => true,
    () => false,
  )
