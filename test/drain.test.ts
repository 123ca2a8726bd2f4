// Drains of a table in memory: what they wait for, how they end, and that an aborted one leaves the
// table as it was. What the kernel makes of them is in kernel/drain.test.ts.

import { setTimeout as sleep } from 'node:timers/promises'

import t from 'tap'

import { IpvsError } from 'ipvs-netlink'
import type { DrainOptions, DrainProgress, DrainResult, Ipvs } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'
import type { FakeIpvs } from 'ipvs-netlink/testing'
import { destination, makeTable, service } from './fixtures/small-table.js'

const tcp = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
const one = { address: '192.168.0.1' } as const
const two = { address: '192.168.0.2' } as const
const quick = { interval: 5, timeout: 5000 } as const

const none = { activeConnections: 0, inactiveConnections: 0, persistentConnections: 0 }

const makeBusy = (
  more: Parameters<typeof destination>[1] = { activeConnections: 2 },
): ReturnType<typeof makeTable> =>
  makeTable(
    service(tcp, [destination(one.address, { weight: 5, ...more }), destination(two.address)]),
  )

/** What a program still has to do. */
const timers = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

t.test('it sets the weight to 0, waits for the connections, and deletes', async (t) => {
  const table = makeBusy()
  const progress: DrainProgress[] = []
  table.onLook = (number) => {
    const found = table.find(tcp).destinations[0]
    if (found && number === 3) found.activeConnections = 1
    if (found && number === 5) found.activeConnections = 0
  }
  const onProgress = (each: DrainProgress): void => void progress.push(each)
  const result = await table.drainDestination(tcp, one, { ...quick, onProgress })
  t.same(result, { drained: true, ended: 'drained', remaining: none })
  t.same(table.calls, [
    'listDestinations',
    'patchDestination 192.168.0.1 0',
    ...Array.from({ length: 4 }, () => 'listDestinations'),
    'deleteDestination 192.168.0.1',
  ])
  t.same(
    progress.map(({ remaining, waitingFor }) => [remaining.activeConnections, waitingFor]),
    [
      [2, ['active']],
      [1, ['active']],
      [1, ['active']],
      [0, []],
    ],
  )
  const times = progress.map(({ elapsed }) => elapsed)
  t.same(
    times,
    times.toSorted((a, b) => a - b),
  )
  t.same(
    table.find(tcp).destinations.map(({ address, weight }) => [address, weight]),
    [[two.address, 1]],
    'the other one is as it was',
  )
})

t.test('what it waits for', async (t) => {
  const ways = [
    [{ activeConnections: 1 }, undefined, false],
    [{ persistentConnections: 1 }, undefined, false],
    [{ inactiveConnections: 1 }, undefined, true],
    [{ inactiveConnections: 1 }, ['active', 'inactive'], false],
    [{ inactiveConnections: 1 }, 'inactive', false],
    [{ persistentConnections: 1 }, ['active'], true],
    [{ activeConnections: 1 }, ['persistent', 'inactive'], true],
  ] as const
  for (const [counts, waitFor, drained] of ways) {
    const table = makeBusy(counts)
    const options: DrainOptions = { interval: 1, timeout: 3, waitFor }
    const result = await table.drainDestination(tcp, one, options)
    t.match(result, { drained, remaining: { ...none, ...counts } }, JSON.stringify(options))
    t.equal(table.find(tcp).destinations.length, 1, 'deleted in any case')
  }
})

t.test('when the time is over it deletes all the same, and says what was left', async (t) => {
  const counts = { activeConnections: 2, inactiveConnections: 7, persistentConnections: 3 }
  const table = makeBusy(counts)
  const start = performance.now()
  const result = await table.drainDestination(tcp, one, { interval: 60_000, timeout: 30 })
  t.ok(performance.now() - start < 30_000, 'it does not wait for the next look')
  t.match(result, { drained: false, ended: 'timeout', remaining: counts })
  t.match(result.reason, /after 30 ms it still had connections \(2 active, 3 persistent\)/)
  t.match(result.reason, /expire_quiescent_template/)
  t.throws(() => table.findDestination(tcp, { ...one, port: 80 }))
  t.equal(timers(), 0)
})

