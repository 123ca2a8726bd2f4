// The whole table a part at a time: the consumer's pace is the reader's, and of the destinations only
// one part is in memory.

import { snapshotFrom } from './snapshot.js'
import type { Total } from './reader.js'
import { recordFormat } from './records.js'
import type { Connection, RecordsReply, SnapshotReply } from '../types/addon.js'
import type { VirtualServerState } from '../types/observed.js'

/** So many destinations are read at a time, and more only where one service has more. */
const enough = 2048

/** Calls the addon, and throws what it answers as a failure. */
export type ReadReply = <Reply extends RecordsReply | SnapshotReply>(
  work: (native: Connection) => Promise<Reply>,
) => Promise<Reply>

export async function* streamTable(
  read: ReadReply,
  bigint: boolean,
): AsyncGenerator<VirtualServerState<Total>, void, void> {
  const { records } = await read((native) => native.readServices())
  const services = new Uint8Array(records)
  const { size } = recordFormat().service
  for (let at = 0; at < services.length;) {
    const rest = services.subarray(at)
    const part = await read((native) => native.readPart(rest, enough))
    const count = part.counts.byteLength / Uint32Array.BYTES_PER_ELEMENT
    if (count === 0) return
    const own = records.slice(at, at + count * size)
    yield* await snapshotFrom({ ...part, services: own }, bigint)
    at += count * size
  }
}
