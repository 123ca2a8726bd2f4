// The kernel's error numbers, positive, and what they are called.

import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

const errnoOf = (name: string): number => {
  for (const [number, [each]] of getSystemErrorMap()) if (each === name) return -number
  throw new Error(`no such errno: ${name}`)
}

export const EPERM = errnoOf('EPERM')
export const ENOENT = errnoOf('ENOENT')
export const ESRCH = errnoOf('ESRCH')
export const EAGAIN = errnoOf('EAGAIN')
export const EACCES = errnoOf('EACCES')
export const EEXIST = errnoOf('EEXIST')
export const ENODEV = errnoOf('ENODEV')
export const EROFS = errnoOf('EROFS')
export const ETIMEDOUT = errnoOf('ETIMEDOUT')
export const ECANCELED = errnoOf('ECANCELED')
export const EADDRNOTAVAIL = errnoOf('EADDRNOTAVAIL')
export const EAFNOSUPPORT = errnoOf('EAFNOSUPPORT')
export const EMFILE = errnoOf('EMFILE')
export const ENFILE = errnoOf('ENFILE')
export const ENOMEM = errnoOf('ENOMEM')
export const EINVAL = errnoOf('EINVAL')
export const ENETUNREACH = errnoOf('ENETUNREACH')
export const ERANGE = errnoOf('ERANGE')
export const EPROTONOSUPPORT = errnoOf('EPROTONOSUPPORT')
export const ENOTDIR = errnoOf('ENOTDIR')
export const EISDIR = errnoOf('EISDIR')
export const ENAMETOOLONG = errnoOf('ENAMETOOLONG')
export const ELOOP = errnoOf('ELOOP')
export const E2BIG = errnoOf('E2BIG')
export const EADDRINUSE = errnoOf('EADDRINUSE')
export const ENETDOWN = errnoOf('ENETDOWN')
export const EOPNOTSUPP = constants.errno.EOPNOTSUPP

/** Name and sentence of an errno, such as `EINVAL (invalid argument)`. */
export const explain = (errno: number): string => {
  const [name, sentence] = getSystemErrorMap().get(-errno) ?? []
  if (name !== undefined && sentence !== undefined) return `${name} (${sentence})`
  // Node's list lacks some that netlink uses.
  const names = Object.entries(constants.errno)
  return names.find(([, number]) => number === errno)?.[0] ?? `errno ${errno}`
}