t.test('the reason of a persistent service names its time', async (t) => {
  const persistence = { timeout: 77 }
  const busy = destination(one.address, { persistentConnections: 1 })
  const table = makeTable(service(tcp, [busy], { persistence }))
  const { reason } = await table.drainDestination(tcp, one, { timeout: 0 })
  t.match(reason, /held for 77 s after their last connection/)
  const other = makeBusy({ activeConnections: 1, persistentConnections: 1 })
  const options = { timeout: 0, waitFor: 'active' } as const
  const result = await other.drainDestination(tcp, one, options)
  t.notMatch(result.reason, /persistent/, 'which was not waited for')
})

t.test('a timeout of 0 looks once', async (t) => {
  const table = makeBusy()
  t.match(await table.drainDestination(tcp, one, { timeout: 0 }), { ended: 'timeout' })
  t.equal(table.looks, 2, 'before and after')
})

t.test('without remove it stays at weight 0', async (t) => {
  for (const counts of [none, { activeConnections: 1 }]) {
    const table = makeBusy(counts)
    await table.drainDestination(tcp, one, { timeout: 0, remove: false })
    t.equal(table.findDestination(tcp, { ...one, port: 80 }).weight, 0)
  }
})

t.test('an abort puts the weight back', async (t) => {
  const table = makeBusy()
  const controller = new AbortController()
  const { signal } = controller
  const drain = table.drainDestination(tcp, one, { interval: 60_000, signal })
  const check = t.rejects(drain, {
    name: 'AbortError',
    code: 'ABORT_ERR',
    message: /of 192\.168\.0\.1:80 of tcp 10\.0\.0\.1:80 was aborted; what was changed is put back/,
    cause: 'enough',
  })
  await sleep(20)
  t.equal(table.findDestination(tcp, { ...one, port: 80 }).weight, 0)
  const start = performance.now()
  controller.abort('enough')
  await check
  t.ok(performance.now() - start < 30_000, 'at once')
  t.equal(table.findDestination(tcp, { ...one, port: 80 }).weight, 5)
  t.equal(timers(), 0, 'no timer is left')
})

t.test('an abort does not undo what somebody else did', async (t) => {
  const aborted = async (meddle: (table: ReturnType<typeof makeBusy>) => void): Promise<Ipvs> => {
    const table = makeBusy()
    const controller = new AbortController()
    const { signal } = controller
    table.onLook = (number) => {
      if (number === 3) meddle(table)
      if (number === 3) controller.abort()
    }
    await t.rejects(table.drainDestination(tcp, one, { ...quick, signal }), { name: 'AbortError' })
    return table
  }
  const weights = async (table: Ipvs): Promise<unknown[]> =>
    (await table.listDestinations(tcp)).map(({ weight }) => weight)
  const raised = await aborted((table) => {
    table.findDestination(tcp, { ...one, port: 80 }).weight = 9
  })
  t.same(await weights(raised), [9, 1])
  const deleted = await aborted((table) => table.find(tcp).destinations.shift())
  t.same(await weights(deleted), [1])
  const emptied = await aborted((table) => table.services.pop())
  await t.rejects(weights(emptied), { code: 'ERR_IPVS_NO_SERVICE' })
})

t.test('an abort before anything was changed changes nothing', async (t) => {
  const table = makeBusy()
  const signal = AbortSignal.abort()
  await t.rejects(table.drainDestination(tcp, one, { signal }), { name: 'AbortError' })
  await t.rejects(table.drainService(tcp, { signal }), { name: 'AbortError' })
  t.same(table.calls, [])
})

t.test('an abort while it is deleted is too late', async (t) => {
  const table = makeBusy(none)
  const controller = new AbortController()
  const deleteDestination = table.deleteDestination.bind(table)
  table.deleteDestination = async (...given: Parameters<Ipvs['deleteDestination']>) => {
    controller.abort()
    return deleteDestination(...given)
  }
  const { signal } = controller
  t.match(await table.drainDestination(tcp, one, { signal }), { drained: true })
})

t.test('whatever it rejects with, the weight is put back', async (t) => {
  const broken = new Error('broken')
  const weightAfter = async (
    table: ReturnType<typeof makeBusy>,
    options: DrainOptions = {},
  ): Promise<number> => {
    await t.rejects(table.drainDestination(tcp, one, { ...quick, ...options }), broken)
    return table.findDestination(tcp, { ...one, port: 80 }).weight
  }
  const throwing = makeBusy()
  const onProgress = (): void => {
    throw broken
  }
  t.equal(await weightAfter(throwing, { onProgress }), 5)
  const refused = makeBusy(none)
  refused.refusals.set('deleteDestination', broken)
  t.equal(await weightAfter(refused), 5)
  const unread = makeBusy()
  unread.onLook = (number) => {
    if (number === 3) throw broken
  }
  t.equal(await weightAfter(unread), 5)
})

