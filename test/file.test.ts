// Replacing files in one step: what stays of the old file, what is refused, and what is left behind.

import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs'
import { closeSync, constants as files, openSync, symlinkSync, utimesSync } from 'node:fs'
import { watch, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { createServer } from 'node:net'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'

import t from 'tap'
import type { Test } from 'tap'

import { readText, replaceFile } from '#lib/file'

for (const [mask, mode] of [
  [0o022, 0o644],
  [0, 0o644],
  [0o077, 0o600],
] as const) {
  t.test(`with umask ${mask.toString(8)} a new file has mode ${mode.toString(8)}`, async (t) => {
    const folder = t.testdir()
    const path = join(folder, 'new')
    const before = process.umask(mask)
    t.teardown(() => process.umask(before))
    await replaceFile(path, 'größe\n')
    t.equal(readFileSync(path, 'utf8'), 'größe\n')
    t.equal(statSync(path).mode & 0o7777, mode)
    t.same(readdirSync(folder), ['new'], 'and nothing is beside it')
  })
}

t.test('a file that exists is another one then, with its mode and owner', async (t) => {
  const path = join(t.testdir({ old: 'a text that is longer than the new one' }), 'old')
  chownSync(path, 1234, 2345)
  chmodSync(path, 0o2640)
  const before = statSync(path)
  await replaceFile(path, 'short')
  const after = statSync(path)
  t.equal(readFileSync(path, 'utf8'), 'short')
  t.match(after, { mode: before.mode, uid: before.uid, gid: before.gid })
  t.not(after.ino, before.ino)
})

/** What the methods of files do before they do their work: for the time of a test, of all files. */
const beforeEach = async (
  t: Test,
  method: 'chmod' | 'sync',
  look: (name: string) => void,
): Promise<void> => {
  const opened = await open('/dev/null')
  const prototype = Object.getPrototypeOf(opened) as FileHandle
  await opened.close()
  const real = Reflect.get<FileHandle, typeof method>(prototype, method)
  t.teardown(() => Reflect.set(prototype, method, real))
  Reflect.set(prototype, method, function (this: FileHandle, ...args: [number]) {
    look(readlinkSync(`/proc/self/fd/${this.fd}`))
    return Reflect.apply(real, this, args)
  })
}

t.test('the text is on the disk before it takes the name, and the name after', async (t) => {
  const folder = t.testdir({ file: 'old' })
  const path = join(folder, 'file')
  const synced: string[][] = []
  await beforeEach(t, 'sync', (name) => {
    const text = name === folder ? '' : readFileSync(name, 'utf8')
    synced.push([name, text, readFileSync(path, 'utf8')])
  })
  await replaceFile(path, 'new')
  t.match(synced, [
    [/\/\.ipvs-netlink\.[^/]*\.tmp$/, 'new', 'old'],
    [folder, '', 'new'],
  ])
  t.equal(synced.length, 2)
})

t.test('nobody reads a text before it has the mode of its file', async (t) => {
  const path = join(t.testdir({ file: 'old' }), 'file')
  const mask = process.umask(0)
  t.teardown(() => process.umask(mask))
  const seen: (string | number)[][] = []
  await beforeEach(t, 'chmod', (name) => {
    seen.push([readFileSync(name, 'utf8'), statSync(name).mode & 0o7777])
  })
  await replaceFile(path, 'new')
  t.same(seen, [['new', 0o600]])
})

t.test('a reader sees one whole text or the other', async (t) => {
  const path = join(t.testdir(), 'file')
  const texts = ['a', 'b'].map((letter) => letter.repeat(300_000))
  await replaceFile(path, texts[0] ?? '')
  const writing = (async () => {
    for (let round = 1; round < 20; ++round) await replaceFile(path, texts[round % 2] ?? '')
  })()
  const done = new AbortController()
  void writing.finally(() => done.abort())
  let looks = 0
  for (; !done.signal.aborted; ++looks) {
    if (!texts.includes(readFileSync(path, 'utf8'))) t.fail('a text in between')
    await new Promise(setImmediate)
  }
  await writing
  t.ok(looks > 20)
})

t.test('writers at the same time: one of the texts, and no leftovers', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'file')
  const texts = Array.from({ length: 20 }, (_, index) => String(index).repeat(10_000))
  await Promise.all(texts.map((text) => replaceFile(path, text)))
  t.ok(texts.includes(readFileSync(path, 'utf8')))
  t.same(readdirSync(folder), ['file'])
})

t.test('what is no regular file is refused and stays', async (t) => {
  const folder = t.testdir({ target: 'untouched', folder: {} })
  const at = (name: string): string => join(folder, name)
  symlinkSync('target', at('link'))
  symlinkSync('nowhere', at('dangling'))
  execFileSync('mkfifo', [at('pipe')])
  const server = createServer().listen(at('socket'))
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => server.close())
  const before = readdirSync(folder)
  const refusals = {
    link: 'ELOOP',
    dangling: 'ELOOP',
    pipe: 'EINVAL',
    socket: 'EINVAL',
    folder: 'EISDIR',
  }
  for (const [name, code] of Object.entries(refusals)) {
    const path = at(name)
    await t.rejects(replaceFile(path, 'text'), { code, path, syscall: 'open' }, name)
  }
  t.same(readdirSync(folder), before)
  t.equal(readFileSync(at('target'), 'utf8'), 'untouched')
})

