// What serves goes only when what is to serve in its place is there: on the fake, whose next calls are
// made to fail.

import { subscribe, unsubscribe } from 'node:diagnostics_channel'

import t from 'tap'

import type { VirtualServer } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'
import type { FakeIpvs } from 'ipvs-netlink/testing'

const web = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const moved = { ...web, address: '10.0.0.2' } as const
const other = { ...web, port: 81 } as const
const a = { address: '192.168.0.1' } as const
const b = { address: '192.168.0.2' } as const

const served = async (...services: readonly VirtualServer[]): Promise<FakeIpvs> => {
  const ipvs = createFakeIpvs({ schedulers: ['wlc', 'rr'] })
  const { failed } = await ipvs.apply(services)
  if (failed.length > 0) throw new Error('the table could not be made')
  return ipvs
}

const opsOf = (changes: readonly { readonly op: string }[]): string[] => changes.map(({ op }) => op)

/** How many times changes were sent. */
const tripsOf = async (work: () => Promise<unknown>): Promise<number> => {
  let trips = 0
  const count = (message: unknown): void => {
    if (!(message as { command: string }).command.startsWith('GET_')) ++trips
  }
  subscribe('ipvs-netlink:request', count)
  await work()
  unsubscribe('ipvs-netlink:request', count)
  return trips
}

t.test('a destination stays when the one in its place is refused', async (t) => {
  const ipvs = await served({ ...web, destinations: [a] }, { ...other, destinations: [a] })
  ipvs.failNext('addDestination', 'ERR_IPVS_PERMISSION')
  const desired = [
    { ...web, destinations: [b] },
    { ...other, destinations: [] },
  ]
  const { changes, failed } = await ipvs.apply(desired)
  t.match(await ipvs.listDestinations(web), [a])
  t.same(await ipvs.listDestinations(other), [], 'another service does not wait')
  t.same(opsOf(changes), ['deleteDestination'])
  t.match(failed, [
    { change: { op: 'addDestination' }, error: { code: 'ERR_IPVS_PERMISSION' } },
    {
      change: { op: 'deleteDestination', service: web, destination: a },
      error: {
        name: 'IpvsError',
        code: 'ERR_IPVS_HELD_BACK',
        command: 'DEL_DEST',
        service: web,
        destination: a,
        message:
          /^Kept destination 192\.168\.0\.1:80 of service tcp 10\.0\.0\.1:80, since .*CAP_NET/,
        cause: { code: 'ERR_IPVS_PERMISSION' },
      },
    },
  ])
  t.equal(failed.length, 2)
  t.same((await ipvs.apply(desired)).failed, [], 'and goes when it is not')
  t.match(await ipvs.listDestinations(web), [b])
})

t.test('a destination stays when the one in its place gets no weight', async (t) => {
  const ipvs = await served({ ...web, destinations: [a, { ...b, weight: 0 }] })
  ipvs.failNext('editDestination', 'ERR_IPVS_REFUSED')
  const { failed } = await ipvs.apply([{ ...web, destinations: [b] }])
  t.same(opsOf(failed.map(({ change }) => change)), ['editDestination', 'deleteDestination'])
  t.equal((await ipvs.listDestinations(web)).length, 2)
})

t.test('what replaces nothing is not waited for', async (t) => {
  const ipvs = await served({ ...web, destinations: [a, b] }, { ...other, destinations: [] })
  ipvs.failNext('editDestination', 'ERR_IPVS_REFUSED')
  const desired = [{ ...web, destinations: [{ ...b, weight: 0 }] }]
  const { failed } = await ipvs.apply(desired, { prune: true })
  t.same(opsOf(failed.map(({ change }) => change)), ['editDestination'])
  t.match(await ipvs.snapshot(), [{ ...web, destinations: [b] }])
})

t.test('a service stays when another one cannot be added', async (t) => {
  const ipvs = await served({ ...web, destinations: [a] })
  const desired = [{ ...moved, scheduler: 'wrr', destinations: [a] }]
  const { changes, failed } = await ipvs.apply(desired, { prune: true })
  t.same(changes, [])
  t.match(failed, [
    { change: { op: 'addService' }, error: { code: 'ERR_IPVS_NO_SCHEDULER' } },
    {
      change: { op: 'deleteService', service: web },
      error: { code: 'ERR_IPVS_HELD_BACK', message: /^Kept service tcp 10\.0\.0\.1:80, since / },
    },
  ])
  t.equal(failed.length, 2)
  t.match(await ipvs.snapshot(), [{ ...web, destinations: [a] }])
})

t.test('a service stays when another one gets no destination', async (t) => {
  const ipvs = await served({ ...web, destinations: [a] })
  ipvs.failNext('addDestination', 'ERR_IPVS_REFUSED')
  const { failed } = await ipvs.apply([{ ...moved, destinations: [a] }], { prune: true })
  t.same(opsOf(failed.map(({ change }) => change)), ['addDestination', 'deleteService'])
  t.equal((await ipvs.listServices()).length, 2)
})

