// The unit of examples/controller: it gives CAP_NET_ADMIN and nothing else. With the very privileges
// that it gives, the controller runs in kernel/example.test.ts.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import t from 'tap'

import { readUnit, setprivFor } from './fixtures/unit.js'

const path = fileURLToPath(
  new URL('../examples/controller/ipvs-controller.service', import.meta.url),
)
const unit = readUnit(await readFile(path, 'utf8'))
const valueOf = (name: string): string | undefined => {
  const values = unit.get(`Service.${name}`)
  if (values && values.length > 1) throw new Error(`${name} is there twice`)
  return values?.[0]
}

t.test('it gives CAP_NET_ADMIN, to nobody in particular, and nothing else', async (t) => {
  t.equal(valueOf('AmbientCapabilities'), 'CAP_NET_ADMIN')
  t.equal(valueOf('CapabilityBoundingSet'), 'CAP_NET_ADMIN')
  t.equal(valueOf('NoNewPrivileges'), 'yes')
  t.equal(valueOf('DynamicUser'), 'yes')
  t.equal(valueOf('User'), undefined)
  t.same(setprivFor(unit), [
    ...['--reuid=65534', '--regid=65534', '--clear-groups'],
    ...['--inh-caps=-all,+net_admin', '--ambient-caps=-all,+net_admin'],
    ...['--bounding-set=-all,+net_admin', '--no-new-privs'],
  ])
})

t.test('it takes nothing that the controller needs', async (t) => {
  const families = valueOf('RestrictAddressFamilies')?.split(' ') ?? []
  t.same(families.sort(), ['AF_INET', 'AF_INET6', 'AF_NETLINK'])
  // A user namespace makes the capability worthless, and no tunables would keep modules away.
  for (const name of ['PrivateUsers', 'PrivateNetwork', 'ProtectKernelModules']) {
    t.equal(valueOf(name), undefined, name)
  }
  // The compiler of JavaScript writes what it executes.
  t.equal(valueOf('MemoryDenyWriteExecute'), undefined)
})

t.test('it starts the program that is there', async (t) => {
  const [node, program = '', settings] = valueOf('ExecStart')?.split(' ') ?? []
  t.match(node, /\/node$/)
  t.ok(
    (await stat(new URL(`../examples/controller/${basename(program)}`, import.meta.url))).size > 0,
  )
  t.equal(settings, '/etc/ipvs-controller.json')
})

const skip = existsSync('/usr/bin/systemd-analyze') ? false : 'there is no systemd-analyze'

t.test('systemd has nothing to say against it', { skip }, async (t) => {
  const { stderr } = await promisify(execFile)('systemd-analyze', ['verify', path]).catch(
    (error: unknown) => error as { readonly stderr: string },
  )
  // Node may be elsewhere here than the unit has it.
  const words = stderr.split('\n').filter((line) => line.includes('ipvs-controller'))
  t.same(
    words.filter((line) => !line.includes('is not executable')),
    [],
  )
})
