/** Which addresses may be reached on behalf of somebody who named them. Pure rules: no clock, no network. */

/**
 * Why a URL was refused. `private_address` and `no_address` come from its name's DNS answers, the rest from the URL
 * itself or, for `redirects` and `header`, from the request around it.
 */
export type Refusal =
  | 'malformed'
  | 'scheme'
  | 'userinfo'
  | 'port'
  | 'ip_literal'
  | 'internal_name'
  | 'denied_host'
  | 'private_address'
  | 'no_address'
  | 'redirects'
  | 'header'
  | 'too_large'
  | 'untrusted_origin'

export type UrlRules = {
  /** Exact origins let through whatever else would be said of them; empty outside development and test. */
  testOrigins: ReadonlySet<string>
  /** Host names in `normalHost` form; a name below one of them is denied too. */
  deniedHosts: readonly string[]
}

export type UrlVerdict =
  /** `known`: a test origin, so its name is not asked for. */
  { allowed: true; url: URL; host: string; known: boolean } | { allowed: false; refusal: Refusal }

const refuse = (refusal: Refusal): UrlVerdict => ({ allowed: false, refusal })

/** First and last address (as 32-bit numbers) of every IPv4 block that is not a public unicast host. */
const closedIpv4Blocks = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  // Azure answers machine metadata on this otherwise public address.
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
].map((block) => {
  const [base = '', length = ''] = block.split('/')
  const first = ipv4Number(base) ?? 0
  return { first, last: first + 2 ** (32 - Number(length)) - 1 }
})

/** Dotted decimal only, which is all that a parsed URL or a DNS answer contains; undefined for anything else. */
export function ipv4Number(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (!match) return undefined
  let value = 0
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined
    value = value * 256 + Number(part)
  }
  return value
}

const isPublicIpv4 = (value: number) => !closedIpv4Blocks.some((block) => value >= block.first && value <= block.last)

/** The sixteen-bit groups on one side of `::`; a dotted IPv4 tail counts as two. Undefined when malformed. */
function ipv6Groups(side: string): number[] | undefined {
  if (side === '') return []
  const groups: number[] = []
  const parts = side.split(':')
  for (const [index, part] of parts.entries()) {
    const tail = part.includes('.') && index === parts.length - 1 ? ipv4Number(part) : undefined
    if (tail !== undefined) groups.push(Math.floor(tail / 65_536), tail % 65_536)
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16))
    else return undefined
  }
  return groups
}

/** The eight groups of an IPv6 address (RFC 4291 §2.2), without brackets or zone; undefined for anything else. */
export function parseIpv6(text: string): readonly number[] | undefined {
  const sides = text.split('::')
  if (sides.length > 2) return undefined
  const head = ipv6Groups(sides[0] ?? '')
  const tail = sides.length === 2 ? ipv6Groups(sides[1] ?? '') : []
  if (!head || !tail || (sides.length === 2 && head.length > 0 && (sides[0] ?? '').includes('.'))) return undefined
  const missing = 8 - head.length - tail.length
  if (sides.length === 2 ? missing < 1 : missing !== 0) return undefined
  return [...head, ...new Array<number>(missing).fill(0), ...tail]
}

/**
 * Only global unicast (2000::/3) is public, and the two IPv4 forms outside it. An address that carries an IPv4
 * address in it is also judged by that one, because a translator or tunnel on the way would deliver it there.
 */
