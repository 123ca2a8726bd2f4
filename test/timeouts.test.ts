// Timeouts that are put back, on a table in memory. What the kernel makes of them is in
// kernel/namespace.test.ts.

import t from 'tap'

import { createFakeIpvs } from 'ipvs-netlink/testing'

t.test('an override of unknown outcome is put back', async (t) => {
  const ipvs = createFakeIpvs()
  const before = await ipvs.timeouts()
  ipvs.failNext('setTimeouts', 'ERR_IPVS_OUTCOME_UNKNOWN')
  await t.rejects(ipvs.overrideTimeouts({ udp: 5 }), {
    name: 'IpvsError',
    code: 'ERR_IPVS_OUTCOME_UNKNOWN',
    message: /^Cannot override the timeouts: .*; what it may have changed is put back$/,
    cause: { command: 'SET_CONFIG' },
  })
  t.same(await ipvs.timeouts(), before)
})

t.test('when it cannot be, the error says what they were', async (t) => {
  const ipvs = createFakeIpvs()
  const { tcp, tcpFin } = await ipvs.timeouts()
  ipvs.failNext('setTimeouts', 'ERR_IPVS_OUTCOME_UNKNOWN')
  ipvs.failNext('setTimeouts', 'ERR_IPVS_TIMEOUT')
  await t.rejects(ipvs.overrideTimeouts({ udp: 5 }), {
    code: 'ERR_IPVS_OUTCOME_UNKNOWN',
    message: /could not be put back: .*\(they were \{"tcp":900,"tcpFin":120,"udp":300\}\)$/,
  })
  t.same(await ipvs.timeouts(), { tcp, tcpFin, udp: 5 })
})

t.test('one that is given up on its way is put back', async (t) => {
  const ipvs = createFakeIpvs()
  const before = await ipvs.timeouts()
  const controller = new AbortController()
  const { signal } = controller
  const setTimeouts = ipvs.setTimeouts.bind<typeof ipvs.setTimeouts>(ipvs)
  ipvs.setTimeouts = async (given, options) => {
    await setTimeouts(given)
    controller.abort()
    options?.signal?.throwIfAborted()
  }
  await t.rejects(ipvs.overrideTimeouts({ udp: 5 }, { signal }), { name: 'AbortError' })
  t.same(await ipvs.timeouts(), before)
})

t.test('what is asked for is read when it is called', async (t) => {
  const ipvs = createFakeIpvs()
  const asked = { udp: 5 }
  const overriding = ipvs.overrideTimeouts(asked)
  asked.udp = 6
  const held = await overriding
  t.match(await ipvs.timeouts(), { udp: 5 })
  t.same(await held.undo(), { left: [] })
  t.match(await ipvs.timeouts(), { udp: 300 })
})

t.test('what is refused changes nothing, and is told as it is', async (t) => {
  const ipvs = createFakeIpvs()
  ipvs.failNext('setTimeouts', 'ERR_IPVS_PERMISSION')
  await t.rejects(ipvs.overrideTimeouts({ udp: 5 }), {
    code: 'ERR_IPVS_PERMISSION',
    cause: undefined,
  })
})
