// Where direct.ts writes.

import { recordFormat } from './records.js'
import type { DestinationFields, ServiceFields } from './records.js'

/** In words; what ends with Bits or Key is the first word of a record with these fields. */
export type Places = Readonly<
  Record<
    | 'servicePresent'
    | 'addressKey'
    | 'fwmarkKey'
    | 'wholeAddressBits'
    | 'wholeFwmarkBits'
    | 'serviceFamily'
    | 'protocol'
    | 'serviceAddress'
    | 'servicePort'
    | 'fwmark'
    | 'scheduler'
    | 'flags'
    | 'timeout'
    | 'netmask'
    | 'destinationPresent'
    | 'keyBits'
    | 'allBits'
    | 'tunBits'
    | 'family'
    | 'address'
    | 'port'
    | 'forwarding'
    | 'weight'
    | 'upperThreshold'
    | 'lowerThreshold'
    | 'tunnelType'
    | 'tunnelPort'
    | 'tunnelFlags',
    number
  >
>

/** Where things go in a record, in words, and which rows it then has. */
export const makePlaces = (): Places => {
  const { operation, service, destination } = recordFormat()
  const servicePlace = (name: keyof ServiceFields): number =>
    (operation.service + service.offset(name)) >> 2
  const place = (name: keyof DestinationFields): number =>
    (operation.destination + destination.offset(name)) >> 2
  const addressKey = service.bits('family', 'protocol', 'address', 'port')
  const fwmarkKey = service.bits('family', 'fwmark')
  const settings = service.bits('scheduler', 'flags', 'timeout', 'netmask')
  const key = destination.bits('family', 'address', 'port')
  const all = key | destination.bits('forwarding', 'weight', 'upperThreshold', 'lowerThreshold')
  return {
    servicePresent: operation.service >> 2,
    addressKey,
    fwmarkKey,
    wholeAddressBits: addressKey | settings,
    wholeFwmarkBits: fwmarkKey | settings,
    serviceFamily: servicePlace('family'),
    protocol: servicePlace('protocol'),
    serviceAddress: servicePlace('address'),
    servicePort: servicePlace('port'),
    fwmark: servicePlace('fwmark'),
    scheduler: servicePlace('scheduler'),
    flags: servicePlace('flags'),
    timeout: servicePlace('timeout'),
    netmask: servicePlace('netmask'),
    destinationPresent: operation.destination >> 2,
    keyBits: key,
    allBits: all,
    // What has tun forwarding and names no tunnel has the plain one.
    tunBits: all | destination.bits('tunnelType', 'tunnelPort', 'tunnelFlags'),
    family: place('family'),
    address: place('address'),
    port: place('port'),
    forwarding: place('forwarding'),
    weight: place('weight'),
    upperThreshold: place('upperThreshold'),
    lowerThreshold: place('lowerThreshold'),
    tunnelType: place('tunnelType'),
    tunnelPort: place('tunnelPort'),
    tunnelFlags: place('tunnelFlags'),
  }
}