function isPublicIpv6(groups: readonly number[]): boolean {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups
  const last = g * 65_536 + h
  const middleIsZero = c === 0 && d === 0 && e === 0
  // Compatible ::/96 (with :: and ::1 in it), mapped ::ffff:0:0/96, NAT64 64:ff9b::/96.
  if (a === 0 && b === 0 && middleIsZero && (f === 0 || f === 0xffff)) return isPublicIpv4(last)
  if (a === 0x64 && b === 0xff9b && middleIsZero && f === 0) return isPublicIpv4(last)
  // Everything else outside 2000::/3 is closed: 64:ff9b:1::/48, fc00::/7, fe80::/10, fec0::/10, ff00::/8 and more.
  if (a < 0x2000 || a > 0x3fff) return false
  if (a === 0x2002) return isPublicIpv4(b * 65_536 + c) && isPublicInterface(groups)
  // Teredo (RFC 4380) names its server in the clear and its client with every bit flipped.
  if (a === 0x2001 && b === 0) return isPublicIpv4(c * 65_536 + d) && isPublicIpv4(0xffff_ffff - last)
  const isProtocolAssignment = a === 0x2001 && b < 0x200
  const isDocumentation = (a === 0x2001 && b === 0xdb8) || (a === 0x3fff && b < 0x1000)
  return !isProtocolAssignment && !isDocumentation && isPublicInterface(groups)
}

/** ISATAP (RFC 5214) hides an IPv4 address behind `0000:5efe` or `0200:5efe` under any prefix. */
function isPublicInterface([, , , , e = 0, f = 0, g = 0, h = 0]: readonly number[]): boolean {
  const isIsatap = f === 0x5efe && (e === 0 || e === 0x200)
  return !isIsatap || isPublicIpv4(g * 65_536 + h)
}

/** True for the text of an IPv4 or IPv6 address that anybody on the Internet may reach; false for all other text. */
export function isPublicAddress(text: string): boolean {
  const ipv4 = ipv4Number(text)
  if (ipv4 !== undefined) return isPublicIpv4(ipv4)
  const groups = parseIpv6(text)
  return groups !== undefined && isPublicIpv6(groups)
}

/** Reserved by RFC 6761, 6762, 7686, 8375, 9476 and ICANN, or in common use inside private networks. */
const internalSuffixes = new Set(
  'alt arpa corp example home internal intra intranet invalid lan local localdomain localhost mail onion private test workgroup'.split(
    ' ',
  ),
)

/** Lower case and without the one trailing dot that names the root. */
export const normalHost = (host: string) => host.toLowerCase().replace(/\.$/, '')

function isInternalName(host: string): boolean {
  const labels = host.split('.')
  if (host.length > 253 || labels.length < 2) return true
  if (!labels.every((label) => /^[a-z0-9_-]{1,63}$/.test(label))) return true
  const topLevel = labels.at(-1) ?? ''
  return !/^[a-z]/.test(topLevel) || internalSuffixes.has(topLevel)
}

/** True for a denied host and for every name below it. */
export const isDeniedHost = (host: string, deniedHosts: readonly string[]) =>
  deniedHosts.some((denied) => host === denied || host.endsWith(`.${denied}`))

/**
 * Judges a URL that a caller, a row or a redirect named, before any look-up. The checks read what WHATWG's parser
 * made of the text, never the text, so every notation of an address is judged as the address that would be dialled.
 */
export function judgeUrl(text: string, rules: UrlRules, base?: string): UrlVerdict {
  const url = URL.parse(text, base)
  if (!url) return refuse('malformed')
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refuse('scheme')
  if (url.username !== '' || url.password !== '') return refuse('userinfo')
  const host = normalHost(url.hostname)
  if (rules.testOrigins.has(url.origin)) return { allowed: true, url, host, known: true }
  if (url.protocol !== 'https:') return refuse('scheme')
  if (url.port !== '') return refuse('port')
  if (isDeniedHost(host, rules.deniedHosts)) return refuse('denied_host')
  if (host.startsWith('[') || ipv4Number(host) !== undefined) return refuse('ip_literal')
  if (isInternalName(host)) return refuse('internal_name')
  // The name that was judged is the name that is dialled.
  url.hostname = host
  return { allowed: true, url, host, known: false }
}

/**
 * The origin of an `http:` or `https:` URL named by the environment.
 * Throws `TypeError` for anything else: a `blob:` URL would borrow an origin, `data:` would be `null`.
 */
export function httpOrigin(text: string): string {
  const url = URL.parse(text)
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw new TypeError('Not an http(s) origin')
  return url.origin
}
