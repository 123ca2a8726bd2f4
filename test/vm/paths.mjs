// @ts-check
import { homedir } from 'node:os'
import { join } from 'node:path'

const cacheHome = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache')

/** Everything the test bed keeps between runs, outside the checkout. */
export const cacheDir = join(cacheHome, 'ipvs-netlink', 'vm')

/** One directory per kernel line. */
export const kernelsDir = join(cacheDir, 'kernels')

/** One directory per run, gone when the run ends. */
export const runsDir = join(cacheDir, 'runs')

/** Held while something in the cache is changed or a VM runs. */
export const lockFile = join(cacheDir, 'lock')

/** What of the test bed runs inside the guest. */
export const guestDir = join(import.meta.dirname, 'guest')
