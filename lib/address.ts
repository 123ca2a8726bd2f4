// Numeric addresses: text to the kernel's 16 bytes (IPv4 in the first four) and back.

import { isIPv4 } from 'node:net'

import { ipv4Byte, ipv4Word } from './ipv4.js'
import { readGroups, textOfGroups } from './ipv6.js'
import type { Family } from '../types/service.js'

/** `AF_INET` and `AF_INET6`. */
export const familyNumbers = { ipv4: 2, ipv6: 10 } as const

export const familyOf = (number: number): Family =>
  number === familyNumbers.ipv6 ? 'ipv6' : 'ipv4'

export const addressBits = { ipv4: 32, ipv6: 128 } as const

export interface Address {
  readonly family: Family
  /** 16 bytes, the unused ones 0. */
  readonly bytes: Uint8Array
}

/** An IPv4 address at the end, as RFC 4291 allows it, as two groups. */
const withoutIpv4 = (text: string): string => {
  const start = text.lastIndexOf(':') + 1
  const tail = text.slice(start)
  if (start === 0 || !isIPv4(tail)) return text
  const [a = 0, b = 0, c = 0, d = 0] = tail.split('.').map(Number)
  return `${text.slice(0, start)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
}

/** Undefined unless the text is a numeric address; one with a zone (`%eth0`) is none. */
export const parseAddress = (text: string): Address | undefined => {
  const bytes = new Uint8Array(16)
  // Finds most of them, and faster.
  const word = ipv4Word(text)
  if (word !== 0) {
    for (let index = 0; index < 4; ++index) bytes[index] = ipv4Byte(word, index)
    return { family: 'ipv4', bytes }
  }
  if (isIPv4(text)) {
    bytes.set(text.split('.').map(Number))
    return { family: 'ipv4', bytes }
  }
  const groups: number[] = []
  if (!readGroups(withoutIpv4(text), groups)) return undefined
  groups.forEach((group, index) => {
    bytes[2 * index] = group >> 8
    bytes[2 * index + 1] = group & 0xff
  })
  return { family: 'ipv6', bytes }
}

const formatIpv6 = (bytes: Uint8Array, at: number): string =>
  textOfGroups(
    Array.from(
      { length: 8 },
      (_, index) => ((bytes[at + 2 * index] ?? 0) << 8) | (bytes[at + 2 * index + 1] ?? 0),
    ),
  )

/** Canonical text (RFC 5952). */
export const formatAddress = (family: Family, bytes: Uint8Array, at = 0): string =>
  family === 'ipv4' ? bytes.subarray(at, at + 4).join('.') : formatIpv6(bytes, at)

const isMulticast = ({ family, bytes }: Address): boolean => {
  const [first = 0] = bytes
  return family === 'ipv4' ? first >= 224 && first < 240 : first === 0xff
}

const isIpv4Mapped = ({ family, bytes }: Address): boolean =>
  family === 'ipv6' &&
  bytes.subarray(0, 10).every((byte) => byte === 0) &&
  bytes[10] === 0xff &&
  bytes[11] === 0xff

// The same IPv6 address may be on every link, and IPVS has no place for saying which.
const isLinkLocal = ({ family, bytes }: Address): boolean =>
  family === 'ipv6' && bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80

/** Why nobody can be reached at an address; undefined when somebody can. */
export const addressFault = (address: Address): string | undefined => {
  const { family, bytes } = address
  const [first = 0] = bytes
  // Nearly all of them.
  if (family === 'ipv4' ? first > 0 && first < 224 : first > 0 && first < 0xfe) return undefined
  if (bytes.every((byte) => byte === 0)) return 'unspecified'
  if (isMulticast(address)) return 'multicast'
  if (family === 'ipv4' && bytes.subarray(0, 4).every((byte) => byte === 255)) return 'broadcast'
  if (isIpv4Mapped(address)) return 'IPv4-mapped'
  if (isLinkLocal(address)) return 'link-local'
  return undefined
}

/** The 4 bytes of an IPv4 mask of this many leading ones. */
export const maskBytes = (prefixLength: number): Uint8Array =>
  Uint8Array.from({ length: 4 }, (_, index) => {
    const ones = Math.min(8, Math.max(0, prefixLength - 8 * index))
    return 0xff & (0xff << (8 - ones))
  })

/** Undefined unless the ones of the mask are its leading bits. */
export const prefixOfMask = (mask: Uint8Array): number | undefined => {
  const bits = Array.from(mask, (byte) => byte.toString(2).padStart(8, '0')).join('')
  return /^1*0*$/.test(bits) ? bits.replaceAll('0', '').length : undefined
}
