// IPVS's own settings without a kernel: the table, what is refused, and that changes are all or
// nothing.

import t from 'tap'
import type { Test } from 'tap'

import {
  ipvsSettings,
  ipvsSettingTable,
  kernelName,
  setIpvsSettings,
  takeIpvsSettingChanges,
} from '#lib/settings'
import { settingRecords } from '#lib/wants'

type Native = Parameters<typeof setIpvsSettings>[0]

/** Stands for the folder net/ipv4/vs, and refuses to write what is named. */
const makeNative = (
  settings: Record<string, string>,
  refused: readonly string[] = [],
): { native: Native; written: string[] } => {
  const written: string[] = []
  const native = {
    readSettings: async () => ({
      failure: undefined,
      values: Object.fromEntries(
        Object.entries(settings).map(([key, value]) => [key, `${value}\n`]),
      ),
    }),
    writeSetting: async (name: string, value: string) => {
      const key = name.replace('ipv4/vs/', '')
      if (refused.includes(key)) return { stage: 6, errno: 22, text: '' }
      written.push(`${key}=${value}`)
      settings[key] = value
      return undefined
    },
  } as unknown as Native
  return { native, written }
}

type Answer = Awaited<ReturnType<Native['writeSetting']>>

/** The same, which writes, and then answers something else. */
const answering = (native: Native, answer: (name: string, value: string) => Answer): Native => ({
  ...native,
  writeSetting: async (name, value) =>
    (await native.writeSetting(name, value)) ?? answer(name, value),
})

t.test("properties are the kernel's names in camel case", async (t) => {
  t.equal(kernelName('expireNodestConn'), 'expire_nodest_conn')
  t.equal(kernelName('conntrack'), 'conntrack')
  t.equal(kernelName('syncQlenMax'), 'sync_qlen_max')
  for (const property of Object.keys(ipvsSettingTable)) {
    t.match(kernelName(property), /^[a-z]+(_[a-z]+)*$/)
  }
})

t.test('reading: booleans, numbers, pairs, lists, and what is not known', async (t) => {
  const { native } = makeNative({
    conntrack: '1',
    pmtu_disc: '-3',
    sloppy_tcp: '0',
    conn_lfactor: '-4',
    sync_threshold: '3\t50',
    est_cpulist: '0-1,4',
    sync_qlen_max: '15231',
    brand_new: '7 8',
  })
  t.same(await ipvsSettings(native), {
    conntrack: true,
    pmtuDisc: true,
    sloppyTcp: false,
    connLfactor: -4,
    syncThreshold: [3, 50],
    estCpulist: '0-1,4',
    syncQlenMax: 15231,
    brand_new: '7 8',
  })
})

t.test('writing: only what differs, in the order given', async (t) => {
  const { native, written } = makeNative({
    conntrack: '0',
    sloppy_tcp: '1',
    sync_threshold: '3\t50',
    est_cpulist: '0-1',
    brand_new: '0',
    am_droprate: '10',
  })
  const changes = takeIpvsSettingChanges({
    sloppyTcp: true,
    conntrack: true,
    syncThreshold: [3, 50],
    amDroprate: undefined,
    estCpulist: '',
    brand_new: 5,
  })
  const after = await setIpvsSettings(native, changes)
  t.same(written, ['conntrack=1', 'est_cpulist=\n', 'brand_new=5'])
  t.match(after, { conntrack: true, sloppyTcp: true, brand_new: '5' })
  // What was right already is wanted all the same.
  t.same([...settingRecords(native).keys()].sort(), [
    'net.ipv4.vs.brand_new',
    'net.ipv4.vs.conntrack',
    'net.ipv4.vs.est_cpulist',
    'net.ipv4.vs.sloppy_tcp',
    'net.ipv4.vs.sync_threshold',
  ])
})

t.test('a setting that the kernel lacks: nothing is written', async (t) => {
  for (const [changes, needs] of [
    [{ sloppyTcp: true, estNice: 1 }, /net\.ipv4\.vs\.est_nice: .* needs Linux 6\.2\. Nothing/],
    [{ sloppyTcp: true, connMax: 1 }, /needs Linux 7\.2/],
    [{ sloppyTcp: true, debugLevel: 1 }, /needs a kernel with CONFIG_IP_VS_DEBUG/],
    [{ sloppyTcp: true, lblcExpiration: 1 }, /needs the module ip_vs_lblc\./],
    [
      { sloppyTcp: true, brand_new: 1 },
      /brand_new: this kernel, .*, has no such setting\. Nothing/,
    ],
  ] as const) {
    const { native, written } = makeNative({ sloppy_tcp: '0' })
    const refusal = { name: 'IpvsError', code: 'ERR_HOST_NO_SYSCTL', errno: -2, message: needs }
    await t.rejects(setIpvsSettings(native, takeIpvsSettingChanges(changes)), refusal)
    t.same(written, [])
    t.equal(settingRecords(native).size, 0)
  }
})

