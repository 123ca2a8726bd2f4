// The whole space of valid tables, both ways: what we write is what ipvsadm reads, what ipvsadm
// writes is what we read, and what we read can be written back. Rules and descriptions are rendered
// here, from a model that knows nothing of the library.

import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'

import type { Ipvs, Operation, VirtualServerState } from 'ipvs-netlink'

import { launch } from '../../test/support/launcher.mjs'
import {
  anyTable,
  canonicalRule,
  expectedLines,
  linesOf,
  longestOfIpvsadm,
  longestOfOurs,
  mustBeSame,
  operationsFor,
  restorable,
  savedRules,
  text,
} from '../fixtures/tables.js'
import type { Model, Values } from '../fixtures/tables.js'
import { makeBed } from './bed.js'
import type { Bed } from './bed.js'

const rulesOf = async ({ rules }: Bed): Promise<string[]> => (await rules()).map(canonicalRule)

/** All of them, or it says which one was refused and why. */
const mustSucceed = async (ipvs: Ipvs, operations: readonly Operation[]): Promise<void> => {
  const outcomes = await ipvs.batch(operations)
  outcomes.forEach((outcome, index) => {
    if (!outcome.ok) throw new Error(`${outcome.error.message} ${text(operations[index])}`)
  })
}

const write = async (ipvs: Ipvs, models: readonly Model[]): Promise<void> => {
  await ipvs.clear()
  await mustSucceed(ipvs, operationsFor(models))
}

// To see a failure again: SEED=... as it was printed.
const { SEED } = process.env

/**
 * Checks a property of one table. A table that breaks it is not made smaller, which would take
 * minutes here: what differs in it is shown.
 */
const check = async (
  t: Test,
  table: fc.Arbitrary<Model[]>,
  holds: (models: Model[]) => Promise<void>,
): Promise<void> => {
  const { failed, seed, errorInstance } = await fc.check(fc.asyncProperty(table, holds), {
    numRuns: 1,
    endOnFailure: true,
    ...(SEED !== undefined && { seed: Number(SEED) }),
  })
  t.notOk(failed, `seed ${seed}${failed ? `: ${String(errorInstance)}` : ''}`)
}

t.test('what we write is what ipvsadm reads', async (t) => {
  const bed = await makeBed(t)
  await check(t, anyTable(75, await bed.schedulers(), longestOfOurs), async (models) => {
    await write(bed.ipvs, models)
    mustBeSame('ipvsadm -Sn', await rulesOf(bed), savedRules(models))
    mustBeSame('snapshot', linesOf(await bed.ipvs.snapshot()), expectedLines(models))
  })
})

/** Standard input for a program inside the namespace. */
const feed = async ({ netns }: Bed, input: string, ...command: string[]): Promise<void> => {
  const { status, stderr } = await launch(command, { netns, input })
  if (status !== 0 || stderr !== '') throw new Error(stderr || `status ${status}`)
}

t.test('what ipvsadm writes is what we read, every default filled in', async (t) => {
  const bed = await makeBed(t)
  await check(t, anyTable(75, await bed.schedulers(), longestOfIpvsadm), async (models) => {
    await bed.ipvs.clear()
    await feed(bed, `${models.flatMap(restorable).join('\n')}\n`, 'ipvsadm', '-R')
    mustBeSame('snapshot', linesOf(await bed.ipvs.snapshot()), expectedLines(models))
  })
})

const additions = (table: readonly VirtualServerState[]): Operation[] =>
  table.flatMap((service) => [
    { op: 'addService', service },
    // The kernel lists the newest first.
    ...service.destinations
      .toReversed()
      .map((destination) => ({ op: 'addDestination', service, destination }) as const),
  ])

const edits = (table: readonly VirtualServerState[]): Operation[] =>
  table.flatMap((service) => [
    { op: 'editService', service },
    ...service.destinations.map(
      (destination) => ({ op: 'editDestination', service, destination }) as const,
    ),
  ])

t.test('what we read can be written back as it is', async (t) => {
  const bed = await makeBed(t)
  const { ipvs } = bed
  await check(t, anyTable(75, await bed.schedulers(), longestOfOurs), async (models) => {
    await write(ipvs, models)
    const before = await ipvs.snapshot()
    const rules = await rulesOf(bed)
    await ipvs.clear()
    mustBeSame('cleared', linesOf(await ipvs.snapshot()), [])
    await mustSucceed(ipvs, additions(before))
    const after = await ipvs.snapshot()
    mustBeSame('added again', linesOf(after), linesOf(before))
    // In the same order as well.
    for (const service of before) {
      const again = after.find((each) => text(keyOf(each)) === text(keyOf(service)))
      mustBeSame('order', [linesOf(again ? [again] : []).join()], [linesOf([service]).join()])
    }
    await mustSucceed(ipvs, edits(after))
    mustBeSame('edited', linesOf(await ipvs.snapshot()), linesOf(before))
    mustBeSame('ipvsadm -Sn', await rulesOf(bed), rules)
  })
})

