// @ts-check
import { above, beside, box, bus } from './draw.mjs'

/** @typedef {import('../clusters/index.mjs').Cluster} Cluster */

/** @param {readonly (readonly string[])[]} texts */
const widest = (texts) => Math.max(...texts.flat().map((text) => text.length)) + 2

/** @param {Cluster} cluster */
export function natTopology({ client, director, realServers, vip }) {
  const servers = realServers.map(({ name, address }) => [name, address])
  const top = ['client', client.address]
  const middle = ['director', `eth1  ${vip}`, `eth0  ${director.address}`]
  const [serverWidth, width] = [widest(servers), widest([top, middle]) | 1]
  return [
    ...above(box(top, width, { down: true }), 1, serverWidth),
    ...above(box(middle, width, { up: true, down: true }), 1, serverWidth),
    ...bus(servers, serverWidth, 1),
    '',
    'request  client → director → real server',
    'answer   real server → director → client',
  ]
}

/** @param {import('../clusters/index.mjs').DrCluster} cluster */
export function drTopology({ client, router, director, realServers, vip }) {
  const machines = [director, ...realServers].map(({ name, address }) => [name, address, vip])
  const outside = [
    ['client', client.address],
    ['router', router.address],
  ]
  const width = widest([...machines, ...outside]) | 1
  const [clientBox, routerBox] = outside.map((texts, index) =>
    box(texts, width, { down: index === 1 }),
  )
  const joined = beside([clientBox ?? [], ['  ', '──', '  ', '  '], routerBox ?? []], '')
  const wired = joined.map((line, row) => (row === 1 ? line.replace('│──│', '├──┤') : line))
  return [
    ...wired,
    ...bus(machines, width, 1),
    '',
    `${vip}  eth0 of the director; lo of the real servers, where it is hidden`,
    'request  client → router → director → real server',
    'answer   real server → router → client',
  ]
}
