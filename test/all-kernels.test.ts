// The kernel tests, on every kernel: each in a virtual machine of its own, whose TAP becomes ours.
// They take longest, so their name has them started among the first.
//
//   IPVS_NETLINK_KERNELS=6.1,7.3    only these
//   IPVS_NETLINK_HERE=1             no virtual machine: a namespace of this machine, whose own kernel
//                                   must have IPVS (needs root)

import { createWriteStream } from 'node:fs'
import { access, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'

import t from 'tap'
import { kernels, runInVm, VmError } from '#vm/vm'

const suite = ['dist-test/kernel/run.js']
// Of which most is not needed: a machine may be five times slower, and is not to fail for that.
const seconds = 2400

const here = process.env['IPVS_NETLINK_HERE'] === '1'
const chosen = process.env['IPVS_NETLINK_KERNELS']?.split(',') ?? kernels.map(({ name }) => name)

/** Nothing on standard output and a status of 0 would count as a skip. */
const spawn = async (name: string, command: string, args: string[]): Promise<void> => {
  const results = await t.spawn(command, args, { name, timeout: (seconds + 600) * 1000 })
  t.ok((results?.count ?? 0) > 0, `tests ran on ${name}`)
}

/** Runs the suite with its output in files; the exit status, or how the machine failed. */
const runInto = async (
  kernel: string,
  files: { readonly tap: string; readonly said: string },
): Promise<number | VmError> => {
  const [stdout, stderr] = [createWriteStream(files.tap), createWriteStream(files.said)]
  try {
    const options = { kernel, command: process.execPath, args: suite, timeout: seconds }
    const { status, kernelErrors, kernelWarnings } = await runInVm({ ...options, stdout, stderr })
    for (const line of [...kernelErrors, ...kernelWarnings]) stderr.write(`kernel log: ${line}\n`)
    return status
  } catch (error) {
    if (error instanceof VmError) return error
    throw error
  } finally {
    await Promise.all([stdout, stderr].map(async (stream) => finished(stream.end())))
  }
}

const lastOf = (text: string): string => text.trimEnd().split('\n').slice(-20).join('\n')

const testOn = async (kernel: string): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'ipvs-netlink-kernel-'))
  const files = { tap: join(directory, 'tap'), said: join(directory, 'said') }
  try {
    let ending = await runInto(kernel, files)
    // The emulator, not the suite, brought the machine down: that is said, and tried once more. A
    // program that crashed in a machine that lives, or a time-out, is a failure at once.
    if (ending instanceof VmError && ending.exitStatus !== VmError.timedOut) {
      process.stderr.write(`${ending.message}\nkernel ${kernel}: tried once more\n`)
      ending = await runInto(kernel, files)
    }
    await spawn(`kernel ${kernel}`, 'cat', [files.tap])
    const said = lastOf(await readFile(files.said, 'utf8'))
    if (ending instanceof VmError) t.fail(`kernel ${kernel}: ${lastOf(ending.message)}`, { said })
    else if (said !== '' || ending !== 0) {
      t.equal(ending, 0, `the exit status on kernel ${kernel}`, { said })
    }
  } finally {
    await rm(directory, { recursive: true })
  }
}

t.setTimeout(kernels.length * (seconds + 600) * 1000)

if (here) {
  t.equal(process.getuid?.(), 0, 'a namespace of this machine needs root')
  await access('/proc/net/ip_vs').catch(() => t.fail('this kernel has no IPVS: modprobe ip_vs'))
  await spawn('this machine', 'unshare', ['--net', process.execPath, ...suite])
} else {
  for (const kernel of chosen) await testOn(kernel)
}
