// What a fuzzer starts with: the captures of real kernels in test/fixtures, in the form that each
// target wants, and what earlier runs kept.

import { readFileSync } from 'node:fs'

const root = new URL('../../', import.meta.url)
const linesOf = (path) => readFileSync(new URL(path, root), 'utf8').split('\n')

const datagrams = (...files) =>
  files.flatMap((file) =>
    linesOf(`test/fixtures/${file}`)
      .filter((line) => line.startsWith('RX '))
      .map((line) => Buffer.from(line.slice(3), 'hex')),
  )

const ipvs = datagrams('golden-6.1.txt', 'golden-7.3.txt')
const route = datagrams('addresses-6.12.txt')

/** See channel.h: the highest bit says that the next one travels along. */
const framed = (datagram, last) => {
  const length = Buffer.alloc(2)
  length.writeUInt16LE(datagram.length | (last ? 0 : 0x8000))
  return Buffer.concat([length, datagram])
}

const channel = (first, replies) =>
  Buffer.concat([
    Buffer.from([first]),
    ...replies.flat().map((each, index, all) => framed(each, index === all.length - 1)),
  ])

const withFirst = (count, each) =>
  Array.from({ length: count }, (_, first) => Buffer.concat([Buffer.from([first]), each]))

const familyReplies = ipvs.slice(0, 2)
/** The family's number, then replies to one request. */
const exchanges = (calls) =>
  Array.from({ length: calls }, (_, call) =>
    ipvs.map((reply, index) =>
      Buffer.concat([
        channel(call, familyReplies),
        framed(reply, false),
        framed(ipvs[index + 1] ?? reply, true),
      ]),
    ),
  ).flat()

const fromCaptures = {
  messages: () => [...ipvs, ...route],
  records: () => ipvs.flatMap((each) => withFirst(5, each)),
  client: () => exchanges(10),
  addresses: () =>
    [0, 1, 2].flatMap((call) => [
      channel(call, route),
      ...route.map((each) => channel(call, [each])),
      ...route.map((each) => Buffer.concat([channel(call, route.slice(0, 2)), framed(each, true)])),
    ]),
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
