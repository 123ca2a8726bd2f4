// The life of a handle and the way of its changes, with a connection that the test answers for.

import { getEventListeners } from 'node:events'
import { constants } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'

import t from 'tap'
import type { Test } from 'tap'

import { openIpvs } from 'ipvs-netlink'
import type { Ipvs } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'
import { ChangeQueue } from '#lib/batch'
import { Group } from '#lib/group'
import type { Change } from '#lib/group'
import { Handle } from '#lib/handle'
import { Memory } from '#lib/memory'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'

/** Whatever was called has been sent then: now and then that waits for a turn (lib/turns.ts). */
const tick = async (): Promise<void> => {
  await nextTurn()
  await nextTurn()
}

const { errno } = constants
const { operation, service: serviceTable } = recordFormat()

interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

const defer = <T>(): Deferred<T> => {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((...settle) => {
    ;[resolve, reject] = settle
  })
  return { promise, resolve, reject }
}

interface Failure {
  readonly stage: number
  readonly errno: number
  readonly text: string
}

interface OutcomesReply {
  readonly outcomes: ArrayBuffer
  readonly texts: Readonly<Record<number, string>>
}

interface Reply {
  readonly failure: Failure | undefined
  readonly records: ArrayBuffer
}

const refusal = (number: number, text = ''): Failure => ({ stage: 6, errno: number, text })

/** What the addon answers when the changes at these indices fail. */
const outcomes = (
  count: number,
  failures: Readonly<Record<number, Failure>> = {},
): OutcomesReply => {
  const pairs = new Int32Array(2 * count)
  const texts: Record<number, string> = {}
  for (const [index, failure] of Object.entries(failures)) {
    pairs.set([failure.stage, failure.errno], 2 * Number(index))
    if (failure.text !== '') texts[Number(index)] = failure.text
  }
  return { outcomes: pairs.buffer, texts }
}

/** One call of the addon's apply(), and the answer to it. */
interface Sending {
  /** The mark of each service that is changed, in order. */
  readonly marks: readonly number[]
  readonly succeed: (failures?: Readonly<Record<number, Failure>>) => void
  readonly crash: (error: Error) => void
}

/** A connection on which nothing happens until the test says so. */
class FakeConnection {
  readonly events: string[] = []
  readonly sendings: Sending[] = []
  readonly reads: Deferred<Reply>[] = []
  opening = Promise.resolve<Failure | undefined>(undefined)

  async open(): Promise<Failure | undefined> {
    this.events.push('open')
    return this.opening
  }

  async apply(operations: Uint8Array): Promise<OutcomesReply> {
    const memory = new Memory(Uint8Array.from(operations).buffer)
    const count = operations.length / operation.size
    const marks = Array.from({ length: count }, (_, index) => {
      const at = index * operation.size + operation.service
      return serviceTable.read(memory, at).fwmark ?? 0
    })
    this.events.push(`apply ${marks.join()}`)
    const { promise, resolve, reject } = defer<OutcomesReply>()
    this.sendings.push({
      marks,
      succeed: (failures) => resolve(outcomes(count, failures)),
      crash: reject,
    })
    return promise
  }

  async readServices(): Promise<Reply> {
    this.events.push('read')
    const answer = defer<Reply>()
    this.reads.push(answer)
    return answer.promise
  }

  close(): void {
    this.events.push('close')
  }
}

const change = (fwmark: number): Change => ({
  command: 'DEL_SERVICE',
  service: { family: 2, fwmark },
})

/** Sends changes as a call does, and answers what became of each. */
const send = async (
  queue: ChangeQueue,
  marks: readonly number[],
  signal?: AbortSignal,
): Promise<unknown[]> => {
  const group = new Group()
  for (const mark of marks) group.add(change(mark))
  queue.send('test', group, 0, signal)
  await (signal ? queue.ended(group, signal) : group.ended())
  return marks.map((_, index) => group.failureAt(index))
}

interface Bed {
  readonly fake: FakeConnection
  readonly handle: Handle<never>
  readonly queue: ChangeQueue
  readonly add: (...marks: number[]) => Promise<unknown>
}

const makeBed = (fake = new FakeConnection()): Bed => {
  const handle = new Handle<never>('ipvs', undefined, () => fake as never)
  const queue = new ChangeQueue(handle)
  const add = async (...marks: number[]): Promise<unknown> => send(queue, marks)
  return { fake, handle, queue, add }
}

