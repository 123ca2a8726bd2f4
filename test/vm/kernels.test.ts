// The kernel tests, on every kernel: each in a virtual machine of its own, whose TAP becomes ours.
//
//   IPVS_NETLINK_KERNELS=6.1,7.3    only these
//   IPVS_NETLINK_HERE=1             no virtual machine: a namespace of this machine, whose own kernel
//                                   must have IPVS (needs root)

import { access } from 'node:fs/promises'

import t from 'tap'
import { kernels } from '#vm/vm'

const suite = [process.execPath, 'dist-test/kernel/run.js']
const seconds = 900

const here = process.env['IPVS_NETLINK_HERE'] === '1'
const chosen = process.env['IPVS_NETLINK_KERNELS']?.split(',') ?? kernels.map(({ name }) => name)

/** Nothing on standard output and a status of 0 would count as a skip. */
const spawn = async (name: string, command: string, args: string[]): Promise<void> => {
  const results = await t.spawn(command, args, { name, timeout: (seconds + 600) * 1000 })
  t.ok((results?.count ?? 0) > 0, `tests ran on ${name}`)
}

t.setTimeout(kernels.length * (seconds + 600) * 1000)

if (here) {
  t.equal(process.getuid?.(), 0, 'a namespace of this machine needs root')
  await access('/proc/net/ip_vs').catch(() => t.fail('this kernel has no IPVS: modprobe ip_vs'))
  await spawn('this machine', 'unshare', ['--net', ...suite])
} else {
  for (const kernel of chosen) {
    const vm = ['test/vm/run.mjs', '--kernel', kernel, '--timeout', String(seconds), '--', ...suite]
    await spawn(`kernel ${kernel}`, process.execPath, vm)
  }
}
