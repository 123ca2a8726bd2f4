// A daemon (victim.mjs) is killed at random moments of everything it does, and started again. What it
// leaves must be something of before or of after, and the next start must make everything right.
//
//   node test/soak/kill.mjs [--kills 200] [--seconds 3600] [--seed 1]
//
// Changes the namespace it runs in: use a fresh one (`npm run vm`, or `unshare -n` on a kernel with IPVS).

import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { host, openHost, openIpvs } from 'ipvs-netlink'

import { makeChance } from './actor.mjs'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '3600' },
    seed: { type: 'string', default: '1' },
  },
})
const [mostKills, mostSeconds] = [values.kills, values.seconds].map(Number)
const chance = makeChance(977 * (1 + Number(values.seed)))
const started = performance.now()

const ip = (...args) => execFileSync('ip', args, { encoding: 'utf8' })
/** Several commands in one process, which takes as long to start as one. */
const ipBatch = (...lines) =>
  execFileSync('ip', ['-o', '-batch', '-'], { input: lines.join('\n'), encoding: 'utf8' })
const name = `kill-${process.pid}`
const folder = mkdtempSync(join(tmpdir(), 'ipvs-netlink-kill-'))
ip('netns', 'add', name)
process.on('exit', () => {
  ip('netns', 'delete', name)
  rmSync(folder, { recursive: true })
})

// What is made, and what the kernel and the files may say of it.

const server = createServer((socket) => socket.on('error', () => {}).resume())
await new Promise((resolve) => server.listen(0, resolve))
const { port } = server.address()
const web = {
  ...{ protocol: 'tcp', address: '10.0.0.1', port: 80, scheduler: 'rr' },
  destinations: [1, 2, 3].map((n) => ({ address: `127.0.0.${n}`, port, forwarding: 'nat' })),
}
/** More changes than one send has, from one to the other. */
const makeState = (scheduler, first, weight) =>
  Array.from({ length: 8 }, (_, service) => ({
    ...{ fwmark: first + service, scheduler },
    destinations: Array.from({ length: 12 }, (_, n) => ({
      ...{ address: `10.7.${scheduler.length}.${n + 1}`, port: 80, weight },
    })),
  }))
const states = [makeState('rr', 1, 3), makeState('wlc', 3, 4)]
const rulesOf = (services) =>
  services.flatMap(({ fwmark, scheduler, destinations }) => [
    `-A -f ${fwmark} -s ${scheduler}`,
    ...destinations.map((each) => `-a -f ${fwmark} -r ${each.address}:80 -g -w ${each.weight}`),
  ])
