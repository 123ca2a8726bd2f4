// What a change asked for, read back from its record: for the words and properties of an error, which
// few changes need.

import { commandOf } from './commands.js'
import type { Memory } from './memory.js'
import type { Request } from './meanings.js'
import { operationKinds, recordFormat } from './records.js'
import { joinAddress, keyOfFields, nameService } from './service.js'
import { describeDaemon } from './sync.js'
import { destinationKeyOf } from './destination.js'

const change = (command: string, what: () => string): Request => ({ command, what, changes: true })

const serviceVerbs: Readonly<Record<string, string>> = {
  NEW: 'add',
  SET: 'edit',
  DEL: 'delete',
}

const verbOf = (command: string, isPatch: boolean): string => {
  if (isPatch) return 'patch'
  return serviceVerbs[command.slice(0, 3)] ?? 'zero the counters of'
}

const daemonRequest = (command: string, memory: Memory, at: number): Request => {
  const { role, interface: device } = describeDaemon(recordFormat().daemon.read(memory, at))
  return change(command, () =>
    command === 'NEW_DAEMON' ? `start the ${role} daemon on ${device}` : `stop the ${role} daemon`,
  )
}

const tableRequest = (
  command: string,
  verb: string,
  memory: Memory,
  at: number,
): Request | undefined => {
  const { operation, service, destination } = recordFormat()
  const fields = service.read(memory, at + operation.service)
  if (Object.keys(fields).length === 0) return undefined
  const { scheduler, engine } = fields
  const key = keyOfFields(fields)
  const place = at + operation.destination
  if (memory.word(place) === 0) {
    return {
      ...change(command, () => `${verb} service ${nameService(key)}`),
      service: key,
      ...(scheduler !== undefined && { scheduler }),
      ...(engine !== undefined && { engine }),
    }
  }
  const real = destinationKeyOf(destination.read(memory, place))
  const name = `destination ${joinAddress(real.address, real.port)} of service ${nameService(key)}`
  return { ...change(command, () => `${verb} ${name}`), service: key, destination: real }
}

const others: Readonly<Record<string, string>> = {
  ZERO: 'zero all counters',
  FLUSH: 'clear the table',
  SET_CONFIG: 'set the timeouts',
}

/** The request of the change whose record (native/ipvs/codec.h) is there. */
export const requestOf = (memory: Memory, at: number): Request => {
  const command = commandOf(memory.word(at))
  if (command.endsWith('_DAEMON')) {
    return daemonRequest(command, memory, at + recordFormat().operation.service)
  }
  const other = others[command]
  const request =
    command === 'SET_CONFIG'
      ? undefined
      : tableRequest(
          command,
          verbOf(command, memory.word(at + 4) === operationKinds.patch),
          memory,
          at,
        )
  return request ?? change(command, () => other ?? command)
}