/** Whether a promise has settled by now, well or badly. */
const isSettled = async (promise: PromiseLike<unknown>): Promise<boolean> => {
  let settled = false
  promise.then(
    () => (settled = true),
    () => (settled = true),
  )
  await tick()
  return settled
}

/** The sending with that number, once it is under way. */
const sending = async ({ fake }: { fake: FakeConnection }, number: number): Promise<Sending> => {
  await tick()
  const found = fake.sendings[number]
  if (!found) throw new Error(`sending ${number} is not under way: ${fake.events.join('; ')}`)
  return found
}

t.test('the calls of one tick travel in one sending, in their order', async (t) => {
  const bed = makeBed()
  const calls = [bed.add(1), bed.add(2, 3), bed.add(4)]
  const first = await sending(bed, 0)
  t.same(first.marks, [1, 2, 3, 4])
  first.succeed()
  t.same(await Promise.all(calls), [[undefined], [undefined, undefined], [undefined]])
  t.same(bed.fake.events, ['open', 'apply 1,2,3,4'])
})

t.test('calls made while a sending is under way make up the next one', async (t) => {
  const bed = makeBed()
  const early = bed.add(1)
  const first = await sending(bed, 0)
  const late = [bed.add(2)]
  await tick()
  late.push(bed.add(3))
  await tick()
  t.equal(bed.fake.sendings.length, 1, 'one at a time')
  first.succeed()
  await early
  const second = await sending(bed, 1)
  t.same(second.marks, [2, 3])
  t.notOk(await isSettled(Promise.race(late)))
  second.succeed()
  await Promise.all(late)
})

t.test('a handle that is idle sends the next call at once', async (t) => {
  const bed = makeBed()
  for (const mark of [1, 2, 3]) {
    const call = bed.add(mark)
    const own = await sending(bed, mark - 1)
    t.same(own.marks, [mark])
    own.succeed()
    await call
  }
  t.equal(bed.fake.events.filter((event) => event === 'open').length, 1, 'opened once')
})

t.test('each call gets its own outcome, whatever became of the others', async (t) => {
  const bed = makeBed()
  const calls = [bed.add(1), bed.add(2, 3), bed.add(4)]
  const first = await sending(bed, 0)
  first.succeed({ 1: refusal(17), 3: refusal(3, 'words') })
  t.same(await Promise.all(calls), [[undefined], [refusal(17), undefined], [refusal(3, 'words')]])
})

t.test('a call of no changes gets no outcomes and disturbs nobody', async (t) => {
  const bed = makeBed()
  const calls = [bed.add(1), bed.add(), bed.add(2)]
  const first = await sending(bed, 0)
  first.succeed({ 1: refusal(17) })
  t.same(await Promise.all(calls), [[undefined], [], [refusal(17)]])
  t.same(await bed.add(), [])
  t.equal(bed.fake.sendings.length, 1, 'and is not sent by itself')
})

t.test('of a sending that breaks off nothing is known, and the next ones go on', async (t) => {
  const bed = makeBed()
  const calls = [bed.add(1), bed.add(2, 4)]
  const first = await sending(bed, 0)
  const late = bed.add(3)
  const cause = new Error('out of memory')
  first.crash(cause)
  const failure = { stage: 5, errno: 0, text: '', cause }
  t.same(await Promise.all(calls), [[failure], [failure, failure]])
  const second = await sending(bed, 1)
  second.succeed()
  t.same(await late, [undefined])
})

t.test('of one for which no thread could be started nothing was done', async (t) => {
  const bed = makeBed()
  const call = bed.add(1)
  const first = await sending(bed, 0)
  first.crash(Object.assign(new Error('no thread could be started'), { errno: errno.EAGAIN }))
  t.same(await call, [{ stage: 7, errno: errno.EAGAIN, text: '' }])
})

t.test(
  'a handle that cannot be opened rejects the call, and the next call tries again',
  async (t) => {
    const bed = makeBed()
    bed.fake.opening = Promise.resolve({ stage: 1, errno: errno.ENOENT, text: '' })
    const calls = [bed.add(1), bed.add(2)]
    for (const call of calls) await t.rejects(call, { code: 'ERR_IPVS_NO_NETNS', errno: -2 })
    await t.rejects(bed.add(3), { code: 'ERR_IPVS_NO_NETNS' })
    bed.fake.opening = Promise.resolve(undefined)
    const call = bed.add(4)
    const first = await sending(bed, 0)
    t.same(first.marks, [4], 'what was rejected is not sent later')
    first.succeed()
    await call
    t.equal(bed.fake.events.filter((event) => event === 'open').length, 3)
  },
)