t.test('the kernel refuses one: those before it are put back', async (t) => {
  const settings = { conntrack: '0', sloppy_tcp: '0', sloppy_sctp: '0' }
  const { native, written } = makeNative({ ...settings }, ['sloppy_sctp'])
  const changes = takeIpvsSettingChanges({ conntrack: true, sloppyTcp: true, sloppySctp: true })
  await t.rejects(setIpvsSettings(native, changes), { code: 'ERR_HOST_REFUSED' })
  t.same(written, ['conntrack=1', 'sloppy_tcp=1', 'sloppy_tcp=0', 'conntrack=0'])
  t.ok([...settingRecords(native).values()].every(({ isPutBack }) => isPutBack))
})

t.test('nobody knows of one whether it was written: it is put back, too', async (t) => {
  const { native, written } = makeNative({ conntrack: '0', sloppy_tcp: '0' })
  const losing = answering(native, (name, value) => {
    if (name.endsWith('sloppy_tcp') && value === '1') throw new Error('std::bad_alloc')
    return undefined
  })
  const changes = takeIpvsSettingChanges({ conntrack: true, sloppyTcp: true })
  await t.rejects(setIpvsSettings(losing, changes), { code: 'ERR_IPVS_OUTCOME_UNKNOWN' })
  t.same(written, ['conntrack=1', 'sloppy_tcp=1', 'sloppy_tcp=0', 'conntrack=0'])
})

t.test('of one the kernel took only the beginning: it is put back, too', async (t) => {
  const { native, written } = makeNative({ conntrack: '0', brand_new: '7' })
  const partly = answering(native, (_, value) =>
    value === '1 2' ? { stage: 6, errno: 7, text: '' } : undefined,
  )
  const changes = takeIpvsSettingChanges({ conntrack: true, brand_new: '1 2' })
  const error: unknown = await setIpvsSettings(partly, changes).catch((reason: unknown) => reason)
  t.match(error, { code: 'ERR_HOST_REFUSED', errno: -7, message: /only the beginning/ })
  t.notMatch((error as Error).message, /what the setting is now/, 'it is not any more')
  t.same(written, ['conntrack=1', 'brand_new=1 2', 'brand_new=7', 'conntrack=0'])
})

t.test('whatever can be put back is, and one error names all the others', async (t) => {
  const settings = { conntrack: '0', sloppy_tcp: '0', sloppy_sctp: '0', drop_entry: '0' }
  const { native } = makeNative(settings, ['drop_entry'])
  const stuck = {
    ...native,
    writeSetting: async (name: string, value: string) =>
      value === '0' && !name.endsWith('sloppy_tcp')
        ? { stage: 6, errno: 5, text: '' }
        : native.writeSetting(name, value),
  }
  const changes = takeIpvsSettingChanges({
    conntrack: true,
    sloppyTcp: true,
    sloppySctp: true,
    dropEntry: 1,
  })
  await t.rejects(setIpvsSettings(stuck, changes), {
    name: 'AggregateError',
    message:
      'Not all settings could be set, and these could not be put back: net.ipv4.vs.sloppy_sctp, net.ipv4.vs.conntrack',
    errors: [{ errno: -22 }, { errno: -5, message: /sloppy_sctp/ }, { message: /conntrack/ }],
  })
  t.match(settings, { conntrack: '1', sloppy_tcp: '0', sloppy_sctp: '1', drop_entry: '0' })
})

t.test('what was set is told so, also where it cannot be read again', async (t) => {
  const { native } = makeNative({
    conntrack: '0',
    sloppy_tcp: '1',
    est_cpulist: '0-1',
    sync_threshold: '3\t50',
  })
  for (const reread of [
    async () => ({ failure: { stage: 1, errno: 11, text: '' }, values: {} }),
    async () => Promise.reject(new Error('std::bad_alloc')),
  ]) {
    let readings = 0
    const once = {
      ...native,
      readSettings: async (folder: string) =>
        ++readings === 1 ? native.readSettings(folder) : reread(),
    }
    const changes = takeIpvsSettingChanges({
      conntrack: true,
      estCpulist: '',
      syncThreshold: [5, 60],
    })
    t.same(await setIpvsSettings(once, changes), {
      conntrack: true,
      sloppyTcp: true,
      estCpulist: '',
      syncThreshold: [5, 60],
    })
    t.equal(readings, 2)
    t.equal(settingRecords(once).size, 3)
  }
})

t.test('nothing is there: in a namespace from which the settings are hidden', async (t) => {
  const { native } = makeNative({})
  await t.rejects(ipvsSettings(native), { code: 'ERR_HOST_NO_SYSCTL', message: /user namespace/ })
})