const webRules = (weight, last) => [
  '-A -t 10.0.0.1:80 -s rr',
  ...last.map((n) => `-a -t 10.0.0.1:80 -r 127.0.0.${n}:${port} -m -w ${weight}`),
]
const linesOf = (text) => text.split('\n').filter(Boolean).sort().join('\n')
const rightRules = linesOf([...rulesOf(states[0]), ...webRules(1, [1, 2, 3])].join('\n'))
// Of a service in both, the destinations of one may be there under the scheduler of the other.
const possibleRules = new Set([
  ...states.flatMap(rulesOf),
  ...[0, 1].flatMap((weight) => webRules(weight, [1, 2, 3, 9])),
])
const rulesNow = () =>
  execFileSync('ipvsadm', ['-Sn'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)

const vips = ['10.0.0.100', '10.0.0.101', '10.0.0.102']
const profile = { forwarding: 'tun', vip: vips, device: 'k0' }
const settingPaths = ['all', 'k0', 'lo', 'tunl0'].flatMap((device) =>
  ['arp_ignore', 'arp_announce', 'rp_filter'].map(
    (setting) => `/proc/sys/net/ipv4/conf/${device}/${setting}`,
  ),
)
/** Settings, addresses and the tunnel's end: a value for each. */
const machineNow = () => {
  const shown = ipBatch('address show dev lo', 'link show dev tunl0')
  return {
    ...Object.fromEntries(settingPaths.map((path) => [path, readFileSync(path, 'utf8').trim()])),
    ...Object.fromEntries(vips.map((vip) => [vip, shown.includes(` ${vip}/32 `)])),
    tunnel: /tunl0\S*: <(\S+,)?UP[,>]/.test(shown),
  }
}
const isMachine = (one, other) => Object.keys(one).every((key) => one[key] === other[key])

ip('address', 'add', '10.0.0.1/32', 'dev', 'lo')
ip('link', 'add', 'k0', 'type', 'dummy')
ip('link', 'set', 'k0', 'up')
// So that the profile has to spread it over the devices before it turns it off for the tunnel.
writeFileSync('/proc/sys/net/ipv4/conf/all/rp_filter', '1')
const files = { rules: 'table.rules', settings: 'settings.conf', profile: 'profile.conf' }
const at = (file) => join(folder, file)
const preparation = await host.prepareRealServer(profile)
const prepared = machineNow()
await host.persist(at(files.profile))
const rightProfile = readFileSync(at(files.profile), 'utf8')
await preparation.undo()
const unprepared = machineNow()
await host.close()

/** The machine as its administrator wants it without the daemon. */
const unprepare = () => {
  for (const path of settingPaths) writeFileSync(path, unprepared[path])
  ipBatch(...vips.map((vip) => `address del ${vip}/32 dev lo`), 'link set tunl0 down')
}

const netns = `/run/netns/${name}`
const other = await openIpvs({ netns })
const otherHost = await openHost({ netns })
writeFileSync(at(files.settings), '# mine\nvm.swappiness = 10\n')
const possible = { rules: [], settings: [] }
const write = async (n) => {
  await otherHost.setSysctl('net.ipv4.vs.conntrack', n)
  await otherHost.persist(at(files.settings))
  await other.saveToFile(at(files.rules))
}
await other.batch(
  Array.from({ length: 100 }, (_, n) => ({ op: 'addService', service: { fwmark: n + 1 } })),
)
for (const n of [0, 1]) {
  if (n === 1) await other.addService({ fwmark: 9999 })
  await write(n)
  possible.settings.push(readFileSync(at(files.settings), 'utf8'))
  possible.rules.push(linesOf(readFileSync(at(files.rules), 'utf8')))
}

// What is found.

const faults = []
const caught = { apply: 0, drain: 0, prepare: 0, save: 0, restart: 0 }
let [resumed, mostLeft, restarts, kill] = [0, 0, 0, 0]
const expect = (isTrue, what, details) => {
  if (isTrue) return
  faults.push({ kill, what, details })
  console.error(JSON.stringify({ kill, what, details }))
}
const seen = new Set()
const leftFiles = () => readdirSync(folder).filter((file) => file.endsWith('.tmp'))

/** What the killed process left; answers who is drained. */
const lookAtRuins = () => {
  const rules = rulesNow()
  const strange = rules.filter((rule) => !possibleRules.has(rule))
  expect(strange.length === 0, 'rules that nobody asked for', strange)
  const marks = linesOf(rules.filter((rule) => rule.includes(' -f ')).join('\n'))
  if (states.every((state) => linesOf(rulesOf(state).join('\n')) !== marks)) ++caught.apply

  const machine = machineNow()
  const third = Object.keys(machine).filter(
    (key) => machine[key] !== prepared[key] && machine[key] !== unprepared[key],
  )
  expect(third.length === 0, 'neither as before the preparation nor as after it', third)
  if (!isMachine(machine, prepared) && !isMachine(machine, unprepared)) ++caught.prepare

  const rulesFile = linesOf(readFileSync(at(files.rules), 'utf8'))
  expect(possible.rules.includes(rulesFile), 'a damaged file of rules', rulesFile)
  const settings = readFileSync(at(files.settings), 'utf8')
  expect(possible.settings.includes(settings), 'a damaged file of settings', settings)
  // A start that is killed early has not written it yet.
  const text = existsSync(at(files.profile))
    ? readFileSync(at(files.profile), 'utf8')
    : rightProfile
  expect(text === rightProfile, 'a damaged file of the preparation', text)
  const left = leftFiles()
  caught.save += left.filter((file) => !seen.has(file)).length
  left.forEach((file) => seen.add(file))
  mostLeft = Math.max(mostLeft, left.length)
  // Time passes.
  const then = Date.now() / 1000 - 3600
  if (chance(8) === 0) left.forEach((file) => utimesSync(at(file), then, then))

  const drains = rules.filter((rule) => rule.startsWith('-a -t') && rule.endsWith(' -w 0'))
  if (drains.length > 0) ++caught.drain
  return { drains: drains.map((rule) => / -r (\S+) /.exec(rule)[1]).sort(), rulesFile }
}

const lookAtRestart = (ruins, report) => {
  expect(report.failed.length === 0, 'apply failed', report.failed)
  expect(report.notConverged === 0, 'a second apply had something to do', report.notConverged)
  expect(linesOf(rulesNow().join('\n')) === rightRules, 'the table is not as desired', rulesNow())
  expect(
    report.ended.every((end) => end === 'drained'),
    'a resumed drain did not end',
    report.ended,
  )
  resumed += report.ended.length
  expect(report.changedTwice === 0, 'a second preparation had something to do', report.changedTwice)
  const machine = machineNow()
  expect(isMachine(machine, prepared), 'the machine is not prepared', machine)
  const text = readFileSync(at(files.profile), 'utf8')
  expect(text === rightProfile, 'the persisted preparation is not whole', text)
  if (ruins) {
    expect(linesOf(report.restored) === ruins.rulesFile, 'the restored table is not the file', {})
  }
}

let held = []
const holdConnections = async () => {
  held = web.destinations.map(() => connect({ host: web.address, port: web.port }))
  held.forEach((socket) => socket.on('error', () => {}))
  await Promise.all(held.map((socket) => once(socket, 'connect')))
}
const endConnections = () => held.splice(0).forEach((socket) => socket.destroy())

const victim = fileURLToPath(new URL('victim.mjs', import.meta.url))
const words = JSON.stringify({ folder, netns, states, web, profile, files })
/** How long a start takes, so that some are killed in its course. */
let usual = 1500

const live = async (ruins, isEarly) => {
  const born = performance.now()
  const child = fork(victim, [words], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const ended = once(child, 'exit')
  const gone = ended.then(() => undefined)
  const end = async () => {
    child.kill('SIGKILL')
    const [code, signal] = await ended
    expect(signal === 'SIGKILL', 'it ended by itself', { code, signal })
  }
  const next = async () => Promise.race([once(child, 'message').then(([each]) => each), gone])
  if (isEarly) {
    // The first two fifths are node's own start.
    const moment = usual * (0.4 + chance(60) / 100)
    void next().then((message) => message && endConnections())
    await sleep(moment)
    ++caught.restart
    return end()
  }
  const found = await next()
  if (ruins) {
    const drains = [...(found?.drains ?? [])].sort()
    expect(drains.join() === ruins.drains.join(), 'listDrains', { drains, ruins: ruins.drains })
  }
  endConnections()
  const report = await next()
  if (report?.stage !== 'restarted') {
    expect(false, 'it did not start', report)
    return end()
  }
  usual = (3 * usual + performance.now() - born) / 4
  ++restarts
  lookAtRestart(ruins, report)
  unprepare()
  rmSync(at(files.profile))
  await holdConnections()
  const draining = next()
  child.send('go')
  // Of four, three in the midst of a round of everything, and one in its first steps.
  if (chance(4) > 0) await draining
  await sleep(chance(1000))
  return end()
}

let ruins
/**
 * A run whose kills all missed proves nothing, and on a busy machine few of them fit into a short one. So
 * it ends with the first that did not, or when it has taken ten times as long.
 */
const hasHit = () => caught.apply + caught.drain + caught.prepare + caught.save > 0
const isOver = () => {
  const seconds = (performance.now() - started) / 1000
  return hasHit() ? kill >= mostKills || seconds > mostSeconds : seconds > 10 * mostSeconds
}
while (!isOver()) {
  ++kill
  await live(ruins, kill > 2 && chance(4) === 0)
  ruins = lookAtRuins()
}
endConnections()
server.close()
// One more save of each, an hour later.
const then = Date.now() / 1000 - 3600
leftFiles().forEach((file) => utimesSync(at(file), then, then))
await write(0)
const late = await openHost()
await late.persist(at(files.profile))
await Promise.all([other.close(), otherHost.close(), late.close()])
expect(leftFiles().length === 0, 'temporary files are left', leftFiles())

// A long run that met nothing of a kind says nothing of it.
if (mostKills >= 100) {
  expect(kill === mostKills, 'there was no time for all kills', { mostKills })
  expect(!Object.values(caught).includes(0), 'kills that met nothing of a kind', caught)
}

const seconds = Math.round((performance.now() - started) / 1000)
const result = {
  kills: kill,
  seconds,
  restarts,
  usualStartMs: Math.round(usual),
  caught,
  resumedDrains: resumed,
  mostLeftFiles: mostLeft,
}
console.log(JSON.stringify({ ...result, faults: faults.length }))
process.exitCode = faults.length === 0 ? 0 : 1
