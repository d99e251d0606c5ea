import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { httpOrigin, isPublicAddress, judgeUrl, parseIpv6, type Refusal } from '../../src/core/address.ts'
import { anyCharacter, anyUrl } from '../support/any-character.ts'
import { hostileUrls } from './hostile-urls.ts'

const rules = {
  testOrigins: new Set(['http://127.0.0.1:4010', 'https://localhost:8443']),
  deniedHosts: ['helix.acme.dev', 'eu1-redis.upstash.io', 'ep-cool.neon.tech', 'acme.cfargotunnel.com', '10.9.8.7'],
}

const refusalOf = (url: string): Refusal | 'allowed' => {
  const verdict = judgeUrl(url, rules)
  return verdict.allowed ? 'allowed' : verdict.refusal
}

describe('a URL that a caller named', () => {
  for (const [refusal, urls] of Object.entries(hostileUrls)) {
    it.each(urls)(`is refused as ${refusal}: %j`, (url) => {
      expect(refusalOf(url)).toBe(refusal)
    })
  }

  it('is judged by a table of two hundred', () => {
    expect(Object.values(hostileUrls).flat().length).toBeGreaterThanOrEqual(200)
  })

  it.each([
    ['https://hooks.slack.com/services/T0/B0/x', 'https://hooks.slack.com/services/T0/B0/x'],
    ['https://example.com:443/', 'https://example.com/'],
    ['HTTPS://EXAMPLE.COM./a?b=c#d', 'https://example.com/a?b=c#d'],
    ['https:\\\\example.com\\a', 'https://example.com/a'],
    [' https://exa\tmple.com/\n', 'https://example.com/'],
    ['https://bücher.de/', 'https://xn--bcher-kva.de/'],
    ['https://my_bucket.s3.amazonaws.com/', 'https://my_bucket.s3.amazonaws.com/'],
    ['https://localhost.run/', 'https://localhost.run/'],
    ['https://nothelix.acme.dev/', 'https://nothelix.acme.dev/'],
    ['https://1.2.3.4.5.nip.io/', 'https://1.2.3.4.5.nip.io/'],
    ['https://cafe.be/', 'https://cafe.be/'],
  ])('is let through when its name may be public: %j', (url, dialled) => {
    const verdict = judgeUrl(url, rules)
    expect(verdict).toMatchObject({ allowed: true, known: false })
    expect(verdict.allowed && verdict.url.href).toBe(dialled)
  })

  it.each(['http://127.0.0.1:4010/x', 'http://2130706433:4010/x', 'http://127.1:4010', 'https://localhost:8443/a'])(
    'is let through without a look-up when its exact origin is a test origin: %s',
    (url) => {
      expect(judgeUrl(url, rules)).toMatchObject({ allowed: true, known: true })
    },
  )

  it.each(['http://127.0.0.1:4011/', 'https://127.0.0.1:4010/', 'http://localhost:8443/', 'http://127.0.0.2:4010/'])(
    'is not a test origin when scheme, host or port differ: %s',
    (url) => {
      expect(judgeUrl(url, rules).allowed).toBe(false)
    },
  )

  it('is refused with credentials even on a test origin', () => {
    expect(refusalOf('http://user:secret@127.0.0.1:4010/')).toBe('userinfo')
  })

  it('is resolved against the address that redirected to it', () => {
    const relative = judgeUrl('../b?c', rules, 'https://example.com/x/a')
    expect(relative.allowed && relative.url.href).toBe('https://example.com/b?c')
    expect(judgeUrl('//10.0.0.1/b', rules, 'https://example.com/')).toEqual({ allowed: false, refusal: 'ip_literal' })
  })

  it('never throws, whatever the text', () => {
    const anyText = fc.oneof(fc.string(), anyUrl, fc.string({ unit: anyCharacter }))
    fc.assert(fc.property(anyText, (text) => typeof judgeUrl(text, rules).allowed === 'boolean'))
  })
})

const byte = fc.integer({ min: 0, max: 255 })
const octets = fc.tuple(byte, byte, byte, byte)
type Octets = [number, number, number, number]
const numberOf = ([a, b, c, d]: Octets) => ((a * 256 + b) * 256 + c) * 256 + d
const dotted = (address: Octets) => address.join('.')

