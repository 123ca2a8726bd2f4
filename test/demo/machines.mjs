// @ts-check
import { openHost, openIpvs } from 'ipvs-netlink'

/** @typedef {import('../clusters/index.mjs').Cluster} Cluster */
/** @typedef {import('../clusters/index.mjs').Machine} Machine */
/** @typedef {import('./narrate.mjs').Narrator} Narrator */

/**
 * The virtual server table of a machine, closed with the cluster.
 *
 * @param {Cluster} cluster
 * @param {Machine} machine
 * @param {Narrator} narrator
 */
export async function ipvsOf(cluster, { name, netns }, narrator) {
  narrator.report.call(name, `const ipvs = await openIpvs({ netns: '${netns}' })`)
  const ipvs = await openIpvs({ netns })
  cluster.defer(() => ipvs.close())
  return { ipvs: narrator.handle(name, 'ipvs', ipvs), quietly: ipvs }
}

/**
 * The settings and addresses of a machine, closed with the cluster.
 *
 * @param {Cluster} cluster
 * @param {Machine} machine
 * @param {Narrator} narrator
 */
export async function hostOf(cluster, { name, netns }, narrator) {
  narrator.report.call(name, `const host = await openHost({ netns: '${netns}' })`)
  const host = await openHost({ netns })
  cluster.defer(() => host.close())
  return narrator.handle(name, 'host', host)
}

/** @param {import('ipvs-netlink').HostChange} change */
export function described(change) {
  switch (change.kind) {
    case 'address':
      return `${change.device}: ${change.address}/${change.prefixLength} added`
    case 'link':
      return `${change.device}: ${change.before} to ${change.after}`
    case 'gue-port':
      return `UDP port ${change.port}: ${change.before} to ${change.after}`
    default:
      return `${change.name}: ${change.before} to ${change.after}`
  }
}
