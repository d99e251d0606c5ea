import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isIpAllowed, isIpRule, networkOf } from '../../src/core/ip-rules.ts'

const octets = fc.tuple(...Array.from({ length: 4 }, () => fc.integer({ min: 0, max: 255 })))
const groups = fc.tuple(...Array.from({ length: 8 }, () => fc.integer({ min: 0, max: 0xffff })))

/** A number's bits as text: another way to the same answer. */
const bitsOf = (parts: readonly number[], width: number) =>
  parts.map((part) => part.toString(2).padStart(width, '0')).join('')
const partsOf = (bits: string, width: number) =>
  Array.from({ length: bits.length / width }, (_, at) => Number.parseInt(bits.slice(at * width, (at + 1) * width), 2))
const zeroed = (bits: string, length: number) => bits.slice(0, length).padEnd(bits.length, '0')

const dotted = (parts: readonly number[]) => parts.join('.')
const colons = (parts: readonly number[]) => parts.map((part) => part.toString(16)).join(':')

describe('a rule of addresses', () => {
  it.each([
    '192.0.2.1',
    '192.0.2.0/24',
    '0.0.0.0/0',
    '192.0.2.1/32',
    '2001:db8::1',
    '2001:DB8::/32',
    '::/0',
    '::1/128',
    '::ffff:192.0.2.0/120',
  ])('can be %s', (rule) => {
    expect(isIpRule(rule)).toBe(true)
  })

  it.each([
    '',
    '/',
    'localhost',
    '192.0.2',
    '192.0.2.256',
    '192.0.02.1',
    '192.0.2.0/33',
    '192.0.2.0/',
    '192.0.2.0/024',
    '192.0.2.0/-1',
    '192.0.2.0/24/24',
    '192.0.2.0/2 4',
    ' 192.0.2.1',
    '192.0.2.1/24',
    '2001:db8::1/32',
    '2001:db8::/129',
    'fe80::1%eth0',
    '[::1]',
    '1::2::3',
    '::ffff:192.0.2.1/120',
    '*',
  ])('cannot be %j', (rule) => {
    expect(isIpRule(rule)).toBe(false)
    expect(isIpAllowed([rule], '192.0.2.77')).toBe(false)
  })

  it('covers an IPv4 address exactly if their first bits are the same', () => {
    fc.assert(
      fc.property(octets, octets, fc.integer({ min: 0, max: 32 }), (base, other, length) => {
        const network = zeroed(bitsOf(base, 8), length)
        const rule = `${dotted(partsOf(network, 8))}/${length}`
        expect(isIpRule(rule)).toBe(true)
        expect(isIpAllowed([rule], dotted(base))).toBe(true)
        expect(isIpAllowed([rule], dotted(other))).toBe(bitsOf(other, 8).startsWith(network.slice(0, length)))
        // A neighbour beyond the last bit that counts is outside.
        if (length > 0) {
          const at = length - 1
          const flipped = `${network.slice(0, at)}${network[at] === '1' ? '0' : '1'}${network.slice(at + 1)}`
          expect(isIpAllowed([rule], dotted(partsOf(flipped, 8)))).toBe(false)
        }
      }),
    )
  })

  it('covers an IPv6 address exactly if their first bits are the same', () => {
    fc.assert(
      fc.property(groups, fc.integer({ min: 0, max: 128 }), fc.integer({ min: 0, max: 127 }), (base, length, at) => {
        fc.pre(base[0] !== 0)
        const bits = bitsOf(base, 16)
        const rule = `${colons(partsOf(zeroed(bits, length), 16))}/${length}`
        expect(isIpRule(rule)).toBe(true)
        const flipped = `${bits.slice(0, at)}${bits[at] === '1' ? '0' : '1'}${bits.slice(at + 1)}`
        expect(isIpAllowed([rule], colons(base))).toBe(true)
        expect(isIpAllowed([rule], colons(partsOf(flipped, 16)))).toBe(at >= length)
      }),
    )
  })

  it('means the same for an IPv4 address and for its mapped IPv6 form, on either side', () => {
    fc.assert(
      fc.property(octets, octets, fc.integer({ min: 0, max: 32 }), (base, other, length) => {
        const network = dotted(partsOf(zeroed(bitsOf(base, 8), length), 8))
        const plain = isIpAllowed([`${network}/${length}`], dotted(other))
        expect(isIpAllowed([`${network}/${length}`], `::ffff:${dotted(other)}`)).toBe(plain)
        expect(isIpAllowed([`::ffff:${network}/${96 + length}`], dotted(other))).toBe(plain)
      }),
    )
  })

  it('for all of IPv6 is none for IPv4, and the other way round', () => {
    expect(isIpAllowed(['::/0'], '192.0.2.1')).toBe(false)
    expect(isIpAllowed(['::/0'], '::ffff:192.0.2.1')).toBe(false)
    expect(isIpAllowed(['0.0.0.0/0'], '2001:db8::1')).toBe(false)
    expect(isIpAllowed(['0.0.0.0/0', '::/0'], '2001:db8::1')).toBe(true)
  })

  it('is of no use to one whose address is not known', () => {
    for (const ip of ['unknown', '', 'localhost']) expect(isIpAllowed(['0.0.0.0/0', '::/0'], ip)).toBe(false)
    expect(isIpAllowed([], '192.0.2.1')).toBe(false)
  })
})

describe('whom the limits of an address count for', () => {
  it('is all of an IPv6 network of 64 bits, and nobody of the next', () => {
    fc.assert(
      fc.property(groups, groups, fc.integer({ min: 0, max: 63 }), (base, other, at) => {
        const moved = [...base.slice(0, 4), ...other.slice(4)]
        // The first 96 bits of a mapped address are no network.
        fc.pre([base, moved].every((parts) => parts.slice(0, 5).some((part) => part !== 0)))
        expect(networkOf(colons(moved))).toBe(networkOf(colons(base)))
        const bits = bitsOf(base, 16)
        const flipped = `${bits.slice(0, at)}${bits[at] === '1' ? '0' : '1'}${bits.slice(at + 1)}`
        fc.pre(flipped.slice(0, 80).includes('1'))
        expect(networkOf(colons(partsOf(flipped, 16)))).not.toBe(networkOf(colons(base)))
      }),
    )
  })

  it('is each IPv4 address for itself, however it is written, and any other text as it stands', () => {
    expect(networkOf('::ffff:192.0.2.1')).toBe(networkOf('192.0.2.1'))
    expect(networkOf('::ffff:c000:201')).toBe(networkOf('192.0.2.1'))
    expect(networkOf('192.0.2.2')).not.toBe(networkOf('192.0.2.1'))
    expect(networkOf('2001:DB8::1')).toBe(networkOf('2001:db8:0:0:ffff::'))
    expect(networkOf('unknown')).toBe('unknown')
  })
})
