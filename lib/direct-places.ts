// Where direct.ts writes.

import { recordFormat } from './records.js'
import type { DestinationFields, ServiceFields } from './records.js'

const inService = (name: keyof ServiceFields): number => {
  const { operation, service } = recordFormat()
  return (operation.service + service.offset(name)) >> 2
}

const inDestination = (name: keyof DestinationFields): number => {
  const { operation, destination } = recordFormat()
  return (operation.destination + destination.offset(name)) >> 2
}

const serviceBits = (...names: (keyof ServiceFields)[]): number =>
  recordFormat().service.bits(...names)

const destinationBits = (...names: (keyof DestinationFields)[]): number =>
  recordFormat().destination.bits(...names)

/** In words; what ends with Key or Bits is the first word of a record with these fields. */
export class Places {
  readonly servicePresent = recordFormat().operation.service >> 2
  readonly addressKey = serviceBits('family', 'protocol', 'address', 'port')
  readonly fwmarkKey = serviceBits('family', 'fwmark')
  readonly #settings = serviceBits('scheduler', 'flags', 'timeout', 'netmask')
  readonly wholeAddressBits = this.addressKey | this.#settings
  readonly wholeFwmarkBits = this.fwmarkKey | this.#settings
  readonly serviceFamily = inService('family')
  readonly protocol = inService('protocol')
  readonly serviceAddress = inService('address')
  readonly servicePort = inService('port')
  readonly fwmark = inService('fwmark')
  readonly scheduler = inService('scheduler')
  readonly flags = inService('flags')
  readonly timeout = inService('timeout')
  readonly netmask = inService('netmask')

  readonly destinationPresent = recordFormat().operation.destination >> 2
  readonly keyBits = destinationBits('family', 'address', 'port')
  readonly allBits =
    this.keyBits | destinationBits('forwarding', 'weight', 'upperThreshold', 'lowerThreshold')
  /** What has tun forwarding and names no tunnel has the plain one. */
  readonly tunBits = this.allBits | destinationBits('tunnelType', 'tunnelPort', 'tunnelFlags')
  readonly family = inDestination('family')
  readonly address = inDestination('address')
  readonly port = inDestination('port')
  readonly forwarding = inDestination('forwarding')
  readonly weight = inDestination('weight')
  readonly upperThreshold = inDestination('upperThreshold')
  readonly lowerThreshold = inDestination('lowerThreshold')
  readonly tunnelType = inDestination('tunnelType')
  readonly tunnelPort = inDestination('tunnelPort')
  readonly tunnelFlags = inDestination('tunnelFlags')
}
