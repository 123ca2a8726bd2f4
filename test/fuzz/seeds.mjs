// What a fuzzer starts with: the captures of real kernels in test/fixtures, in the form that each
// target wants, and what earlier runs kept.

import { readFileSync } from 'node:fs'

const root = new URL('../../', import.meta.url)
const linesOf = (path) => readFileSync(new URL(path, root), 'utf8').split('\n')

const repliesIn = (lines) =>
  lines.filter((line) => line.startsWith('RX ')).map((line) => Buffer.from(line.slice(3), 'hex'))

const datagrams = (...files) => files.flatMap((file) => repliesIn(linesOf(`test/fixtures/${file}`)))

/** The replies to the request of this title. */
const repliesTo = (file, title) => {
  const lines = linesOf(`test/fixtures/${file}`)
  const rest = lines.slice(lines.indexOf(`== ${title}`) + 1)
  return repliesIn(
    rest.slice(
      0,
      rest.findIndex((line) => line.startsWith('== ')),
    ),
  )
}

const ipvs = datagrams('golden-6.1.txt', 'golden-7.3.txt')
const route = datagrams('addresses-6.12.txt')

/** See channel.h: the highest bit says that the next one travels along. */
const framed = (datagram, last) => {
  const length = Buffer.alloc(2)
  length.writeUInt16LE(datagram.length | (last ? 0 : 0x8000))
  return Buffer.concat([length, datagram])
}

/** Datagrams that answer one request together. */
const together = (replies) =>
  Buffer.concat(replies.map((each, index, all) => framed(each, index === all.length - 1)))

const channel = (first, replies) => Buffer.concat([Buffer.from([first]), together(replies)])

const withFirst = (count, each) =>
  Array.from({ length: count }, (_, first) => Buffer.concat([Buffer.from([first]), each]))

const familyReplies = ipvs.slice(0, 2)
/** The family's number, then replies to one request. */
const exchanges = (calls) =>
  calls.flatMap((call) =>
    ipvs.map((reply, index) =>
      Buffer.concat([
        channel(call, familyReplies),
        framed(reply, false),
        framed(ipvs[index + 1] ?? reply, true),
      ]),
    ),
  )

const verdict = (error) => {
  const reply = Buffer.alloc(36)
  reply.writeUInt32LE(reply.length, 0)
  reply.writeUInt16LE(2, 4) // NLMSG_ERROR
  reply.writeInt32LE(-error, 16)
  return reply
}

/** What is there already (EEXIST), is gone when it is edited (ESRCH or ENOENT), and at last is done. */
const additions = (call, gone) =>
  [0, 1, 2, 4].map((times) =>
    Buffer.concat([
      channel(call, familyReplies),
      ...Array.from({ length: times }, () => [
        framed(verdict(17), true),
        framed(verdict(gone), true),
      ]).flat(),
      framed(verdict(17), true),
      framed(verdict(0), true),
    ]),
  )

/** Calls of client_fuzz.cc: the first twelve, and of the last one each kind and command. */
const readings = Array.from({ length: 12 }, (_, call) => call)
const changes = Array.from({ length: 21 }, (_, which) => 11 + 12 * which)

/** A table: its services, then the destinations of each; as columns, and in parts. */
const tables = ['golden-6.1.txt', 'golden-7.3.txt'].flatMap((file) => {
  const destinations = together(repliesTo(file, 'GET_DEST dump'))
  const services = together(repliesTo(file, 'GET_SERVICE dump'))
  return [9, 0x89, 10, 0x8a].map((call) =>
    Buffer.concat([
      channel(call, familyReplies),
      ...(call % 0x80 === 9 ? [services] : []),
      ...Array.from({ length: 3 }, () => destinations),
    ]),
  )
})

const fou = 'fou-6.12.txt'

/** A change of an address, or its announcement (native/route/addresses.h). */
const change = (kind, family, device) => {
  const record = Buffer.alloc(92)
  record.writeUInt32LE(kind, 0)
  record.writeUInt32LE(0xb, 8) // address, local and flags are present
  record.fill(10, 12, 44)
  record.writeUInt32LE(family, 64)
  record.write(device, 76)
  return record
}

const fromCaptures = {
  messages: () => [...ipvs, ...route],
  records: () => ipvs.flatMap((each) => withFirst(5, each)),
  client: () => [
    ...exchanges([...readings, ...changes.slice(1)]),
    ...additions(changes[2], 3),
    ...additions(changes[5], 2),
    ...tables,
  ],
  addresses: () =>
    [0, 1, 2].flatMap((call) => [
      channel(call, route),
      ...route.map((each) => channel(call, [each])),
      ...route.map((each) => Buffer.concat([channel(call, route.slice(0, 2)), framed(each, true)])),
    ]),
  // A port is asked for, opened, closed and looked at.
  fou: () =>
    [0, 1, 2, 3].flatMap((call) =>
      ['ADD 6080 gue', 'ADD 6080 gue again', 'GET 6080', 'GET 5555', 'GET 6081 of IPv6', 'GET 6082']
        .map((title) => together(repliesTo(fou, title)))
        .map((replies) => Buffer.concat([channel(call, repliesTo(fou, 'GETFAMILY fou')), replies])),
    ),
  changes: () =>
    [0, 1].flatMap((call) =>
      [1, 2, 3].map((kind) =>
        Buffer.concat([
          Buffer.from([call]),
          change(kind, 2, 'eth0'),
          change(kind, 10, 'eth0'),
          change(kind, 2, 'lo'),
          change(kind, 2, 'none'),
        ]),
      ),
    ),
  // Words of one operation: the command, whether it is a patch, all rows present.
  operations: () =>
    Array.from({ length: 18 }, (_, command) => {
      const operation = Buffer.alloc(400, 1)
      operation.writeUInt32LE(command, 0)
      operation.writeUInt32LE(command % 2, 4)
      operation.writeUInt32LE(0xffff, 16)
      return operation
    }),
}

export const targets = Object.keys(fromCaptures)

export const corpusFile = (target) => new URL(`test/fuzz/corpus/${target}.txt`, root)

export const seedsOf = (target) => {
  let kept = []
  try {
    kept = linesOf(`test/fuzz/corpus/${target}.txt`).filter((line) => line !== '')
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  }
  return [...fromCaptures[target](), ...kept.map((line) => Buffer.from(line, 'hex'))]
}