t.test('an abort says when the weight could not be put back', async (t) => {
  const table = makeBusy()
  const controller = new AbortController()
  const { signal } = controller
  table.onLook = (number) => {
    if (number !== 3) return
    table.refusals.set('patchDestination', new Error('no way'))
    controller.abort()
  }
  await t.rejects(table.drainDestination(tcp, one, { ...quick, signal }), {
    name: 'AbortError',
    message: /the weight could not be put back: Error: no way/,
  })
})

t.test('an error never says that nothing was changed when the weight stays at 0', async (t) => {
  const ipvs = createFakeIpvs()
  await ipvs.addService(tcp)
  await ipvs.addDestination(tcp, one)
  ipvs.setCounters(tcp, one, { activeConnections: 1 })
  const onProgress = (): void => {
    // In the drain, and then in the putting back, twice.
    for (let times = 0; times < 3; ++times) ipvs.failNext('listDestinations', 'ERR_IPVS_TIMEOUT')
  }
  await t.rejects(ipvs.drainDestination(tcp, one, { ...quick, onProgress }), {
    name: 'IpvsError',
    code: 'ERR_IPVS_OUTCOME_UNKNOWN',
    message: /^The drain of .* failed: .*could not be put back: .*So .* stays so, and listDrains/,
    cause: { code: 'ERR_IPVS_TIMEOUT' },
    errors: [{ code: 'ERR_IPVS_TIMEOUT' }, { code: 'ERR_IPVS_TIMEOUT' }],
  })
  t.match(await ipvs.snapshot(), [{ destinations: [{ weight: 0 }] }])
})

t.test('one that is gone meanwhile, or has a weight again', async (t) => {
  const ended = async (
    meddle: (table: ReturnType<typeof makeBusy>) => void,
  ): Promise<[DrainResult, readonly string[]]> => {
    const table = makeBusy()
    table.onLook = (number) => {
      if (number === 4) meddle(table)
    }
    return [await table.drainDestination(tcp, one, quick), table.calls]
  }
  const [deleted, calls] = await ended((table) => table.find(tcp).destinations.shift())
  t.match(deleted, { drained: false, ended: 'gone', reason: /deleted/ })
  t.match(deleted.remaining, { activeConnections: 2 }, 'as it was last seen')
  t.notMatch(calls.join(), /delete/)
  const [without] = await ended((table) => table.services.pop())
  t.match(without, { drained: false, ended: 'gone' })
  const [revived, otherCalls] = await ended((table) => {
    table.findDestination(tcp, { ...one, port: 80 }).weight = 3
  })
  t.match(revived, { drained: false, ended: 'revived', reason: /a weight again/ })
  t.notMatch(otherCalls.join(), /delete/)
})

t.test('one that a single reading leaves out is not taken for gone', async (t) => {
  const table = makeBusy()
  const { destinations } = table.find(tcp)
  const [busy] = destinations
  table.onLook = (number) => {
    if (number === 4) destinations.shift()
    if (number === 5 && busy) destinations.unshift({ ...busy, weight: 0, activeConnections: 0 })
  }
  t.match(await table.drainDestination(tcp, one, quick), { ended: 'drained' })
})

t.test('what is not there', async (t) => {
  const table = makeBusy()
  const elsewhere = { ...tcp, port: 81 }
  const noService = { name: 'IpvsError', code: 'ERR_IPVS_NO_SERVICE' }
  await t.rejects(table.drainDestination(elsewhere, one), noService)
  await t.rejects(table.drainService(elsewhere), noService)
  await t.rejects(table.drainDestination(tcp, { address: '192.168.0.9' }), {
    name: 'IpvsError',
    code: 'ERR_IPVS_NO_DESTINATION',
  })
  t.same(
    table.find(tcp).destinations.map(({ weight }) => weight),
    [5, 1],
  )
})

t.test('a drain is resumed, and its weight before is 0', async (t) => {
  const table = makeBusy({ weight: 0, activeConnections: 1 })
  const [drain, ...others] = await table.listDrains()
  t.match(drain, { service: tcp, destination: one })
  t.same(others, [])
  if (!drain) return t.fail()
  const signal = AbortSignal.timeout(20)
  const { service: key, destination: each } = drain
  await t.rejects(table.drainDestination(key, each, { interval: 5, signal }), {
    name: 'AbortError',
  })
  t.equal(table.findDestination(tcp, { ...one, port: 80 }).weight, 0)
  t.match(await table.drainDestination(key, each, { timeout: 5 }), { ended: 'timeout' })
  t.same(await table.listDrains(), [])
  return undefined
})

