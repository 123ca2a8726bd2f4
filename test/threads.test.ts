// What a call does when the process may have no further thread, or no further file.

import { spawn } from 'node:child_process'
import { constants } from 'node:os'

import t from 'tap'

// What sets the limits is started before there is one, and then needs no further process.
const script = `
  import { spawn } from 'node:child_process'
  import { once } from 'node:events'
  import { loadAddon } from '#lib/native'
  import { ipvs, host } from 'ipvs-netlink'
  loadAddon()
  const limiting = (most) => {
    const command = 'read line; exec prlimit --pid=' + process.pid + ' --nproc=' + most + ':1000'
    const child = spawn('sh', ['-c', command], { stdio: ['pipe', 'ignore', 'inherit'] })
    return async () => {
      child.stdin.end('now\\n')
      const [status] = await once(child, 'exit')
      if (status !== 0) throw new Error('prlimit failed')
    }
  }
  const [lower, raise] = [limiting(1), limiting(1000)]
  const told = async (call) => {
    const { code, errno, message } = await call().then(() => ({}), (error) => error)
    return { code, errno, message }
  }
  await lower()
  const refused = [await told(() => ipvs.info()), await told(() => host.listAddresses('lo'))]
  await raise()
  console.log(JSON.stringify([...refused, await told(() => host.listAddresses('lo'))]))
`

const output = async (program: string, args: readonly string[]): Promise<string> => {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  for await (const chunk of child.stdout) text += String(chunk)
  return text
}

t.test(
  'a call that needs a thread rejects when there can be none, and the next one tries again',
  { skip: process.getuid?.() !== 0 && 'only root can be another user' },
  async (t) => {
    // The limit is of users other than root; this one may read what root may.
    const capabilities = ['--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search']
    const user = ['--reuid=54321', '--clear-groups', ...capabilities]
    // The options are tap's own.
    const node = [
      'env',
      '-u',
      'NODE_OPTIONS',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ]
    const told: unknown = JSON.parse(await output('setpriv', [...user, '--', ...node]))
    const why = /no thread could be started.*EAGAIN/
    t.match(told, [
      { code: 'ERR_IPVS_REFUSED', errno: -11, message: why },
      { code: 'ERR_HOST_REFUSED', errno: -11, message: why },
      {},
    ])
    t.same((told as unknown[])[2], {})
  },
)

const openingFiles = `
  import { closeSync, openSync } from 'node:fs'
  import { loadAddon } from '#lib/native'
  import { openIpvs, openHost } from 'ipvs-netlink'
  loadAddon()
  const netns = '/proc/self/ns/net'
  const own = openSync(netns, 'r')
  const told = async (call) => {
    const { code, errno, message } = await call().then((handle) => handle.close(), (error) => error) ?? {}
    return { code, errno, message }
  }
  const filled = []
  try {
    for (;;) filled.push(openSync('/dev/null', 'r'))
  } catch {}
  const refused = [
    await told(() => openIpvs({ netns })),
    await told(() => openHost({ netns })),
    await told(() => openHost({ netns: own })),
  ]
  filled.forEach((each) => closeSync(each))
  console.log(JSON.stringify([...refused, await told(() => openHost({ netns }))]))
`

t.test('where no file can be opened, there is a namespace all the same', async (t) => {
  const node = ['-u', 'NODE_OPTIONS', process.execPath, '--input-type=module', '-e', openingFiles]
  const told: unknown = JSON.parse(await output('prlimit', ['--nofile=100', 'env', ...node]))
  const message = /EMFILE.*nothing was changed.*ulimit -n/
  t.match(told, [
    { code: 'ERR_IPVS_REFUSED', errno: -24, message },
    { code: 'ERR_HOST_REFUSED', errno: -24, message },
    { code: 'ERR_HOST_REFUSED', errno: -24, message },
    {},
  ])
  t.same((told as unknown[])[3], {})
})

const readingAll = `
  import { closeSync, openSync } from 'node:fs'
  import { loadAddon } from '#lib/native'
  const { HostConnection } = loadAddon()
  const native = new HostConnection(undefined, 1000)
  await native.open()
  const read = async () => {
    const answer = await native.readSettings('ipv4/conf/lo')
    return answer.failure ? answer.failure.errno : Object.keys(answer.values).length
  }
  const all = await read()
  const filled = []
  try {
    for (;;) filled.push(openSync('/dev/null', 'r'))
  } catch {}
  const told = []
  for (let free = 0; free < 8; ++free) {
    told.push(await read())
    closeSync(filled.pop())
  }
  console.log(JSON.stringify({ all, told }))
`

t.test('where too few files can be opened, no setting is passed over', async (t) => {
  const node = ['-u', 'NODE_OPTIONS', process.execPath, '--input-type=module', '-e', readingAll]
  const text = await output('prlimit', ['--nofile=100', 'env', ...node])
  const { all, told } = JSON.parse(text) as { readonly all: number; readonly told: number[] }
  t.ok(all > 20)
  t.ok(told.includes(constants.errno.EMFILE) && told.includes(all), text)
  t.ok(
    told.every((each) => each === all || each === constants.errno.EMFILE),
    text,
  )
})
