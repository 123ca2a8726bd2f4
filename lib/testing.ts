// `ipvs-netlink/testing`: a virtual server table in memory, for tests of what is built on this
// package. Everything but the kernel is the library's own.

import { AsyncLocalStorage } from 'node:async_hooks'

import { errorFor } from './errors.js'
import { takeCounters, takeEntries, takeFault, takeMachine } from './fake-arguments.js'
import { FakeConnection } from './fake-connection.js'
import { errno, FakeKernel, refuse } from './fake-kernel.js'
import { fakeLayout } from './fake-layout.js'
import { destinationKeyOf, takeDestinationKey } from './destination.js'
import { IpvsHandle } from './ipvs.js'
import { provideLayout } from './records.js'
import { keyOfFields, nameService, takeServiceKey } from './service.js'
import { traced } from './tracing.js'
import type { KnownFailure } from './meanings.js'
import type { ConnectionEntry } from '../types/connection.js'
import type { DestinationKey } from '../types/destination.js'
import type { IpvsErrorCode } from '../types/error.js'
import type { ReadOptions } from '../types/ipvs.js'
import type { VirtualServerState } from '../types/observed.js'
import type { ServiceKey } from '../types/service.js'
import type {
  FakeDestinationCounters,
  FakeIpvs,
  FakeOptions,
  FakeServiceCounters,
  FakeVerb,
} from '../types/testing.js'

/** What handles on one fake share. */
interface Shared {
  readonly kernel: FakeKernel
  readonly faults: { readonly verb: FakeVerb; readonly failure: KnownFailure }[]
}

const missing = (
  key: ServiceKey,
  number: number,
  command: string,
  destination?: { readonly address: string; readonly port: number },
): Error =>
  errorFor(refuse(number), {
    command,
    what: () => `set counters of service ${nameService(key)}`,
    service: key,
    ...(destination && { destination }),
    changes: true,
  })

/** The verb that reads as others do, so that the connection cannot tell them apart. */
const calls = new AsyncLocalStorage<'stream'>()

class FakeHandle extends IpvsHandle implements FakeIpvs {
  readonly #shared: Shared

  constructor(shared: Shared) {
    const { kernel, faults } = shared
    const takeFailure = (asked: string): KnownFailure | undefined => {
      const verb = calls.getStore() ?? asked
      const index = faults.findIndex((fault) => fault.verb === verb)
      return index === -1 ? undefined : faults.splice(index, 1)[0]?.failure
    }
    super(undefined, () => traced(new FakeConnection(kernel, takeFailure)))
    this.#shared = shared
  }

  override async *stream(
    options?: ReadOptions,
  ): AsyncGenerator<VirtualServerState<never>, void, void> {
    const services = super.stream(options)
    const next = async (): Promise<IteratorResult<VirtualServerState<never>, void>> =>
      calls.run('stream', async () => services.next())
    for (let each = await next(); each.done !== true; each = await next()) yield each.value
  }

  setCounters(
    ...given:
      | [service: ServiceKey, counters: FakeServiceCounters]
      | [service: ServiceKey, destination: DestinationKey, counters: FakeDestinationCounters]
  ): void {
    const { kernel } = this.#shared
    const service = takeServiceKey(given[0], 'service')
    const key = given.length < 3 ? undefined : takeDestinationKey(given[1], 'destination', service)
    const { counters, observed } = takeCounters(given.at(-1), key !== undefined)
    const found = kernel.find(service.fields)
    if (!found) throw missing(keyOfFields(service.fields), errno.ESRCH, 'SET_SERVICE')
    if (!key) {
      found.counters = { ...found.counters, ...counters }
      return
    }
    const destination = kernel.findDestination(service.fields, key.fields)
    if (!destination) {
      const [owner, real] = [keyOfFields(service.fields), destinationKeyOf(key.fields)]
      throw missing(owner, errno.ENOENT, 'SET_DEST', real)
    }
    destination.counters = { ...destination.counters, ...counters }
    destination.observed = { ...destination.observed, ...observed }
  }

  setTotals(counters: FakeServiceCounters): void {
    const { kernel } = this.#shared
    kernel.totals = { ...kernel.totals, ...takeCounters(counters, false).counters }
  }

  setConnections(entries: readonly ConnectionEntry[]): void {
    this.#shared.kernel.connections = takeEntries(entries)
  }

  failNext(verb: FakeVerb, code: IpvsErrorCode): void {
    this.#shared.faults.push(takeFault(verb, code))
  }

  openAnother(): FakeIpvs {
    return new FakeHandle(this.#shared)
  }
}

/**
 * A virtual server table in memory: the interface, the checks, the errors and the rules of
 * {@link Ipvs}, without a kernel, without privileges and without the addon.
 */
export const createFakeIpvs = (options?: FakeOptions): FakeIpvs => {
  provideLayout(fakeLayout)
  return new FakeHandle({ kernel: new FakeKernel(takeMachine(options)), faults: [] })
}

export type * from '../types/testing.js'