/** Every way to write an IPv4 address that the WHATWG parser reads. */
const notations: ((address: Octets) => string)[] = [
  dotted,
  (address) => `${dotted(address)}.`,
  (address) => String(numberOf(address)),
  (address) => `0x${numberOf(address).toString(16)}`,
  (address) => `0X${numberOf(address).toString(16).toUpperCase()}`,
  (address) => `0${numberOf(address).toString(8)}`,
  (address) => address.map((part) => `0x${part.toString(16)}`).join('.'),
  (address) => address.map((part) => `0${part.toString(8)}`).join('.'),
  (address) => address.map((part) => `000000${part.toString(8)}`).join('.'),
  ([a, b, c, d]) => `${a}.${b}.${c * 256 + d}`,
  ([a, b, c, d]) => `${a}.${(b * 256 + c) * 256 + d}`,
  ([a, b, c, d]) => `0x${a.toString(16)}.0${b.toString(8)}.${c * 256 + d}`,
  (address) => dotted(address).replace(/\d/g, (digit) => String.fromCodePoint(0xff10 + Number(digit))),
  (address) => dotted(address).replaceAll('.', '。'),
  (address) => dotted(address).replace(/\d/g, (digit) => `%3${digit}`),
]

describe('an IPv4 address', () => {
  it('is refused as a literal in every notation', () => {
    fc.assert(
      fc.property(octets, fc.constantFrom(...notations), (address, notation) => {
        expect(refusalOf(`https://${notation(address)}/`)).toBe('ip_literal')
      }),
      { numRuns: 1000 },
    )
  })

  /** Written from the IANA registry, apart from the code's own table. */
  const closed = ([a, b, c, d]: Octets): boolean =>
    [0, 10, 127].includes(a) ||
    a >= 224 ||
    (a === 100 && b >= 64 && b <= 127) ||
    (a === 168 && b === 63 && c === 129 && d === 16) ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b <= 31) ||
    (a === 192 && ((b === 0 && (c === 0 || c === 2)) || b === 168 || (b === 88 && c === 99))) ||
    (a === 198 && (b === 18 || b === 19 || (b === 51 && c === 100))) ||
    (a === 203 && b === 0 && c === 113)

  const nearEdges = fc.tuple(
    fc.constantFrom(0, 1, 9, 10, 11, 100, 126, 127, 128, 168, 169, 172, 192, 198, 203, 223, 224, 255),
    fc.constantFrom(0, 15, 16, 17, 18, 19, 20, 31, 32, 51, 63, 64, 88, 127, 128, 167, 168, 169, 253, 254, 255),
    fc.constantFrom(0, 1, 2, 3, 98, 99, 100, 112, 113, 114, 129, 255),
    fc.constantFrom(0, 1, 15, 16, 17, 254, 255),
  )

  it('is public exactly when no registry block closes it', () => {
    fc.assert(
      fc.property(fc.oneof(octets, nearEdges), (address) => {
        expect(isPublicAddress(dotted(address))).toBe(!closed(address))
      }),
      { numRuns: 5000 },
    )
  })

  const hex = (value: number) => value.toString(16)
  const pair = ([a, b, c, d]: Octets) => `${hex(a * 256 + b)}:${hex(c * 256 + d)}`
  const flipped = ([a, b, c, d]: Octets): Octets => [255 - a, 255 - b, 255 - c, 255 - d]
  const embeddings: Record<string, (address: Octets) => string> = {
    'mapped, dotted': (address) => `::ffff:${dotted(address)}`,
    'mapped, hexadecimal': (address) => `::ffff:${pair(address)}`,
    'mapped, written out': (address) => `0:0:0:0:0:FFFF:${pair(address)}`,
    compatible: (address) => `::${pair(address)}`,
    'compatible, dotted': (address) => `0:0:0:0:0:0:${dotted(address)}`,
    NAT64: (address) => `64:ff9b::${pair(address)}`,
    'NAT64, dotted': (address) => `0064:FF9B::${dotted(address)}`,
    '6to4': (address) => `2002:${pair(address)}::1`,
    'Teredo client': (address) => `2001:0:808:808:8000:f227:${pair(flipped(address))}`,
    'Teredo server': (address) =>
      `2001::${pair(address)}:8000:f227:${pair(flipped([8, 8, 8, 8]))}`.replace('::', ':0:'),
    ISATAP: (address) => `2606:4700::5efe:${dotted(address)}`,
    'ISATAP, universal bit': (address) => `2606:4700:0:1:200:5efe:${pair(address)}`,
    'ISATAP below 6to4': (address) => `2002:808:808:1:0:5efe:${pair(address)}`,
  }

  it.each(Object.entries(embeddings))('is judged inside IPv6: %s', (_name, embed) => {
    fc.assert(
      fc.property(fc.oneof(octets, nearEdges), (address) => {
        expect(isPublicAddress(embed(address))).toBe(!closed(address))
      }),
      { numRuns: 300 },
    )
  })
})