t.test('calls that come while the handle is being opened share the opening', async (t) => {
  const bed = makeBed()
  const opening = defer<Failure | undefined>()
  bed.fake.opening = opening.promise
  const calls = [bed.add(1)]
  await tick()
  calls.push(bed.add(2))
  const running = bed.handle.run('test', async () => 'done')
  await tick()
  t.same(bed.fake.events, ['open'])
  opening.resolve(undefined)
  t.equal(await running, 'done')
  const first = await sending(bed, 0)
  first.succeed()
  await Promise.all(calls)
  t.same(bed.fake.events, ['open', 'apply 1,2'])
})

t.test('what is waited for by settled() are the changes called before it', async (t) => {
  const bed = makeBed()
  t.ok(await isSettled(bed.queue.settled()), 'nothing is under way')
  const calls = [bed.add(1)]
  const first = await sending(bed, 0)
  calls.push(bed.add(2))
  const settled = bed.queue.settled()
  t.notOk(await isSettled(settled))
  first.succeed()
  const second = await sending(bed, 1)
  t.notOk(await isSettled(settled), 'the second is under way')
  second.succeed({ 0: refusal(17) })
  t.ok(await isSettled(settled), 'also when it fails')
  await Promise.all(calls)
  t.equal(bed.fake.sendings.length, 2, 'waiting sends nothing')
})

t.test('settled() also ends when the changes before it could not be sent', async (t) => {
  const bed = makeBed()
  bed.fake.opening = Promise.resolve({ stage: 1, errno: errno.ENOENT, text: '' })
  const call = bed.add(1)
  const settled = bed.queue.settled()
  await t.rejects(call)
  t.ok(await isSettled(settled))
})

t.test('close() waits for what is under way, and then closes the connection', async (t) => {
  const bed = makeBed()
  const calls = [bed.add(1)]
  const first = await sending(bed, 0)
  calls.push(bed.add(2))
  const closing = bed.handle.close()
  t.notOk(await isSettled(closing))
  first.succeed()
  const second = await sending(bed, 1)
  t.same(second.marks, [2], 'what was called before is carried out')
  t.notOk(await isSettled(closing))
  second.succeed()
  await closing
  t.same(bed.fake.events, ['open', 'apply 1', 'apply 2', 'close'])
  t.same(await Promise.all(calls), [[undefined], [undefined]])
})

t.test('from the moment of close() calls are rejected', async (t) => {
  const bed = makeBed()
  const call = bed.add(1)
  const first = await sending(bed, 0)
  const closing = bed.handle.close()
  const late = { name: 'IpvsError', code: 'ERR_IPVS_CLOSED', errno: 0 }
  await t.rejects(bed.add(2), late)
  await t.rejects(
    bed.handle.run('test', async () => {}),
    late,
  )
  first.succeed()
  await Promise.all([call, closing])
  await t.rejects(bed.add(3), late)
  t.equal(bed.fake.sendings.length, 1)
})

t.test('closing twice closes once, and both calls wait', async (t) => {
  const bed = makeBed()
  const call = bed.add(1)
  const first = await sending(bed, 0)
  const closings = [bed.handle.close(), bed.handle.close()]
  t.notOk(await isSettled(Promise.race(closings)))
  first.succeed()
  await Promise.all([call, ...closings])
  await bed.handle.close()
  t.equal(bed.fake.events.filter((event) => event === 'close').length, 1)
})

t.test('a handle that was never used closes without being opened', async (t) => {
  const { fake, handle } = makeBed()
  await handle.close()
  t.same(fake.events, [])
})

t.test('a handle that could not be opened closes, too', async (t) => {
  const bed = makeBed()
  bed.fake.opening = Promise.resolve({ stage: 1, errno: errno.ENOENT, text: '' })
  const call = bed.add(1)
  const closing = bed.handle.close()
  await t.rejects(call, { code: 'ERR_IPVS_NO_NETNS' })
  await closing
  t.notOk(bed.fake.events.includes('close'))
})

t.test('a call that is aborted before it was sent is not sent', async (t) => {
  const bed = makeBed()
  const early = bed.add(1)
  const first = await sending(bed, 0)
  const controller = new AbortController()
  const aborted = send(bed.queue, [2], controller.signal)
  const late = bed.add(3)
  controller.abort(new Error('enough'))
  await t.rejects(aborted, {
    name: 'AbortError',
    code: 'ABORT_ERR',
    cause: { message: 'enough' },
    message: /before it was sent/,
  })
  first.succeed()
  const second = await sending(bed, 1)
  t.same(second.marks, [3])
  second.succeed({ 0: refusal(17) })
  t.same(await early, [undefined])
  t.same(await late, [refusal(17)], 'the others keep their own outcomes')
})

