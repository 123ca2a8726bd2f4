// What no check of the library has seen, as another program can send it.

import { commands } from '#lib/commands'
import { Memory } from '#lib/memory'
import { loadAddon } from '#lib/native'
import { recordFormat } from '#lib/records'

type Fields<Part extends 'service' | 'destination'> = Parameters<
  ReturnType<typeof recordFormat>[Part]['write']
>[2]

/** The addon's own class, whatever a test makes of it later. */
const { Connection } = loadAddon()

/** Sends one change; rejects when the kernel refuses it. */
export const sendRaw = async (
  netns: string,
  command: keyof typeof commands,
  service: Fields<'service'>,
  destination?: Fields<'destination'>,
): Promise<void> => {
  const format = recordFormat()
  const memory = new Memory(new ArrayBuffer(format.operation.size))
  memory.setWord(0, commands[command])
  format.service.write(memory, format.operation.service, service)
  if (destination) format.destination.write(memory, format.operation.destination, destination)
  const native = new Connection(netns, 5000)
  await native.open()
  const failed = await native.apply(memory.bytes)
  native.close()
  if (failed) throw new Error(`the kernel refused ${command}`)
}
