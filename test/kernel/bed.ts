// What every kernel test needs: a network namespace of its own, and the kernel's own view of it.

import { setTimeout as sleep } from 'node:timers/promises'

import { openHost, openIpvs } from 'ipvs-netlink'
import type { Host, Ipvs } from 'ipvs-netlink'
import type { Test } from 'tap'

import { addNamespace, deleteNamespace, run as runToEnd } from '../../test/support/launcher.mjs'
import { findSchedulers } from '../scenarios/scene.js'
import type { Scene } from '../scenarios/scene.js'

/** Runs a program and answers its standard output; rejects when it fails. */
export const run = async (...argv: string[]): Promise<string> => runToEnd(argv)

export interface Bed extends Scene {
  /** Path of the namespace. */
  readonly netns: string
  readonly host: Host
  /** Runs a program inside the namespace. */
  readonly inside: (...argv: string[]) => Promise<string>
}

let count = 0

/** A fresh namespace with handles on it; both go when the test ends. */
export const makeBed = async (t: Test): Promise<Bed> => {
  const name = `bed-${process.pid}-${++count}`
  const netns = `/run/netns/${name}`
  await addNamespace(netns)
  const inside = async (...argv: string[]): Promise<string> => runToEnd(argv, { netns })
  const ipvs = await openIpvs({ netns })
  const host = await openHost({ netns })
  t.teardown(async () => {
    await ipvs.close()
    await host.close()
    await deleteNamespace(netns)
  })
  const rules = async (): Promise<string[]> => {
    const text = await inside('ipvsadm', '-Sn')
    return text
      .split('\n')
      .map((line) => line.trim())
      .filter((line) => line !== '')
  }
  const admin = async (line: string): Promise<string> => inside('ipvsadm', ...line.split(' '))
  const another = async (): Promise<Ipvs> => {
    const other = await openIpvs({ netns })
    t.teardown(async () => other.close())
    return other
  }
  const schedulers = async (): Promise<readonly string[]> => schedulersOf(ipvs)
  return { netns, ipvs, host, inside, rules, admin, another, schedulers }
}

/** A program for perl: sends datagrams to an address and port, so many, each from another port. */
export const datagrams = `
  use IO::Socket::INET;
  my ($address, $port, $times) = @ARGV;
  for (1 .. $times) {
    IO::Socket::INET->new(Proto => 'udp', PeerAddr => $address, PeerPort => $port)->send('hello');
  }
`

/**
 * lblc and lblcr have settings in every namespace. On 6.1 the first service that used lblc waited for ever
 * while namespaces were being removed, twice: it seems that the command holds a lock, while it loads the
 * module, that their removal waits for. Loaded beforehand, nothing waits.
 */
export const loadSchedulersWithSettings = async (): Promise<void> => {
  await run('modprobe', '-a', 'ip_vs_lblc', 'ip_vs_lblcr')
}

let found: readonly string[] | undefined

/** The schedulers of this kernel: before 6.5 it has no twos. */
const schedulersOf = async (ipvs: Ipvs): Promise<readonly string[]> => {
  if (found) return found
  await loadSchedulersWithSettings()
  found = await findSchedulers(ipvs)
  return found
}

export { refusal, tcp, udp6 } from '../scenarios/scene.js'

/** Unloads IPVS with all its schedulers and engines; only in a machine of our own. */
export const unloadIpvs = async (): Promise<void> => {
  if (process.env['VM_KERNEL'] === undefined) return
  const modules = (await run('lsmod')).match(/^ip_vs_\w+/gm) ?? []
  // The namespaces of earlier tests, which hold them, go by and by.
  for (let tries = 0; (await run('lsmod')).includes('ip_vs'); ++tries) {
    await run('modprobe', '-r', '-a', ...modules, 'ip_vs').catch(async (error: unknown) => {
      if (tries === 300) throw error
      await sleep(200)
    })
  }
}