t.test('a call that is aborted in the tick of the call is not sent', async (t) => {
  const bed = makeBed()
  const controller = new AbortController()
  const aborted = send(bed.queue, [1], controller.signal)
  controller.abort()
  await t.rejects(aborted, { name: 'AbortError', message: /before it was sent/ })
  await tick()
  t.same(bed.fake.sendings, [])
})

t.test('a signal that was given already rejects the call before anything happens', async (t) => {
  const bed = makeBed()
  const call = send(bed.queue, [1], AbortSignal.abort())
  await t.rejects(call, { name: 'AbortError', message: /before it was sent/ })
  await tick()
  t.same(bed.fake.events, [], 'not even opened')
})

t.test(
  'a call that is aborted after it was sent says that it may have been carried out',
  async (t) => {
    const bed = makeBed()
    const controller = new AbortController()
    const aborted = send(bed.queue, [1], controller.signal)
    const other = bed.add(2)
    const first = await sending(bed, 0)
    controller.abort()
    await t.rejects(aborted, { name: 'AbortError', message: /kernel may have carried it out/ })
    t.notOk(await isSettled(other), 'who travels along is not aborted')
    first.succeed({ 0: refusal(17) })
    t.same(await other, [undefined])
  },
)

t.test('a call of which the answer is there is not aborted any more', async (t) => {
  const ipvs = createFakeIpvs()
  const service = { protocol: 'tcp', address: '10.0.0.1', port: 80 } as const
  await ipvs.addService({ ...service, scheduler: 'rr' })
  const controller = new AbortController()
  const { signal } = controller
  const first = ipvs.addDestination(service, { address: '10.0.1.1' })
  const aborting = first.then(() => {
    controller.abort()
  })
  const second = ipvs.addDestination(service, { address: '10.0.1.2' }, { signal })
  const destination = { address: '10.0.1.3' }
  const third = ipvs.batch([{ op: 'addDestination', service, destination }], { signal })
  t.same(await Promise.all([aborting, second, third]), [undefined, undefined, [{ ok: true }]])
})

t.test('close() waits for a sending even when its call was aborted', async (t) => {
  const bed = makeBed()
  const controller = new AbortController()
  const aborted = send(bed.queue, [1], controller.signal)
  const first = await sending(bed, 0)
  controller.abort()
  await t.rejects(aborted, { name: 'AbortError' })
  const closing = bed.handle.close()
  t.notOk(await isSettled(closing))
  first.succeed()
  await closing
  t.same(bed.fake.events, ['open', 'apply 1', 'close'])
})

t.test('a call leaves no listener on its signal', async (t) => {
  const bed = makeBed()
  const { signal } = new AbortController()
  const calls = [1, 2, 3].map(async (mark) => send(bed.queue, [mark], signal))
  const first = await sending(bed, 0)
  t.equal(getEventListeners(signal, 'abort').length, 3)
  first.succeed()
  await Promise.all(calls)
  t.equal(getEventListeners(signal, 'abort').length, 0)
})

// From here on through the public calls, with the addon's class replaced.

const emptyReply: Reply = { failure: undefined, records: new ArrayBuffer(0) }

interface PublicBed {
  readonly fake: FakeConnection
  readonly ipvs: Ipvs
}

const openPublic = async (t: Test): Promise<PublicBed> => {
  const addon = loadAddon() as unknown as { Connection: unknown }
  const { Connection } = addon
  t.teardown(() => {
    addon.Connection = Connection
  })
  const fake = new FakeConnection()
  addon.Connection = function Fake() {
    return fake
  }
  return { fake, ipvs: await openIpvs() }
}

t.test('a read waits for the changes called before it', async (t) => {
  const bed = await openPublic(t)
  const changing = bed.ipvs.deleteService({ fwmark: 1 })
  const reading = bed.ipvs.listServices()
  const first = await sending(bed, 0)
  t.same(bed.fake.events, ['open', 'apply 1'])
  first.succeed()
  await changing
  await tick()
  t.same(bed.fake.events, ['open', 'apply 1', 'read'])
  bed.fake.reads[0]?.resolve(emptyReply)
  t.same(await reading, [])
})

