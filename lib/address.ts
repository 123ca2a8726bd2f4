// Numeric addresses: text to the kernel's 16 bytes (IPv4 in the first four) and back.

import { isIPv4, isIPv6 } from 'node:net'

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

const parseIpv4 = (text: string, bytes: Uint8Array, at: number): void => {
  text.split('.').forEach((part, index) => {
    bytes[at + index] = Number(part)
  })
}

/** Groups before or after the `::`, each of 2 bytes, an IPv4 tail as two of them. */
const groupsOf = (text: string): string[] => {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [group]
    const tail = new Uint8Array(4)
    parseIpv4(group, tail, 0)
    const [a = 0, b = 0, c = 0, d = 0] = tail
    return [((a << 8) | b).toString(16), ((c << 8) | d).toString(16)]
  })
}

const parseIpv6 = (text: string, bytes: Uint8Array): void => {
  const [head = '', tail] = text.split('::')
  const first = groupsOf(head)
  const last = groupsOf(tail ?? '')
  const gap = tail === undefined ? 0 : 8 - first.length - last.length
  const groups = [...first, ...Array<string>(gap).fill('0'), ...last]
  groups.forEach((group, index) => {
    const value = Number.parseInt(group, 16)
    bytes[2 * index] = value >> 8
    bytes[2 * index + 1] = value & 0xff
  })
}

/** Undefined unless the text is a numeric address; one with a zone (`%eth0`) is none. */
export const parseAddress = (text: string): Address | undefined => {
  const bytes = new Uint8Array(16)
  if (isIPv4(text)) {
    parseIpv4(text, bytes, 0)
    return { family: 'ipv4', bytes }
  }
  if (isIPv6(text) && !text.includes('%')) {
    parseIpv6(text, bytes)
    return { family: 'ipv6', bytes }
  }
  return undefined
}

/** Start and length of the longest run of at least two zero groups. */
const longestGap = (groups: readonly number[]): { start: number; length: number } => {
  let best = { start: -1, length: 1 }
  let start = -1
  groups.forEach((group, index) => {
    if (group !== 0) start = -1
    else if (start === -1) start = index
    const length = index - start + 1
    if (start !== -1 && length > best.length) best = { start, length }
  })
  return best
}

const formatIpv6 = (bytes: Uint8Array, at: number): string => {
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((bytes[at + 2 * index] ?? 0) << 8) | (bytes[at + 2 * index + 1] ?? 0),
  )
  const text = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':')
  const gap = longestGap(groups)
  if (gap.start === -1) return text(0, 8)
  return `${text(0, gap.start)}::${text(gap.start + gap.length, 8)}`
}

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
