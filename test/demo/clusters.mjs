// @ts-check
// Builds both clusters in network namespaces of this machine, whose kernel must have IPVS.
import { constants, release } from 'node:os'
import { parseArgs } from 'node:util'
import { IpvsError, openIpvs } from 'ipvs-netlink'
import { dr } from './dr.mjs'
import { nat } from './nat.mjs'
import { Report } from './report.mjs'

const { values } = parseArgs({ options: { family: { type: 'string', default: 'ipv4' } } })
const family = values.family === 'ipv6' ? 'ipv6' : 'ipv4'

const { FORCE_COLOR, NO_COLOR } = process.env
const color = FORCE_COLOR === '1' || (process.stdout.isTTY && NO_COLOR === undefined)

// Through process.exit(), so that what is to be cleaned up on exit is.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]))
}
process.stdout.on('error', () => process.exit(128 + constants.signals.SIGPIPE))

/** What this kernel says of IPVS, to fail early and clearly. */
async function kernel() {
  const ipvs = await openIpvs()
  try {
    return `IPVS ${(await ipvs.info()).version}, Linux ${release()}`
  } finally {
    await ipvs.close()
  }
}

try {
  const report = new Report({ write: (text) => process.stdout.write(text), color })
  report.line(
    `${report.style('bold', 'ipvs-netlink')}  two clusters of network namespaces  ·  ${await kernel()}`,
  )
  await nat(report, family)
  await dr(report, family)
  if (!report.verdict()) process.exitCode = 1
} catch (error) {
  process.exitCode = 1
  console.error(IpvsError.is(error) ? `demo: ${error.message}` : error)
}