t.test('a read waits for a change that fails, and is not affected by it', async (t) => {
  const bed = await openPublic(t)
  const changing = bed.ipvs.deleteService({ fwmark: 1 })
  const reading = bed.ipvs.listServices()
  const first = await sending(bed, 0)
  first.succeed({ 0: refusal(errno.ESRCH) })
  await t.rejects(changing, { code: 'ERR_IPVS_NO_SERVICE', service: { fwmark: 1, family: 'ipv4' } })
  await tick()
  bed.fake.reads[0]?.resolve(emptyReply)
  t.same(await reading, [])
})

t.test('reads do not wait for each other, and changes do not wait for reads', async (t) => {
  const bed = await openPublic(t)
  const readings = [bed.ipvs.listServices(), bed.ipvs.listServices()]
  await tick()
  const changing = bed.ipvs.deleteService({ fwmark: 1 })
  const first = await sending(bed, 0)
  t.same(bed.fake.events, ['open', 'read', 'read', 'apply 1'])
  first.succeed()
  await changing
  for (const read of bed.fake.reads) read.resolve(emptyReply)
  t.same(await Promise.all(readings), [[], []])
})

t.test(
  'a batch answers one outcome for each operation, and travels with other calls',
  async (t) => {
    const bed = await openPublic(t)
    const batch = bed.ipvs.batch([
      { op: 'deleteService', service: { fwmark: 1 } },
      { op: 'deleteService', service: { fwmark: 2 } },
      { op: 'clear' },
    ])
    const other = bed.ipvs.deleteService({ fwmark: 4 })
    const first = await sending(bed, 0)
    t.same(first.marks, [1, 2, 0, 4])
    first.succeed({ 1: refusal(errno.ESRCH), 3: refusal(errno.EPERM) })
    await t.rejects(other, { code: 'ERR_IPVS_PERMISSION' })
    t.match(await batch, [
      { ok: true },
      { ok: false, error: { code: 'ERR_IPVS_NO_SERVICE', service: { fwmark: 2 } } },
      { ok: true },
    ])
  },
)

t.test('each change of a sending that breaks off may have been made, and is told so', async (t) => {
  const bed = await openPublic(t)
  const cause = new Error('std::bad_alloc')
  const callerOfTheLibrary = async (): Promise<void> => {
    await bed.ipvs.deleteService({ fwmark: 1 })
  }
  const call = callerOfTheLibrary().catch((reason: unknown) => reason)
  const destination = { address: '192.168.0.1' }
  const batch = bed.ipvs.batch([
    { op: 'deleteDestination', service: { fwmark: 2 }, destination },
    { op: 'clear' },
  ])
  const first = await sending(bed, 0)
  first.crash(cause)
  const error = await call
  t.match(error, {
    code: 'ERR_IPVS_OUTCOME_UNKNOWN',
    command: 'DEL_SERVICE',
    service: { fwmark: 1 },
    cause,
    message: /delete service .*: .*std::bad_alloc; the change may have been made/,
    stack: /callerOfTheLibrary/,
  })
  t.equal((error as { errno?: number }).errno, 0)
  const code = 'ERR_IPVS_OUTCOME_UNKNOWN'
  t.match(await batch, [
    { ok: false, error: { code, command: 'DEL_DEST', service: { fwmark: 2 }, destination, cause } },
    { ok: false, error: { code, command: 'FLUSH', cause } },
  ])
  const late = bed.ipvs.deleteService({ fwmark: 3 })
  const second = await sending(bed, 1)
  second.crash(Object.assign(new Error('no thread could be started'), { errno: errno.EAGAIN }))
  await t.rejects(late, { code: 'ERR_IPVS_REFUSED', errno: -errno.EAGAIN, message: /no thread/ })
})

t.test('an error has the call in its stack', async (t) => {
  const bed = await openPublic(t)
  const callerOfTheLibrary = async (): Promise<void> => {
    await bed.ipvs.deleteService({ fwmark: 1 })
  }
  const call = callerOfTheLibrary()
  const first = await sending(bed, 0)
  first.succeed({ 0: refusal(errno.ESRCH) })
  const error: unknown = await call.catch((reason: unknown) => reason)
  t.match((error as Error).stack, /callerOfTheLibrary/)
})

