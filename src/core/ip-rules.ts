import { ipv4Number, parseIpv6 } from './address.ts'

/** An address or a block of them: the first bits of `words` (32 bits each) that count. */
type Block = { words: readonly number[]; bits: number }

const WORD_BITS = 32

/** One word for IPv4, four for IPv6. An IPv4 address written as IPv6 (::ffff:192.0.2.1) is the IPv4 address. */
function blockOf(text: string, bits: number | undefined): Block | undefined {
  const ipv4 = ipv4Number(text)
  if (ipv4 !== undefined) return sized([ipv4], bits)
  const groups = parseIpv6(text)
  if (!groups) return undefined
  const words = [0, 2, 4, 6].map((at) => (groups[at] ?? 0) * 65_536 + (groups[at + 1] ?? 0))
  const [a, b, c, d = 0] = words
  const isMapped = a === 0 && b === 0 && c === 0xffff && (bits === undefined || bits >= 96)
  return isMapped ? sized([d], bits === undefined ? undefined : bits - 96) : sized(words, bits)
}

const sized = (words: readonly number[], bits = words.length * WORD_BITS): Block | undefined =>
  bits <= words.length * WORD_BITS ? { words, bits } : undefined

const LENGTH = /^(?:0|[1-9]\d{0,2})$/

/** What of a word counts when that many bits from its left do. */
const masked = (word: number, bits: number): number => {
  if (bits <= 0) return 0
  return bits >= WORD_BITS ? word : word - (word % 2 ** (WORD_BITS - bits))
}

/** A block whose base has bits beyond its length is none: `10.0.0.1/8` is a slip rather than sixteen million addresses. */
function parseRule(text: string): Block | undefined {
  const slash = text.indexOf('/')
  if (slash === -1) return blockOf(text, undefined)
  const length = text.slice(slash + 1)
  const block = LENGTH.test(length) ? blockOf(text.slice(0, slash), Number(length)) : undefined
  return block?.words.every((word, at) => word === masked(word, block.bits - at * WORD_BITS)) ? block : undefined
}

const covers = (rule: Block, address: Block): boolean =>
  rule.words.length === address.words.length &&
  rule.words.every((word, at) => word === masked(address.words[at] ?? 0, rule.bits - at * WORD_BITS))

/** Whether a text is an address or a block in CIDR notation (RFC 4632, RFC 4291). */
export const isIpRule = (text: string): boolean => parseRule(text) !== undefined

/** Whether an address is in one of the rules. A rule that is none matches nothing; IPv6 rules match no IPv4 address. */
export function isIpAllowed(rules: readonly string[], ip: string): boolean {
  const address = blockOf(ip, undefined)
  if (!address) return false
  return rules.some((text) => {
    const rule = parseRule(text)
    return rule !== undefined && covers(rule, address)
  })
}

/**
 * Whom the limits of an address count for: an IPv4 address itself, and of an IPv6 address its first 64 bits, since
 * whoever has one address of such a network has them all (RFC 6177). Any other text stands for itself.
 */
export function networkOf(ip: string): string {
  const [first, second] = blockOf(ip, undefined)?.words ?? []
  if (first === undefined) return ip
  return second === undefined ? `4:${first}` : `6:${first}:${second}`
}
