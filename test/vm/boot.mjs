// @ts-check
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ended, hasEnded, kill, startTied } from './child.mjs'
import { exists } from './files.mjs'

/**
 * @typedef {object} Machine
 * @property {string} directory the run's own, for the socket
 * @property {string} image
 * @property {string} initramfs
 * @property {number} memory in MiB
 * @property {boolean} icount whether to count instructions instead of time
 * @property {boolean} terminal whether the serial console is our own terminal
 */

/**
 * @typedef {object} Running
 * @property {Promise<void>} ended when QEMU is gone
 * @property {() => string} console the end of what the serial console said
 * @property {() => Promise<void>} stop ends it, now
 */

/** QEMU 7's own daemon, and the separate one that later versions of Debian have. */
const daemons = [
  {
    path: '/usr/lib/qemu/virtiofsd',
    args: ['-f', '-o', 'source=/,sandbox=chroot,cache=always,log_level=warn'],
  },
  {
    path: '/usr/libexec/virtiofsd',
    args: [
      '--shared-dir=/',
      '--sandbox=chroot',
      '--cache=always',
      '--log-level=warn',
      '--no-announce-submounts',
    ],
  },
]

const consoleTail = 64 * 1024

/** In the run's directory, and named from there: a socket's path has room for about a hundred bytes. */
const socket = 'share.socket'

const commandLine =
  'console=ttyS0 quiet panic=-1 mitigations=off nokaslr norandmaps cryptomgr.notests log_buf_len=1M'

/** @param {import('node:child_process').ChildProcess} child */
function tail(child) {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (/** @type {string} */ chunk) => {
      text = (text + chunk).slice(-consoleTail)
    })
  }
  return () => text
}

/** @param {string} directory */
async function startShare(directory) {
  for (const { path, args } of daemons) {
    if (!(await exists(path))) continue
    const daemon = startTied(path, [`--socket-path=${socket}`, ...args], {
      stdio: ['ignore', 'ignore', 'pipe'],
      cwd: directory,
    })
    const said = tail(daemon)
    while (!(await exists(join(directory, socket)))) {
      if (hasEnded(daemon)) throw new Error(`${path} ended: ${said()}`)
      await sleep(5)
    }
    return daemon
  }
  throw new Error(`there is no virtiofsd at ${daemons.map(({ path }) => path).join(' or ')}`)
}

/** @param {Machine} machine */
function processor({ icount }) {
  // cx16 is off because QEMU 7.2 emulates cmpxchg16b wrongly: with it, most boots of 6.12 panic. Without erms and fsrm
  // the kernel copies in loops of its own, as QEMU counts each iteration of a string instruction as one instruction.
  const counting = 'max,-erms,-fsrm,-cx16,family=15,model=1,stepping=1'
  if (icount) return ['-icount', 'shift=0,sleep=off', '-cpu', counting]
  // Without rdrand the first random number in the guest takes seconds.
  return ['-cpu', 'Nehalem,-cx16,+rdrand']
}

/** @param {Machine} machine */
function qemuArguments(machine) {
  return [
    ...['-accel', 'tcg', '-smp', '1', ...processor(machine)],
    ...['-object', `memory-backend-memfd,id=memory,size=${machine.memory}M,share=on`],
    ...['-m', `${machine.memory}M`, '-numa', 'node,memdev=memory'],
    ...['-chardev', `socket,id=share,path=${socket}`],
    ...['-device', 'vhost-user-fs-pci,chardev=share,tag=hostroot'],
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-serial', machine.terminal ? 'mon:stdio' : 'stdio'],
    ...['-kernel', machine.image, '-initrd', machine.initramfs],
    ...['-append', commandLine],
  ]
}

/**
 * Starts a machine whose root is the host's, shared by a daemon of its own.
 *
 * @param {Machine} machine
 * @returns {Promise<Running>}
 */
export async function boot(machine) {
  const share = await startShare(machine.directory)
  const qemu = startTied('qemu-system-x86_64', qemuArguments(machine), {
    stdio: machine.terminal ? 'inherit' : ['ignore', 'pipe', 'pipe'],
    cwd: machine.directory,
  })
  return {
    // However it ended: the status it left, or did not leave, tells the rest.
    ended: ended(qemu).then(
      () => {},
      () => {},
    ),
    console: tail(qemu),
    stop: async () => {
      await kill(qemu)
      await kill(share)
    },
  }
}
