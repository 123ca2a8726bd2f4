import t from 'tap'
import type { Operation } from 'ipvs-netlink'

import { refusal, tcp } from './scene.js'
import type { MakeScene } from './scene.js'

const serviceOf = (index: number) =>
  ({
    protocol: 'tcp',
    address: `10.1.${index >> 8}.${index & 255}`,
    port: 80,
    scheduler: 'rr',
  }) as const

export const table = (makeScene: MakeScene): void => {
  t.test('calls of one tick keep their order, and each has its own outcome', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const outcomes = await Promise.allSettled([
      ipvs.addService(tcp),
      ipvs.addService(tcp),
      ipvs.addDestination(tcp, { address: '127.0.0.1' }),
      ipvs.deleteDestination(tcp, { address: '127.0.0.9' }),
      ipvs.editService({ ...tcp, scheduler: 'rr' }),
    ])
    t.same(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled'],
    )
    t.same(await rules(), ['-A -t 10.0.0.1:80 -s rr', '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 1'])
    // A read sees what was called before it, awaited or not.
    const change = ipvs.deleteService(tcp)
    t.same(await ipvs.listServices(), [])
    await change
  })

  t.test('more refusals than a receive buffer holds lose nothing', async (t) => {
    const { ipvs } = await makeScene(t)
    await ipvs.addService(tcp)
    const repeated = Array.from({ length: 3000 }, (_, index) =>
      index % 1000 === 999 ? ipvs.addService(serviceOf(index)) : ipvs.addService(tcp),
    )
    const outcomes = await Promise.allSettled(repeated)
    const refused = outcomes.filter(
      (outcome) =>
        outcome.status === 'rejected' &&
        (outcome.reason as { code?: string }).code === 'ERR_IPVS_SERVICE_EXISTS',
    )
    t.equal(refused.length, 2997)
    t.equal((await ipvs.listServices()).length, 4)
  })

  t.test('a batch goes on after a failure and tells each outcome', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const destination = { address: '127.0.0.1', forwarding: 'nat' } as const
    const operations: Operation[] = [
      { op: 'addService', service: { ...tcp, scheduler: 'rr' } },
      { op: 'addDestination', service: tcp, destination },
      { op: 'addDestination', service: tcp, destination },
      { op: 'editDestination', service: tcp, destination: { ...destination, weight: 3 } },
      { op: 'deleteService', service: { ...tcp, port: 1 } },
      { op: 'editService', service: tcp },
    ]
    const outcomes = await ipvs.batch(operations)
    t.match(outcomes, [
      { ok: true },
      { ok: true },
      { ok: false, error: refusal('ERR_IPVS_DESTINATION_EXISTS') },
      { ok: true },
      { ok: false, error: refusal('ERR_IPVS_NO_SERVICE') },
      { ok: true },
    ])
    t.same(await rules(), ['-A -t 10.0.0.1:80 -s wlc', '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -m -w 3'])
    t.same(await ipvs.batch([]), [])
    await t.rejects(
      ipvs.batch([{ op: 'clear' }, { op: 'addService', service: { ...tcp, port: 80_000 } }]),
      { code: 'ERR_OUT_OF_RANGE', message: /operations\[1\]\.service\.port/ },
    )
    t.equal((await rules()).length, 2, 'an invalid batch sends nothing')
    t.same(
      await ipvs.batch([{ op: 'deleteDestination', service: tcp, destination }, { op: 'clear' }]),
      [{ ok: true }, { ok: true }],
    )
    t.same(await rules(), [])
  })

  t.test('adding and deleting can be asked to be content with what is there', async (t) => {
    const { ipvs, rules } = await makeScene(t)
    const destination = { address: '127.0.0.1', weight: 2 }
    await ipvs.deleteService(tcp, { ifMissing: 'ignore' })
    await ipvs.deleteDestination(tcp, destination, { ifMissing: 'ignore' })
    await ipvs.addService(tcp, { ifExists: 'edit' })
    await ipvs.addService({ ...tcp, scheduler: 'rr' }, { ifExists: 'ignore' })
    await ipvs.addDestination(tcp, destination, { ifExists: 'edit' })
    t.same(await rules(), ['-A -t 10.0.0.1:80 -s wlc', '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 2'])
    await ipvs.addService({ ...tcp, scheduler: 'rr' }, { ifExists: 'edit' })
    await ipvs.addDestination(tcp, { ...destination, weight: 3 }, { ifExists: 'edit' })
    t.same(await rules(), ['-A -t 10.0.0.1:80 -s rr', '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 3'])
    await ipvs.deleteDestination(tcp, { address: '127.0.0.9' }, { ifMissing: 'ignore' })

    // In the order of the calls, and as the arguments were then.
    const changed = { ...destination, weight: 4 }
    const calls = [
      ipvs.addService({ ...tcp, scheduler: 'wrr' }, { ifExists: 'edit' }),
      ipvs.editService({ ...tcp, scheduler: 'lc' }),
      ipvs.addDestination(tcp, changed, { ifExists: 'edit' }),
      ipvs.patchDestination(tcp, destination, { upperThreshold: 9 }),
      ipvs.addDestination(tcp, Object.assign(changed, { weight: 5 }), { ifExists: 'edit' }),
    ]
    changed.weight = 6
    await Promise.all(calls)
    t.same(await rules(), ['-A -t 10.0.0.1:80 -s lc', '-a -t 10.0.0.1:80 -r 127.0.0.1:80 -g -w 5'])
    t.match(await ipvs.listDestinations(tcp), [{ upperThreshold: 0 }])
    const absent = { ...tcp, port: 9 }
    const missing = { ...absent, scheduler: 'nosuch' }
    await t.rejects(
      ipvs.addService(missing, { ifExists: 'edit' }),
      refusal('ERR_IPVS_NO_SCHEDULER'),
    )
    await t.rejects(
      ipvs.addDestination(absent, destination, { ifExists: 'edit' }),
      refusal('ERR_IPVS_NO_SERVICE'),
    )
  })
}
