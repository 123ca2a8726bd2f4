import { isIP } from 'node:net'

import fc from 'fast-check'
import t from 'tap'

import { addressFault, formatAddress, maskBytes, parseAddress, prefixOfMask } from '#lib/address'

import { anyIpv6, bytesOf, canonicalIpv6, ipv6Bytes } from './fixtures/arbitraries.js'

const parsed = (text: string): number[] | undefined => {
  const address = parseAddress(text)
  return address && Array.from(address.bytes)
}

const canonical = (text: string): string | undefined => {
  const address = parseAddress(text)
  return address && formatAddress(address.family, address.bytes)
}

t.test('IPv4 addresses become four bytes in network order and twelve zeroes', async (t) => {
  const rest = Array<number>(12).fill(0)
  t.same(parsed('10.0.0.1'), [10, 0, 0, 1, ...rest])
  t.same(parsed('0.0.0.0'), [0, 0, 0, 0, ...rest])
  t.same(parsed('255.254.253.252'), [255, 254, 253, 252, ...rest])
  t.equal(parseAddress('10.0.0.1')?.family, 'ipv4')
})

t.test('every IPv4 address survives the way there and back', async () => {
  fc.assert(
    fc.property(bytesOf(4), (bytes) => {
      const text = bytes.join('.')
      return canonical(text) === text && parsed(text)?.slice(0, 4).join('.') === text
    }),
  )
})

// RFC 5952, sections 4 and 5; what the last column says is the rule that the line is about.
const canonicalForms = [
  ['2001:0db8::0001', '2001:db8::1', 'no leading zeroes'],
  ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1', 'zeroes are shortened as much as possible'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1', 'a single zero group is not shortened'],
  ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1', 'not even when it was written short'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1', 'the longest run is shortened'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1', 'of two equal runs the first'],
  ['2001:DB8:AbCd::1', '2001:db8:abcd::1', 'lower case'],
  ['::', '::', 'all zeroes'],
  ['0:0:0:0:0:0:0:0', '::', 'all zeroes in full'],
  ['::1', '::1', 'a run at the start'],
  ['1::', '1::', 'a run at the end'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0', 'a gap of one group at the end'],
  ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8', 'a gap of one group at the start'],
  ['fe80::1', 'fe80::1', 'link-local'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221', 'an embedded IPv4 address is written in groups'],
  ['::ffff:192.0.2.1', '::ffff:c000:201', 'an IPv4-mapped one too'],
  ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304', 'embedded without a gap'],
  ['ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', ''],
] as const

for (const [text, expected, rule] of canonicalForms) {
  t.test(`${text} is ${expected}: ${rule}`, async (t) => {
    t.equal(canonical(text), expected)
    t.equal(canonicalIpv6(text), expected, "Node's URL agrees")
  })
}

t.test('any 16 bytes survive being written and read again', async () => {
  fc.assert(
    fc.property(fc.oneof(ipv6Bytes, bytesOf(16)), (bytes) => {
      const text = formatAddress('ipv6', Uint8Array.from(bytes))
      return parsed(text)?.join() === bytes.join()
    }),
    { numRuns: 2000 },
  )
})

t.test('any spelling of an IPv6 address is read, and written as URL writes it', async (t) => {
  fc.assert(
    fc.property(anyIpv6, ({ bytes, text, canonical: expected }) => {
      t.equal(parsed(text)?.join(), bytes.join(), text)
      t.equal(canonical(text), expected, text)
    }),
    { numRuns: 500 },
  )
  fc.assert(
    fc.property(fc.ipV6(), (text) => {
      t.equal(canonical(text), canonicalIpv6(text), text)
    }),
    { numRuns: 500 },
  )
})

const isIpv6ForUrl = (text: string): boolean => {
  try {
    canonicalIpv6(text)
    return true
  } catch {
    return false
  }
}

t.test('what looks like an IPv6 address is one exactly when URL says so', async () => {
  const piece = fc.constantFrom('0', '1', 'ffff', 'abc', '10000', ':', '::', '.', '1.2.3.4', 'g')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 17 }), (pieces) => {
      const text = pieces.join('')
      return (parseAddress(text)?.family === 'ipv6') === isIpv6ForUrl(text)
    }),
    { numRuns: 20_000 },
  )
})