const keyOf = (service: VirtualServerState): Values =>
  'fwmark' in service
    ? { fwmark: service.fwmark, family: service.family }
    : { protocol: service.protocol, address: service.address, port: service.port }

t.test('every way of reading says the same, with totals as number or bigint', async (t) => {
  const bed = await makeBed(t)
  const { ipvs } = bed
  const few = anyTable(15, await bed.schedulers(), longestOfOurs)
  await check(t, few, async (models) => {
    await write(ipvs, models)
    const table = await ipvs.snapshot({ bigint: true })
    const services = await ipvs.listServices({ bigint: true })
    mustBeSame(
      'listServices',
      services.map((service) => text(asNumbers(service))),
      table.map((service) => text(asNumbers(service))),
    )
    for (const service of table) {
      const { destinations } = service
      const one = await ipvs.getService(service)
      mustBeSame('getService', [text(one)], [text(asNumbers(service))])
      mustBeSame(
        'listDestinations',
        (await ipvs.listDestinations(service)).map(text),
        destinations.map((destination) => text(asNumbers(destination))),
      )
    }
  })
})

const totalNames = ['connections', 'packetsIn', 'packetsOut', 'bytesIn', 'bytesOut']

/** With totals, all of which have to be bigint, as numbers. */
const asNumbers = (read: { readonly stats: object }): unknown => ({
  ...read,
  destinations: undefined,
  stats: Object.fromEntries(
    Object.entries(read.stats).map(([name, value]: [string, unknown]) => {
      const wanted = totalNames.includes(name) ? 'bigint' : 'number'
      if (typeof value !== wanted) throw new Error(`${name} is a ${typeof value}`)
      return [name, Number(value)]
    }),
  ),
})

/** Waits for the kernel, which adds its counters up every two seconds. */
const until = async (t: Test, what: string, holds: () => Promise<boolean>): Promise<void> => {
  const deadline = Date.now() + 20_000
  while (!(await holds())) {
    if (Date.now() > deadline) return void t.fail(what)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

t.test('counters of traffic are the same as number, as bigint and to ipvsadm', async (t) => {
  const { ipvs, inside } = await makeBed(t)
  const udp = { protocol: 'udp', address: '10.0.0.1', port: 53 } as const
  await inside('ip', 'address', 'add', '10.0.0.1/32', 'dev', 'lo')
  await ipvs.addService({ ...udp, scheduler: 'rr', onePacket: true })
  await ipvs.addDestination(udp, { address: '127.0.0.1', port: 5353, forwarding: 'nat' })
  await inside('bash', '-c', 'for i in 1 2 3 4 5; do echo hello > /dev/udp/10.0.0.1/53; done')
  await until(
    t,
    'five connections',
    async () => (await ipvs.getService(udp)).stats.connections === 5,
  )

  // Five packets of 20 + 8 + 6 bytes.
  const { stats } = await ipvs.getService(udp)
  t.match(stats, { connections: 5, packetsIn: 5, bytesIn: 170 })
  const exact = (await ipvs.getService(udp, { bigint: true })).stats
  t.match(exact, { connections: 5n, packetsIn: 5n, bytesIn: 170n })
  t.type(exact.packetsInPerSecond, 'number')
  const [destination] = await ipvs.listDestinations(udp, { bigint: true })
  t.match(destination?.stats, { connections: 5n, packetsIn: 5n, bytesIn: 170n })
  t.match(await ipvs.snapshot(), [
    { stats: { bytesIn: 170 }, destinations: [{ stats: { bytesIn: 170 } }] },
  ])
  t.match(await inside('ipvsadm', '-Ln', '--stats', '--exact'), /10\.0\.0\.1:53 +5 +5 +\d+ +170 /)

  await ipvs.editService({ ...udp, scheduler: 'wrr' })
  await ipvs.editDestination(udp, {
    address: '127.0.0.1',
    port: 5353,
    forwarding: 'nat',
    weight: 2,
  })
  t.match((await ipvs.getService(udp)).stats, { connections: 5 }, 'an edit keeps the counters')
  await ipvs.zero()
  t.match(await ipvs.snapshot(), [
    { stats: { connections: 0, bytesIn: 0 }, destinations: [{ stats: { packetsIn: 0 } }] },
  ])
})
