// Every verb of a handle that was closed.

import t from 'tap'

import { openHost, openIpvs } from 'ipvs-netlink'
import { createFakeIpvs } from 'ipvs-netlink/testing'

import { callsOfHost, callsOfIpvs, verbsOf } from './fixtures/calls.js'

const table = await openIpvs()
const machine = await openHost()
const fake = createFakeIpvs()
await Promise.all([table.close(), machine.close(), fake.close()])

const handles = {
  'a table': callsOfIpvs(table),
  'a machine': callsOfHost(machine),
  'a table in memory': callsOfIpvs(fake),
}

for (const [what, calls] of Object.entries(handles)) {
  t.test(`every verb of ${what} that was closed says so`, async (t) => {
    for (const [verb, [call]] of Object.entries(calls)) {
      await t.rejects(async () => call(), { code: 'ERR_IPVS_CLOSED' }, verb)
    }
  })
}

t.test('no verb is left out', async (t) => {
  t.same(Object.keys(callsOfIpvs(table)).sort(), verbsOf(table).sort())
  t.same(Object.keys(callsOfHost(machine)).sort(), verbsOf(machine).sort())
})

t.test('closing again is no error', async (t) => {
  await t.resolves(Promise.all([table.close(), machine.close(), fake.close()]))
})