const refused = {
  'a name': ['localhost', 'example.org', 'any'],
  nothing: ['', ' ', '\0', '.', ':', '...', ':::'],
  'an IPv4 address of other than four parts': [
    '1',
    '1.2',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.',
    '.1.2.3',
  ],
  'an IPv4 part that is no number of 0 to 255': [
    '256.1.1.1',
    '1.1.1.-1',
    '1.1.1.1e0',
    '1.1.1.1000',
  ],
  'another base': ['0x7f.0.0.1', '0x7f000001', '2130706433', '010.0.0.1', '1.2.3.04', '00.0.0.0'],
  'an IPv6 address of too many or too few groups': [
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
  ],
  'a gap of no group': ['1:2:3:4::5:6:7:8', '::1:2:3:4:5:6:7:8'],
  'a group of more than four digits': ['12345::', '::00001'],
  'IPv4 anywhere but at the end': ['1.2.3.4::', '::1.2.3.4:5', '1:2:3:4:5:6:7:1.2.3.4'],
  'a zone': ['fe80::1%eth0', 'fe80::1%1', '::1%lo', 'fe80::1%25eth0', '::1%', '10.0.0.1%lo'],
  'more than the address': ['10.0.0.1/32', '10.0.0.1:80', '[::1]', '::1/128', '[::1]:80'],
  blanks: [' 10.0.0.1', '10.0.0.1 ', '10.0.0.1\n', '\t::1', '::1\r\n', '10. 0.0.1', '10.0.0.1\0'],
  'digits that are not ASCII': ['١.٢.٣.٤', '１.2.3.4', '::１', '10.0.0。1'],
  'a sign': ['+1.2.3.4', '-1.2.3.4', '::-1', '::+1'],
  'hexadecimal notation in a group': ['::0x1', '0x2001::1'],
} as const

for (const [what, texts] of Object.entries(refused)) {
  t.test(`${what} is no address`, async (t) => {
    for (const text of texts) t.equal(parseAddress(text), undefined, JSON.stringify(text))
  })
}

t.test('a text of any kind is an address or undefined, never an exception', async (t) => {
  const longTexts = ['1'.repeat(1e6), ':'.repeat(1e5), '1.'.repeat(1e5), '::1'.padStart(1e5, '0')]
  for (const text of longTexts) t.equal(parseAddress(text), undefined)
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const address = parseAddress(text)
      const family = address ? { ipv4: 4, ipv6: 6 }[address.family] : 0
      return family === (text.includes('%') ? 0 : isIP(text))
    }),
    { numRuns: 5000 },
  )
})

t.test('addresses are read at an offset into records', async (t) => {
  const bytes = Uint8Array.from([9, 9, 10, 0, 0, 1, ...Array<number>(16).fill(9)])
  t.equal(formatAddress('ipv4', bytes, 2), '10.0.0.1')
  t.equal(formatAddress('ipv6', bytes, 2), 'a00:1:909:909:909:909:909:909')
})

t.test('why nobody can be reached at an address', async (t) => {
  const faults = {
    '0.0.0.0': 'unspecified',
    '::': 'unspecified',
    '224.0.0.1': 'multicast',
    '239.255.255.255': 'multicast',
    'ff00::': 'multicast',
    'ff02::1': 'multicast',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff': 'multicast',
    '255.255.255.255': 'broadcast',
    '::ffff:10.0.0.1': 'IPv4-mapped',
    '::ffff:0:0': 'IPv4-mapped',
    '223.255.255.255': undefined,
    '240.0.0.1': undefined,
    '255.255.255.254': undefined,
    '0.0.0.1': undefined,
    '127.0.0.1': undefined,
    '::1': undefined,
    '::fffe:1.2.3.4': undefined,
    '::1:ffff:10.0.0.1': undefined,
    '::10.0.0.1': undefined,
    'fe80::1': 'link-local',
    'febf::1': 'link-local',
    'fec0::1': undefined,
    'feff::1': undefined,
  }
  for (const [text, fault] of Object.entries(faults)) {
    const address = parseAddress(text)
    t.equal(address && addressFault(address), fault, text)
  }
})

/** The mask as one number of 32 bits. */
const numberOf = (mask: Uint8Array): number => mask.reduce((sum, byte) => sum * 256 + byte, 0)

t.test('a mask has as many leading ones as its prefix length says', async (t) => {
  t.same(Array.from(maskBytes(24)), [255, 255, 255, 0])
  t.same(Array.from(maskBytes(25)), [255, 255, 255, 128])
  for (let length = 0; length <= 32; ++length) {
    t.equal(numberOf(maskBytes(length)), 2 ** 32 - 2 ** (32 - length), `/${length}`)
    t.equal(prefixOfMask(maskBytes(length)), length, `/${length} back`)
  }
})

t.test('a mask has a prefix length exactly when its ones are its leading bits', async () => {
  const contiguous = new Set(Array.from({ length: 33 }, (_, n) => 2 ** 32 - 2 ** (32 - n)))
  const anyMask = fc.oneof(
    bytesOf(4),
    fc.array(fc.constantFrom(0, 128, 254, 255, 1), { minLength: 4, maxLength: 4 }),
  )
  fc.assert(
    fc.property(anyMask, (bytes) => {
      const mask = Uint8Array.from(bytes)
      return (prefixOfMask(mask) !== undefined) === contiguous.has(numberOf(mask))
    }),
    { numRuns: 5000 },
  )
})