t.test('a missing scheduler and a missing engine are told apart by a second request', async (t) => {
  const bed = await openPublic(t)
  const service = { fwmark: 1, scheduler: 'xyz', persistence: { engine: 'abc' } }
  const codes = ['ERR_IPVS_NO_SCHEDULER', 'ERR_IPVS_NO_PERSISTENCE_ENGINE']
  for (const [index, number] of [errno.ENOENT, errno.EINVAL].entries()) {
    const call = bed.ipvs.addService(service)
    const asked = await sending(bed, 2 * index)
    asked.succeed({ 0: refusal(errno.ENOENT) })
    const probe = await sending(bed, 2 * index + 1)
    t.same(probe.marks, [0], 'which creates no service')
    probe.succeed({ 0: refusal(number) })
    await t.rejects(call, { code: codes[index], errno: -errno.ENOENT })
  }
})

t.test('outcomes stay known when the second request ends badly', async (t) => {
  const bed = await openPublic(t)
  const service = { fwmark: 1, scheduler: 'xyz', persistence: { engine: 'abc' } }
  const refused = bed.ipvs.addService(service)
  const made = bed.ipvs.deleteService({ fwmark: 2 })
  const asked = await sending(bed, 0)
  asked.succeed({ 0: refusal(errno.ENOENT) })
  const probe = await sending(bed, 1)
  probe.crash(new Error('std::bad_alloc'))
  await t.rejects(refused, { code: 'ERR_IPVS_NO_SCHEDULER', message: /; or: / })
  await made
})

t.test(
  'a read can be aborted, and says that nothing was changed by saying nothing of it',
  async (t) => {
    const bed = await openPublic(t)
    const controller = new AbortController()
    const reading = bed.ipvs.listServices({ signal: controller.signal })
    await tick()
    t.same(bed.fake.events, ['open', 'read'])
    controller.abort()
    const error: unknown = await reading.catch((reason: unknown) => reason)
    t.match(error, { name: 'AbortError' })
    t.notMatch((error as Error).message, /carried it out/)
    bed.fake.reads[0]?.resolve(emptyReply)
  },
)

t.test('close() of the public handle waits for reads, and disposing is closing', async (t) => {
  const bed = await openPublic(t)
  const reading = bed.ipvs.listServices()
  await tick()
  const closing = bed.ipvs[Symbol.asyncDispose]()
  await t.rejects(bed.ipvs.info(), { code: 'ERR_IPVS_CLOSED' })
  await t.rejects(bed.ipvs.clear(), { code: 'ERR_IPVS_CLOSED' })
  t.notOk(await isSettled(closing))
  bed.fake.reads[0]?.resolve(emptyReply)
  t.same(await reading, [])
  await closing
  t.equal(bed.fake.events.at(-1), 'close')
  await bed.ipvs.close()
})

t.test('close() waits for the outcomes of a batch, which are made in turns', async (t) => {
  const bed = await openPublic(t)
  // Each look at the clock is a piece.
  let time = 0
  t.intercept(performance, 'now', { value: () => (time += 100), configurable: true })
  const count = 500
  const deletions = Array.from({ length: count }, (_, n) => ({
    op: 'deleteService' as const,
    service: { fwmark: n + 1 },
  }))
  const ended: string[] = []
  const batch = bed.ipvs.batch(deletions).then((outcomes) => {
    ended.push('batch')
    return outcomes
  })
  while (bed.fake.sendings.length === 0) await tick()
  const closing = bed.ipvs.close().then(() => ended.push('close'))
  const gone = Array.from({ length: count }, (_, n) => [n, refusal(errno.ESRCH)])
  bed.fake.sendings[0]?.succeed(Object.fromEntries(gone) as Record<number, Failure>)
  await closing
  t.same(ended, ['batch', 'close'])
  t.ok((await batch).every((outcome) => !outcome.ok))
})

t.test('a wrong call on a closed handle is still told what is wrong with it', async (t) => {
  const bed = await openPublic(t)
  await bed.ipvs.close()
  await t.rejects(bed.ipvs.deleteService({ fwmark: 0 }), { code: 'ERR_OUT_OF_RANGE' })
})

t.test('close() waits for the second request of a call that is under way', async (t) => {
  const bed = await openPublic(t)
  const service = { fwmark: 1, scheduler: 'xyz', persistence: { engine: 'abc' } }
  const result = bed.ipvs.addService(service).catch((reason: unknown) => reason)
  const asked = await sending(bed, 0)
  const closing = bed.ipvs.close()
  asked.succeed({ 0: refusal(errno.ENOENT) })
  await tick()
  // The scheduler is there: it is the engine that is missing.
  bed.fake.sendings[1]?.succeed({ 0: refusal(errno.EINVAL) })
  t.match(await result, { code: 'ERR_IPVS_NO_PERSISTENCE_ENGINE' })
  await closing
})