t.test('only a regular file is read', async (t) => {
  const folder = t.testdir({ target: 'größe', folder: {} })
  const at = (name: string): string => join(folder, name)
  symlinkSync('target', at('link'))
  execFileSync('mkfifo', [at('pipe')])
  // With a writer there would be something to wait for.
  const writer = openSync(at('pipe'), files.O_RDWR)
  t.teardown(() => closeSync(writer))
  for (const followsLinks of [true, false]) {
    t.equal(await readText(at('target'), { followsLinks }), 'größe')
    const refusals = { [at('pipe')]: 'EINVAL', '/dev/zero': 'EINVAL', [folder]: 'EISDIR' }
    for (const [path, code] of Object.entries(refusals)) {
      await t.rejects(readText(path, { followsLinks }), { code, path, syscall: 'open' }, path)
    }
    await t.rejects(readText(at('absent'), { followsLinks }), { code: 'ENOENT' })
  }
  t.equal(await readText(at('link'), { followsLinks: true }), 'größe')
  await t.rejects(readText(at('link'), { followsLinks: false }), { code: 'ELOOP' })
  const signal = AbortSignal.abort()
  await t.rejects(readText(at('target'), { followsLinks: true, signal }), { name: 'AbortError' })
})

t.test("the file system's own refusals reach the caller, and name the file", async (t) => {
  const folder = t.testdir({ file: 'text' })
  const refusals = [
    [join(folder, 'no', 'such'), 'ENOENT', 'open', 'no such file or directory'],
    [join(folder, 'file', 'below'), 'ENOTDIR', 'lstat', 'not a directory'],
    [join(folder, 'n'.repeat(300)), 'ENAMETOOLONG', 'lstat', 'name too long'],
    [join(folder, "it's, open 'x'", 'x'), 'ENOENT', 'open', 'no such file or directory'],
  ] as const
  for (const [path, code, syscall, why] of refusals) {
    const message = `${code}: ${why}, ${syscall} '${path}'`
    const errno = -constants.errno[code]
    await t.rejects(replaceFile(path, ''), { code, errno, syscall, path, message })
  }
  t.same(readdirSync(folder), ['file'])
})

t.test('a full disk is said of the file', async (t) => {
  const folder = t.testdir()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k', 'none', folder])
  const path = join(folder, 'file')
  const outcome = await replaceFile(path, 'x'.repeat(100_000)).catch((error: unknown) => error)
  const left = readdirSync(folder)
  execFileSync('umount', [folder])
  const message = `ENOSPC: no space left on device, write '${path}'`
  t.match(outcome, { code: 'ENOSPC', syscall: 'write', path, message })
  t.same(left, [])
})

t.test('a failure on the way leaves the old file and nothing beside it', async (t) => {
  const folder = t.testdir({ file: 'old' })
  const path = join(folder, 'file')
  chownSync(folder, 65534, 65534)
  // Another user may write into the folder, but cannot make the new file root's.
  process.seteuid?.(65534)
  const outcome = await replaceFile(path, 'new').catch((error: unknown) => error)
  process.seteuid?.(0)
  const message = `EPERM: operation not permitted, fchown '${path}'`
  t.match(outcome, { code: 'EPERM', syscall: 'fchown', path, message })
  t.same(readdirSync(folder), ['file'])
  t.equal(readFileSync(path, 'utf8'), 'old')
})

/** The name under which a file is being written. */
const temporaryOf = async (path: string): Promise<string> => {
  const names: string[] = []
  const watcher = watch(dirname(path), (_, name) => names.push(name ?? ''))
  await replaceFile(path, 'text')
  for (let n = 0; names.length === 0 && n < 100; ++n) await new Promise(setImmediate)
  watcher.close()
  return names.find((name) => name.endsWith('.tmp')) ?? 'none'
}

t.test('what a killed writer left is deleted later, and nothing else', async (t) => {
  const folder = t.testdir()
  const path = join(folder, 'file')
  const temporary = await temporaryOf(path)
  const other = await temporaryOf(join(folder, 'other'))
  t.match(temporary, /^\.ipvs-netlink\.[0-9a-f]{12}\.[0-9a-f]{24}\.tmp$/)
  const recent = `${temporary}.recent.tmp`
  for (const name of [temporary, recent, other, '.foreign.tmp']) {
    writeFileSync(join(folder, name), 'half of a te')
    const then = Date.now() / 1000 - (name === recent ? 500 : 700)
    utimesSync(join(folder, name), then, then)
  }
  await replaceFile(path, 'whole text')
  t.equal(readFileSync(path, 'utf8'), 'whole text')
  t.same(readdirSync(folder).sort(), ['.foreign.tmp', 'file', 'other', recent, other].sort())
})

t.test('a name as long as a name may be', async (t) => {
  const path = join(t.testdir(), 'n'.repeat(255))
  await replaceFile(path, 'text')
  t.equal(readFileSync(path, 'utf8'), 'text')
})