describe('an IPv6 address', () => {
  it.each(['2606:4700:4700::1111', '2a00:1450:4001:82a::200e', '2001:4860:4860::8888', '2620:4f:8000::1', '3ffe::1'])(
    'is public: %s',
    (address) => {
      expect(isPublicAddress(address)).toBe(true)
    },
  )

  it.each([
    '::',
    '::1',
    '0:0:0:0:0:0:0:1',
    '64:ff9b:1::808:808',
    '64:ff9b:1:808:8:800::',
    '64:ff9b:2::1',
    '100::1',
    '2001:1::1',
    '2001:2::1',
    '2001:10::1',
    '2001:20::1',
    '2001:1ff::1',
    '2001:db8::1',
    '3fff::1',
    '3fff:fff::1',
    '4000::1',
    '5f00::1',
    'fc00::1',
    'fd00:ec2::254',
    'fe80::1',
    'febf::1',
    'fec0::1',
    'feff::1',
    'ff02::1',
    '::ffff:0:8.8.8.8',
    '::fffe:8.8.8.8',
    '0:0:1::808:808',
    'fe80::5efe:8.8.8.8',
    '2606:4700::1%eth0',
    '[2606:4700::1]',
  ])('is not public: %s', (address) => {
    expect(isPublicAddress(address)).toBe(false)
  })

  it.each(['', ':', ':::', '1::2::3', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7::8', '12345::', 'g::'])(
    'is not read from %j',
    (text) => {
      expect(parseIpv6(text)).toBeUndefined()
    },
  )

  it.each(['1.2.3.4::', '::1.2.3', '::256.1.1.1', '::1.2.3.4.5', '::1.2.3.4:5', '::01.2.3.4', '1:2:3:4:5:6:7:1.2.3.4'])(
    'is not read from a misplaced or malformed IPv4 tail: %j',
    (text) => {
      expect(parseIpv6(text)).toBeUndefined()
    },
  )

  it('is read as the URL parser reads it, however it is written', () => {
    const group = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }))
    fc.assert(
      fc.property(fc.array(group, { minLength: 8, maxLength: 8 }), (groups) => {
        const long = groups.map((value) => value.toString(16)).join(':')
        const short = new URL(`http://[${long}]/`).hostname.slice(1, -1)
        expect(parseIpv6(long)).toEqual(groups)
        expect(parseIpv6(short)).toEqual(groups)
      }),
    )
  })

  it('agrees with the URL parser on what is one at all', () => {
    const text = fc.string({ unit: fc.constantFrom('0', '1', 'f', ':', '::', '.', '1.2.3.4'), maxLength: 12 })
    fc.assert(
      fc.property(text, (candidate) => {
        expect(parseIpv6(candidate) !== undefined).toBe(URL.canParse(`http://[${candidate}]/`))
      }),
      { numRuns: 3000 },
    )
  })
})

describe('an origin that the environment names', () => {
  it.each([
    ['https://api.openai.com/v1', 'https://api.openai.com'],
    ['http://localhost:11434', 'http://localhost:11434'],
    ['HTTPS://Api.Example.com:443/', 'https://api.example.com'],
  ])('is taken from %s', (text, origin) => {
    expect(httpOrigin(text)).toBe(origin)
  })

  it.each(['', 'api.openai.com', 'blob:https://api.openai.com/1', 'data:,x', 'file:///etc/passwd', 'null'])(
    'is refused when it has no origin of its own: %j',
    (text) => {
      expect(() => httpOrigin(text)).toThrow(TypeError)
    },
  )
})
