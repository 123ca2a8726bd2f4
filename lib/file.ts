// Files that are replaced in one step: whoever reads one, at whatever moment and after whatever
// crash, finds the old text or the new one, whole.

import { createHash, randomBytes } from 'node:crypto'
import { constants as files } from 'node:fs'
import type { Stats } from 'node:fs'
import { lstat, open, readdir, rename, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { constants as system } from 'node:os'
import { basename, dirname, join } from 'node:path'

interface Ownership {
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** Without what the umask denies. */
const modeOfNewFile = 0o644

// Shaped as Node's own, for what the file system itself would not refuse.
const refusal = (code: 'ELOOP' | 'EISDIR' | 'EINVAL' | 'EFBIG', why: string, path: string): Error =>
  Object.assign(new Error(`${code}: ${why}, open '${path}'`), {
    code,
    errno: -system.errno[code],
    syscall: 'open',
    path,
  })

const symbolicLink = (path: string): Error =>
  refusal('ELOOP', 'a symbolic link is not followed', path)

/** An error of the file system as it is for the file that was to be written, whatever was touched. */
const namingTarget = (error: unknown, target: string): unknown => {
  if (!(error instanceof Error && 'code' in error && 'syscall' in error)) return error
  const { code, errno, syscall } = error as NodeJS.ErrnoException
  // Without the call and the paths that Node names, which is what follows the last comma.
  const why = error.message.replace(new RegExp(`, ${syscall ?? ''}( '.*)?$`, 's'), '')
  const message = `${why}, ${syscall ?? ''} '${target}'`
  const named = new Error(message, { cause: error })
  return Object.assign(named, { code, errno, syscall, path: target })
}

export const isAbsence = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT'

const notRegular = (found: Stats, path: string): Error =>
  found.isDirectory()
    ? refusal('EISDIR', 'illegal operation on a directory', path)
    : refusal('EINVAL', 'not a regular file', path)

/**
 * What is known of a regular file. It is not opened: opening a device may do something, opening a
 * terminal may give it to this process, and opening a pipe lets go who waits at its other end.
 */
const lookAt = async (path: string, followsLinks: boolean): Promise<Stats> => {
  const found = await (followsLinks ? stat(path) : lstat(path))
  if (found.isSymbolicLink()) throw symbolicLink(path)
  if (!found.isFile()) throw notRegular(found, path)
  return found
}

/** Mode and owner of the file that is there. What is there for its users' sake is not replaced. */
const ownershipOf = async (path: string): Promise<Ownership | undefined> => {
  const found = await lookAt(path, false).catch((error: unknown) => {
    if (isAbsence(error)) return undefined
    throw error
  })
  return found && { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid }
}

const closing = async <T>(file: FileHandle, work: (file: FileHandle) => Promise<T>): Promise<T> => {
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}

const fill = async (file: FileHandle, text: string, old: Ownership | undefined): Promise<void> => {
  await file.writeFile(text)
  const own = await file.stat()
  if (old && (own.uid !== old.uid || own.gid !== old.gid)) await file.chown(old.uid, old.gid)
  // After the owner, whose change takes some bits of the mode away.
  if (old) await file.chmod(old.mode)
  await file.sync()
}

/** How the names of a file's temporary ones begin: of one length, however long its own is. */
const startOfTemporary = (path: string): string => {
  const name = createHash('sha256').update(basename(path)).digest('hex').slice(0, 12)
  return `.ipvs-netlink.${name}.`
}

/** No writer that lives takes so many milliseconds from making its file to giving it the name. */
const abandonedAfter = 600_000

/** Deletes what writers of this file left that were killed. Whether it can is nobody's concern. */
const sweep = async (folder: string, start: string): Promise<void> => {
  const names = await readdir(folder)
  for (const name of names.filter((each) => each.startsWith(start))) {
    const path = join(folder, name)
    const { mtimeMs } = await lstat(path)
    if (Date.now() - mtimeMs > abandonedAfter) await unlink(path)
  }
}

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = files

/** A million and a half of the longest rules; far below what Node can hold in one text. */
const mostBytes = 2 ** 28

/** How a file is read. */
interface Reading {
  /** Whether a symbolic link is followed. Refused otherwise: `ELOOP`. */
  readonly followsLinks: boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * The text of a regular file of at most 256 MiB (`EFBIG`). Whatever else the path names is refused and
 * not opened. Rejects with Node's own file system errors.
 */
export const readText = async (
  path: string,
  { followsLinks, signal }: Reading,
): Promise<string> => {
  await lookAt(path, followsLinks)
  // It may have become something else since, which is not to be waited for.
  const flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | (followsLinks ? 0 : O_NOFOLLOW)
  return closing(await open(path, flags), async (file) => {
    const found = await file.stat()
    if (!found.isFile()) throw notRegular(found, path)
    if (found.size > mostBytes) throw refusal('EFBIG', 'larger than 256 MiB', path)
    return file.readFile({ encoding: 'utf8', ...(signal && { signal }) })
  })
}

const replace = async (path: string, text: string): Promise<void> => {
  const old = await ownershipOf(path)
  const folder = dirname(path)
  const start = startOfTemporary(path)
  const temporary = join(folder, `${start}${randomBytes(12).toString('hex')}.tmp`)
  // Nobody is to read it before it has its own mode.
  const mode = old ? 0o600 : modeOfNewFile
  const created = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode)
  try {
    await closing(created, (file) => fill(file, text, old))
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await closing(await open(folder, O_RDONLY | O_DIRECTORY), (opened) => opened.sync())
  await sweep(folder, start).catch(() => undefined)
}

/**
 * Writes a file whole: a new one beside it, which is on the disk before it takes the name. A file
 * that exists keeps its mode and owner, a new one gets mode 0644 without what the umask denies. Refused are a symbolic link
 * (`ELOOP`) and whatever else is no regular file. Rejects with Node's own file system errors, which
 * name this path, and leaves the old file as it was then (unless only the folder could not be brought
 * to the disk). A process that is killed may leave the new one beside it; ten minutes later and more,
 * the next to write this file deletes it.
 */
export const replaceFile = async (path: string, text: string): Promise<void> => {
  try {
    await replace(path, text)
  } catch (error) {
    throw namingTarget(error, path)
  }
}
