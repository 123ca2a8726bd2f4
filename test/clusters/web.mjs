// @ts-check
import { rmSync } from 'node:fs'
import { mkdtemp, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { urlHost } from './addresses.mjs'

/** @typedef {import('./machine.mjs').Machine} Machine */

/** Much more than what a client says, so that the counters tell by which way the answers go. */
export const pageSize = 8192

/** @type {Set<string>} */
const roots = new Set()

process.on('exit', () => {
  for (const root of roots) rmSync(root, { recursive: true, force: true })
})

/** @param {number} number of the real server */
function page(number) {
  const name = `real server ${number}`
  const start = `<!doctype html><title>${name}</title><p>This is ${name}.\n<!--`
  const end = '-->\n'
  return start + '.'.repeat(pageSize - start.length - end.length) + end
}

/**
 * The sockets are those of the server's namespace, once it has entered it; until then, our own.
 *
 * @param {number | undefined} server its process
 * @param {number} timeout milliseconds
 */
async function listening(server, timeout) {
  const anyAddressPort80 = /: 0{32}:0050 0{32}:0000 0A /
  const [ownNamespace, deadline] = [await readlink('/proc/self/ns/net'), Date.now() + timeout]
  while (Date.now() < deadline) {
    const namespace = await readlink(`/proc/${server}/ns/net`)
    if (namespace !== ownNamespace) {
      if (anyAddressPort80.test(await readFile(`/proc/${server}/net/tcp6`, 'utf8'))) return
    }
    await sleep(20)
  }
  throw new Error(`the web server did not listen within ${timeout} ms`)
}

/**
 * Gives every machine a web server with a page of its own.
 *
 * @param {readonly Machine[]} machines
 */
export async function servePages(machines) {
  const root = await mkdtemp(join(tmpdir(), 'ipvs-pages-'))
  roots.add(root)
  /** @type {ReturnType<Machine['start']>[]} */
  const servers = []
  const close = async () => {
    await Promise.all(servers.map((server) => server.stop()))
    await rm(root, { recursive: true, force: true })
    roots.delete(root)
  }
  try {
    await Promise.all(
      machines.map(async (machine, index) => {
        const home = await mkdtemp(join(root, 'home-'))
        await writeFile(join(home, 'index.html'), page(index + 1))
        const server = machine.start('busybox', ['httpd', '-f', '-p', '[::]:80', '-h', home])
        servers.push(server)
        await Promise.race([server.failed, listening(server.pid, 60_000)])
      }),
    )
    return { close }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Requests the page at an address, each time over a new connection, one after the other. Answers
 * the number of the real server that answered each, or undefined where none did.
 *
 * @param {Machine} client
 * @param {string} address
 * @param {number} count
 * @param {number} timeout milliseconds for each request
 * @returns {Promise<(number | undefined)[]>}
 */
export async function getPages(client, address, count, timeout) {
  const separator = '<<end of answer>>'
  const options = ['--disable', '--silent', '--globoff', '--noproxy', '*']
  const each = ['--max-time', String(timeout / 1000), '--write-out', `%{http_code}${separator}`]
  const urls = Array.from({ length: count }, () => `http://${urlHost(address)}/`)
  const said = await client.run(
    'curl',
    [...options, '--header', 'Connection: close', ...each, ...urls],
    { timeout: 10_000 + count * timeout, mayFail: true },
  )
  const answers = said.split(separator).slice(0, -1)
  if (answers.length !== count) throw new Error(`curl made ${answers.length} of ${count} requests`)
  return answers.map((answer) => {
    const whole = answer.length === pageSize + 3 && answer.endsWith('200')
    const number = /This is real server (\d+)\./.exec(answer)?.[1]
    return whole && number !== undefined ? Number(number) : undefined
  })
}