t.test('drains are listed with the keys of their services', async (t) => {
  const mark = { fwmark: 7, family: 'ipv6' } as const
  const zero = destination(one.address, { weight: 0 })
  const table = makeTable(
    service(tcp, [zero, destination(two.address)]),
    service(mark, [destination(two.address, { weight: 0 })]),
    service({ ...tcp, port: 81 }),
  )
  t.same(
    (await table.listDrains()).map((each) => [each.service, each.destination.address]),
    [
      [tcp, one.address],
      [mark, two.address],
    ],
  )
})

t.test('a whole service', async (t) => {
  const table = makeBusy()
  const [, second] = table.find(tcp).destinations
  Object.assign(second ?? {}, { activeConnections: 3, inactiveConnections: 1 })
  const progress: unknown[] = []
  table.onLook = (number) => {
    if (number !== 4) return
    for (const each of table.find(tcp).destinations) each.activeConnections = 0
  }
  const result = await table.drainService(tcp, {
    ...quick,
    onProgress: ({ remaining }) => progress.push(remaining),
  })
  t.match(result, { drained: true, ended: 'drained' })
  t.match(progress, [
    { activeConnections: 5, inactiveConnections: 1 },
    { activeConnections: 5 },
    { activeConnections: 0, inactiveConnections: 1 },
  ])
  t.same(table.services, [])
  t.same(
    table.calls.filter((call) => call !== 'listDestinations'),
    ['patchDestination 192.168.0.1 0', 'patchDestination 192.168.0.2 0', 'deleteService'],
  )
})

t.test('a whole service, given up', async (t) => {
  const table = makeBusy()
  const controller = new AbortController()
  const { signal } = controller
  table.find(tcp).destinations.push(destination('192.168.0.3', { weight: 0 }))
  table.onLook = (number) => {
    if (number === 4) table.find(tcp).destinations.splice(1, 1)
    if (number === 4) controller.abort()
  }
  await t.rejects(table.drainService(tcp, { ...quick, signal }), {
    name: 'AbortError',
    message: /^The drain of tcp 10\.0\.0\.1:80 was aborted/,
  })
  t.same(
    table.find(tcp).destinations.map(({ weight }) => weight),
    [5, 0],
    'what was 0 stays 0, and what is gone stays gone',
  )
})

t.test('a whole service that others change', async (t) => {
  const gone = makeBusy()
  gone.onLook = (number) => {
    if (number === 3) gone.services.pop()
  }
  t.match(await gone.drainService(tcp, quick), { ended: 'gone' })
  const grown = makeBusy()
  grown.onLook = (number) => {
    if (number === 3) grown.find(tcp).destinations.push(destination('192.168.0.3'))
  }
  t.match(await grown.drainService(tcp, quick), {
    ended: 'revived',
    reason: /^one of its destinations has a weight, added or given .* the others stay at weight 0/,
  })
  t.equal(grown.services.length, 1)
  t.equal((await grown.listDrains()).length, 2)
  const empty = makeTable(service(tcp))
  t.match(await empty.drainService(tcp, quick), { ended: 'drained', remaining: none })
  t.same(empty.services, [])
  const vanishing = makeBusy(none)
  const batch = vanishing.batch.bind(vanishing)
  vanishing.batch = async (...given) => {
    vanishing.find(tcp).destinations.shift()
    return batch(...given)
  }
  t.match(await vanishing.drainService(tcp, quick), { ended: 'drained' })
})

t.test('a firewall mark', async (t) => {
  const mark = { fwmark: 7 } as const
  const table = makeTable(
    service({ ...mark, family: 'ipv4' }, [destination(one.address, { port: 0 })]),
  )
  t.match(await table.drainDestination(mark, one), { drained: true })
  t.match(await table.drainService(mark), { drained: true })
})

