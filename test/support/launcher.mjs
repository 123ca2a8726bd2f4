// @ts-check
// Programs run through launcher.c, which is compiled at its first use; `node test/support/launcher.mjs` does that alone.

import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * @typedef {object} LaunchOptions
 * @property {string} [netns] path of the network namespace to run it in
 * @property {string} [input] its standard input
 * @property {number} [timeout] milliseconds, after which it is killed
 *
 * @typedef {object} Ended
 * @property {number} status -1 after the timeout, 128 and more after a signal
 * @property {string} stdout
 * @property {string} stderr
 */

const source = fileURLToPath(new URL('launcher.c', import.meta.url))
const binary = fileURLToPath(new URL('../../out/launcher', import.meta.url))

/** @param {string} path */
const changed = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

export function compileLauncher() {
  if (changed(binary) > changed(source)) return
  mkdirSync(dirname(binary), { recursive: true })
  const flags = ['-std=c17', '-O2', '-Wall', '-Wextra', '-Werror', '-static']
  execFileSync('cc', [...flags, '-o', binary, source], { stdio: ['ignore', 2, 2] })
}

/** Milliseconds that a program gets when nothing else is said. */
const patience = 280_000

class Launcher {
  /** @type {Map<number, { resolve: (ended: Ended) => void, reject: (error: Error) => void }>} */
  #waiting = new Map()
  #last = 0
  #read = Buffer.alloc(0)
  #child

  constructor() {
    compileLauncher()
    this.#child = spawn(binary, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.stdout.on('data', (/** @type {Buffer} */ chunk) => this.#take(chunk))
    // A broken pipe shows in its end, too.
    this.#child.stdin.on('error', () => {})
    this.#child.once('close', (status, signal) => this.#fail(`${signal ?? status}`))
    this.#child.unref()
    this.#keepAlive(false)
  }

  /** Only what is under way keeps this process. @param {boolean} isNeeded */
  #keepAlive(isNeeded) {
    for (const stream of [this.#child.stdout, this.#child.stdin]) {
      const pipe = /** @type {import('node:net').Socket} */ (/** @type {unknown} */ (stream))
      if (isNeeded) pipe.ref()
      else pipe.unref()
    }
  }

  /** @param {string} how */
  #fail(how) {
    for (const { reject } of this.#waiting.values()) reject(new Error(`the launcher ended: ${how}`))
    this.#waiting.clear()
  }

  /** @param {Buffer} chunk */
  #take(chunk) {
    this.#read = Buffer.concat([this.#read, chunk])
    for (;;) {
      const end = this.#read.indexOf('\n')
      if (end < 0) return
      const [id = 0, status = 0, output = 0, error = 0] = this.#read
        .toString('latin1', 0, end)
        .split(' ')
        .map(Number)
      const start = end + 1
      if (this.#read.length < start + output + error) return
      const stdout = this.#read.toString('utf8', start, start + output)
      const stderr = this.#read.toString('utf8', start + output, start + output + error)
      this.#read = this.#read.subarray(start + output + error)
      this.#waiting.get(id)?.resolve({ status, stdout, stderr })
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) this.#keepAlive(false)
    }
  }

  /**
   * @param {readonly string[]} argv
   * @param {LaunchOptions} options
   * @returns {Promise<Ended>}
   */
  launch(argv, { netns = '', input = '', timeout = patience }) {
    const id = ++this.#last
    const [place, args, given] = [netns, argv.map((arg) => `${arg}\0`).join(''), input].map(
      (text) => Buffer.from(text),
    )
    if (!place || !args || !given) throw new Error('unreachable')
    const sizes = [place.length, argv.length, args.length, given.length]
    const ended = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    this.#keepAlive(true)
    const line = Buffer.from(`${[id, timeout, ...sizes].join(' ')}\n`)
    this.#child.stdin.write(Buffer.concat([line, place, args, given]))
    return ended
  }
}

/** @type {Launcher | undefined} */
let launcher

/**
 * Runs a program to its end, however that is.
 *
 * @param {readonly string[]} argv
 * @param {LaunchOptions} [options]
 */
export async function launch(argv, options = {}) {
  launcher ??= new Launcher()
  return await launcher.launch(argv, options)
}

/**
 * Runs a program to its end and answers what it wrote to its standard output; rejects when it fails.
 *
 * @param {readonly string[]} argv
 * @param {LaunchOptions} [options]
 */
export async function run(argv, options = {}) {
  const { status, stdout, stderr } = await launch(argv, options)
  if (status === 0) return stdout
  const why =
    stderr.trim() ||
    (status === -1 ? `no end within ${options.timeout ?? patience} ms` : `status ${status}`)
  const error = new Error(`${argv.join(' ')}: ${why}\n${options.input ?? ''}`.trimEnd())
  throw Object.assign(error, { code: status, stdout, stderr })
}

/** Makes a network namespace at a path, with lo up. @param {string} path */
export async function addNamespace(path) {
  await run(['netns-add', path])
}

/** @param {string} path */
export async function deleteNamespace(path) {
  await run(['netns-delete', path])
}

if (process.argv[1] === fileURLToPath(import.meta.url)) compileLauncher()