const integers = Object.entries({
  amDroprate: [0, 2 ** 31 - 1],
  amemthresh: [0, 2 ** 31 - 1],
  connLfactor: [-8, 8],
  connMax: [0, 2 ** 30],
  connReuseMode: [0, 3],
  debugLevel: [0, 12],
  dropEntry: [0, 3],
  dropPacket: [0, 3],
  estNice: [-20, 19],
  lblcExpiration: [0, 2_147_483],
  lblcrExpiration: [0, 2_147_483],
  secureTcp: [0, 3],
  svcLfactor: [-8, 8],
  syncPersistMode: [0, 1],
  syncPorts: [1, 64],
  syncQlenMax: [0, 2 ** 53 - 1],
  syncRefreshPeriod: [0, 2_147_483],
  syncRetries: [0, 3],
  syncSockSize: [0, 2 ** 31 - 1],
  syncVersion: [0, 1],
} as const)

const refuses = (t: Test, changes: unknown, code: string, path: string): void => {
  t.throws(() => takeIpvsSettingChanges(changes), {
    code,
    message: new RegExp(`"${path.replaceAll(/[[\].]/g, '\\$&')}" `),
  })
}

t.test('integers have their range', async (t) => {
  for (const [name, [least, most]] of integers) {
    for (const value of [least, most]) {
      t.match(takeIpvsSettingChanges({ [name]: value }), [{ text: String(value) }], name)
    }
    for (const value of [least - 1, most + 1, least + 0.5, NaN, Infinity]) {
      refuses(t, { [name]: value }, 'ERR_OUT_OF_RANGE', `changes.${name}`)
    }
    for (const value of ['1', true, null, {}, [1], 1n]) {
      refuses(t, { [name]: value }, 'ERR_INVALID_ARG_TYPE', `changes.${name}`)
    }
    const raw = kernelName(name)
    refuses(t, { [raw]: least - 1 }, 'ERR_OUT_OF_RANGE', `changes.${raw}`)
  }
  refuses(t, { syncPorts: 3 }, 'ERR_INVALID_ARG_VALUE', 'changes.syncPorts')
})

t.test('booleans are booleans', async (t) => {
  const numbers = new Set([...integers.map(([name]) => name), 'estCpulist', 'syncThreshold'])
  const booleans = Object.keys(ipvsSettingTable).filter((name) => !numbers.has(name as never))
  t.equal(booleans.length, 13)
  for (const name of booleans) {
    t.match(takeIpvsSettingChanges({ [name]: true }), [{ text: '1' }])
    t.match(takeIpvsSettingChanges({ [name]: false }), [{ text: '0' }])
    t.match(takeIpvsSettingChanges({ [kernelName(name)]: true }), [{ text: '1' }])
    for (const value of [1, 0, 'true', null, {}]) {
      refuses(t, { [name]: value }, 'ERR_INVALID_ARG_TYPE', `changes.${name}`)
    }
  }
})

t.test('the threshold is below its period', async (t) => {
  for (const value of [
    [0, 0],
    [3, 0],
    [0, 1],
    [3, 50],
    [1e6, 2e6],
  ]) {
    t.match(takeIpvsSettingChanges({ syncThreshold: value }), [{ text: value.join(' ') }])
  }
  const path = 'changes.syncThreshold'
  for (const value of [[50, 50], [51, 50], [3], [], [1, 2, 3]]) {
    refuses(t, { syncThreshold: value }, 'ERR_INVALID_ARG_VALUE', path)
  }
  refuses(t, { syncThreshold: [-1, 50] }, 'ERR_OUT_OF_RANGE', `${path}[0]`)
  refuses(t, { syncThreshold: [1, 2 ** 31] }, 'ERR_OUT_OF_RANGE', `${path}[1]`)
  refuses(t, { syncThreshold: '3 50' }, 'ERR_INVALID_ARG_TYPE', path)
  t.match(takeIpvsSettingChanges({ sync_threshold: '3\t50' }), [{ text: '3 50' }])
})

t.test('lists of processors', async (t) => {
  for (const value of ['', 'all', '0', '0-3', '0,2-3', '0-N', '0,1-N:1/2']) {
    t.match(takeIpvsSettingChanges({ estCpulist: value }), [{ text: value === '' ? '\n' : value }])
  }
  for (const value of ['x', '0 1', '0;1', '0\n', '../0']) {
    refuses(t, { estCpulist: value }, 'ERR_INVALID_ARG_VALUE', 'changes.estCpulist')
  }
})

t.test('changes that are none', async (t) => {
  for (const value of [undefined, null, 1, 'x', []]) {
    refuses(t, value, 'ERR_INVALID_ARG_TYPE', 'changes')
  }
  for (const name of [
    'expireNodest',
    'Conntrack',
    '../kernel',
    '__proto__x',
    'a.b',
    '',
    'toString',
  ]) {
    refuses(t, { [name]: true }, 'ERR_INVALID_ARG_VALUE', `changes.${name}`)
  }
  refuses(
    t,
    { conntrack: true, sloppy_tcp: true, sloppyTcp: false },
    'ERR_INVALID_ARG_VALUE',
    'changes.sloppyTcp',
  )
  t.same(takeIpvsSettingChanges({}), [])
})