t.test('what was refused in an earlier round is still waited for', async (t) => {
  const ipvs = await served({ ...web, destinations: [a] })
  ipvs.failNext('addDestination', 'ERR_IPVS_REFUSED')
  ipvs.failNext('addService', 'ERR_IPVS_OUTCOME_UNKNOWN')
  const desired = [
    { ...web, destinations: [b] },
    { ...moved, destinations: [] },
  ]
  const { failed } = await ipvs.apply(desired)
  t.same(opsOf(failed.map(({ change }) => change)), ['addDestination', 'deleteDestination'])
  t.match(await ipvs.listDestinations(web), [a])
})

t.test('a lost race is waited out', async (t) => {
  const ipvs = await served({ ...web, destinations: [a] })
  ipvs.failNext('addDestination', 'ERR_IPVS_OUTCOME_UNKNOWN')
  const { changes, failed } = await ipvs.apply([{ ...web, destinations: [b] }])
  t.same([opsOf(changes), failed], [['addDestination', 'deleteDestination'], []])
  t.match(await ipvs.listDestinations(web), [b])
})

t.test('restore never leaves the table without what served', async (t) => {
  const ipvs = await served({ ...web, destinations: [a] })
  const before = await ipvs.save()
  const rules = '-A -t 10.0.0.2:80 -s wrr\n-a -t 10.0.0.2:80 -r 192.168.0.1 -g\n'
  await t.rejects(ipvs.restore(rules), {
    code: 'ERR_IPVS_NO_SCHEDULER',
    line: 1,
    errors: [{ code: 'ERR_IPVS_NO_SCHEDULER' }, { code: 'ERR_IPVS_HELD_BACK' }],
  })
  t.equal(await ipvs.save(), before)
})

t.test('changes are made as planned, in two trips only where removals wait', async (t) => {
  const desired: readonly VirtualServer[] = [
    { ...web, scheduler: 'rr', destinations: [b] },
    { ...moved, destinations: [a] },
  ]
  const ipvs = await served({ ...web, destinations: [a] }, { ...other, destinations: [a] })
  const planned = await ipvs.plan(desired, { prune: true })
  const waiting = await tripsOf(async () => {
    t.same(await ipvs.apply(desired, { prune: true }), { ...planned, failed: [] })
  })
  t.equal(waiting, 2)
  const removing = tripsOf(async () => ipvs.apply([{ ...web, destinations: [] }], { prune: true }))
  t.equal(await removing, 1)
})

/** Aborts, or closes the handle, when so many batches have ended. */
const after = (ipvs: FakeIpvs, batches: number, end: () => unknown): void => {
  const batch = ipvs.batch.bind(ipvs)
  let count = 0
  ipvs.batch = async (...given) => {
    const outcomes = await batch(...given)
    if (++count === batches) void end()
    return outcomes
  }
}

t.test('what ends it between its batches is told what was made', async (t) => {
  const desired = [{ ...web, destinations: [b] }]
  const made = [{ op: 'addDestination', destination: b, reason: 'declared, and not there' }]
  const message = /^1 change was made, and is in this error's changes\. Of the rest: /
  const check = async (ipvs: FakeIpvs, error: object, signal?: AbortSignal): Promise<void> => {
    const onlooker = ipvs.openAnother()
    await t.rejects(ipvs.apply(desired, { signal }), { ...error, message, changes: made })
    t.match(await onlooker.listDestinations(web), [b, a], 'both serve')
  }
  const aborted = await served({ ...web, destinations: [a] })
  const controller = new AbortController()
  after(aborted, 1, () => controller.abort('enough'))
  const abort = { name: 'AbortError', code: 'ABORT_ERR', cause: 'enough' }
  await check(aborted, abort, controller.signal)

  const closed = await served({ ...web, destinations: [a] })
  after(closed, 1, () => closed.close())
  await check(closed, { name: 'IpvsError', code: 'ERR_IPVS_CLOSED' })

  const unread = await served({ ...web, destinations: [a] })
  unread.failNext('deleteDestination', 'ERR_IPVS_OUTCOME_UNKNOWN')
  after(unread, 2, () => unread.failNext('snapshot', 'ERR_IPVS_TIMEOUT'))
  await t.rejects(unread.apply(desired), {
    code: 'ERR_IPVS_OUTCOME_UNKNOWN',
    message: /^1 change was made, .* 1 change may have been made, .* Of the rest: /,
    cause: { code: 'ERR_IPVS_TIMEOUT' },
    changes: made,
    failed: [{ change: { op: 'deleteDestination' } }],
  })
})

t.test('what ends it before anything was made has nothing to tell', async (t) => {
  const ipvs = await served({ ...web, destinations: [a] })
  const signal = AbortSignal.abort()
  const error: unknown = await ipvs.apply([], { signal }).catch((each: unknown) => each)
  t.match(error, { name: 'AbortError', message: 'The call was aborted before it was sent' })
  t.notOk('changes' in (error as object))
})

t.test('a restore that is ended before its last lines says so', async (t) => {
  const ipvs = await served({ ...web, destinations: [a] })
  const controller = new AbortController()
  after(ipvs, 1, () => controller.abort())
  const text = '-A -t 10.0.0.1:80 -s rr\n--set 100 0 50\n'
  await t.rejects(ipvs.restore(`-C\n${text}`, { signal: controller.signal }), {
    name: 'AbortError',
    message: /^Services and destinations were restored, the rest was not: .* before it was sent$/,
  })
  t.match(await ipvs.listServices(), [{ scheduler: 'rr' }])
  t.match(await ipvs.timeouts(), { tcp: 900 })
})