t.test('wrong arguments change nothing', async (t) => {
  const table = makeBusy()
  const wrong: readonly (readonly [DrainOptions | object, string])[] = [
    [{ timeout: -1 }, 'options.timeout'],
    [{ timeout: Infinity }, 'options.timeout'],
    [{ timeout: 2 ** 31 }, 'options.timeout'],
    [{ timeout: '1' }, 'options.timeout'],
    [{ timeout: null }, 'options.timeout'],
    [{ interval: 0 }, 'options.interval'],
    [{ interval: 1.5 }, 'options.interval'],
    [{ remove: 1 }, 'options.remove'],
    [{ waitFor: 'idle' }, 'options.waitFor'],
    [{ waitFor: [] }, 'options.waitFor'],
    [{ waitFor: ['active', 7] }, 'options.waitFor[1]'],
    [{ onProgress: 'log' }, 'options.onProgress'],
    [{ signal: 'now' }, 'options.signal'],
    [{ timeOut: 1 }, 'options.timeOut'],
  ]
  for (const [options, path] of wrong) {
    const refusal = { code: /^ERR_(INVALID_ARG_(TYPE|VALUE)|OUT_OF_RANGE)$/, message: path }
    const given = options as DrainOptions
    await t.rejects(table.drainDestination(tcp, one, given), refusal, path)
    await t.rejects(table.drainService(tcp, given), refusal, path)
  }
  const bad = { name: 'TypeError' }
  await t.rejects(table.drainDestination({ ...tcp, protocol: 'icmp' } as never, one), bad)
  await t.rejects(table.drainDestination(tcp, { address: 'x' }), bad)
  await t.rejects(table.drainService({} as never), bad)
  await t.rejects(table.listDrains({ timeout: 1 } as never), bad)
  t.same(table.calls, [])
})

t.test('errors of batches that mean something are not swallowed', async (t) => {
  const table = makeBusy()
  const code = 'ERR_IPVS_PERMISSION'
  const denied = new IpvsError('denied', { code, errno: -1, command: 'SET_DEST' })
  table.refusals.set('patchDestination', denied)
  await t.rejects(table.drainService(tcp, quick), denied)
})

t.test('a destination that the kernel left out of its list once is drained', async (t) => {
  const ipvs = createFakeIpvs()
  await ipvs.addService(tcp)
  await ipvs.addDestination(tcp, one)
  ipvs.failNext('patchDestination', 'ERR_IPVS_NO_DESTINATION')
  t.match(await ipvs.drainDestination(tcp, one, { remove: false }), { ended: 'drained' })
  t.match(await ipvs.listDestinations(tcp), [{ weight: 0 }])
})

t.test('an error is told as that of the drain, with its cause', async (t) => {
  const makeFake = async (): Promise<FakeIpvs> => {
    const ipvs = createFakeIpvs()
    await ipvs.addService(tcp)
    await ipvs.addDestination(tcp, one)
    return ipvs
  }
  const name = '192.168.0.1:80 of tcp 10.0.0.1:80'
  const verbs = ['getService', 'listDestinations', 'patchDestination', 'deleteDestination'] as const
  for (const verb of verbs) {
    const ipvs = await makeFake()
    ipvs.failNext(verb, 'ERR_IPVS_PERMISSION')
    await t.rejects(ipvs.drainDestination(tcp, one), {
      name: 'IpvsError',
      code: 'ERR_IPVS_PERMISSION',
      errno: -1,
      message: new RegExp(`^Cannot drain ${name}: every IPVS command needs CAP_NET_ADMIN`),
      service: tcp,
      cause: { code: 'ERR_IPVS_PERMISSION', message: /^Cannot (read|list|patch|delete) / },
    })
    t.match(await ipvs.listDestinations(tcp), [{ weight: 1 }], verb)
  }
  const ipvs = await makeFake()
  await t.rejects(ipvs.drainDestination(tcp, two), {
    code: 'ERR_IPVS_NO_DESTINATION',
    message: /^Cannot drain 192\.168\.0\.2:80 of tcp 10\.0\.0\.1:80: the service has no such/,
  })
  ipvs.failNext('deleteService', 'ERR_IPVS_PERMISSION')
  await t.rejects(ipvs.drainService(tcp), { message: /^Cannot drain tcp 10\.0\.0\.1:80: every/ })
  // Closed between its looking and its setting.
  const listDestinations = ipvs.listDestinations.bind<Ipvs['listDestinations']>(ipvs)
  ipvs.listDestinations = (async (...given: Parameters<Ipvs['listDestinations']>) => {
    const found = await listDestinations(...given)
    void ipvs.close()
    return found
  }) as never
  await t.rejects(ipvs.drainDestination(tcp, one), {
    code: 'ERR_IPVS_CLOSED',
    message: `Cannot drain ${name}: the handle was closed`,
  })
})
