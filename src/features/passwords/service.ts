import type { Deps } from '../../core/context.ts'
import { unfit } from '../../core/errors.ts'
import { commonPasswords } from './common.ts'
import { enterHashGate } from './hash-gate.ts'

export { createHashGate, enterHashGate, type HashGate, hashWaitSeconds } from './hash-gate.ts'

/** scrypt's cost (RFC 7914): log2 of N, block size, parallelism. */
type Cost = { ln: number; r: number; p: number }
type Stored = Cost & { salt: Buffer; hash: Buffer }

export type Verdict = { ok: boolean; needsRehash: boolean }

const COST: Cost = { ln: 15, r: 8, p: 1 }
/** A stored string that asks for more is not run: it would take an isolate's memory or its whole second. */
const MAX_COST: Cost = { ln: 16, r: 8, p: 2 }
const SALT_BYTES = 16
const HASH_BYTES = 32
const MIN_CHARS = 8
const MAX_CHARS = 128
const MIN_USERNAME_CHARS = 3

const PHC = /^\$scrypt\$ln=([1-9]\d?),r=([1-9]\d?),p=([1-9]\d?)\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/
/** Of nobody: no password is known to give this hash. */
const NOBODY = phcOf(COST, 'A'.repeat(22), 'A'.repeat(43))

// Loaded by the first password: a cold isolate that answers model calls should not pay for it.
const load = () => import('node:crypto')

/**
 * A password as it is stored: `$scrypt$ln=15,r=8,p=1$<salt>$<hash>` (PHC string format, base64 without padding) over
 * its HMAC-SHA-256 under the pepper. Blocks this isolate's thread for the time of one hash.
 */
export async function hashPassword(pepper: string, password: string): Promise<string> {
  const salt = crypto.getRandomValues(Buffer.alloc(SALT_BYTES))
  const hash = await derive(pepper, password, { ...COST, salt })
  return phcOf(COST, unpadded(salt), unpadded(hash))
}

/**
 * Whether this is the password behind a stored string, and whether the string is weaker than what is stored today. No
 * string, one that is none, and one whose parameters are out of bounds are nobody's password. Always costs a hash.
 */
export async function verifyPassword(pepper: string, password: string, phc: string | undefined): Promise<Verdict> {
  const stored = phc === undefined ? undefined : parsePhc(phc)
  if (!stored) return verifyNothing(pepper, password)
  const [{ timingSafeEqual }, hash] = await Promise.all([load(), derive(pepper, password, stored)])
  const ok = timingSafeEqual(hash, stored.hash)
  return { ok, needsRehash: ok && (stored.ln < COST.ln || stored.r < COST.r || stored.p < COST.p) }
}

/** Says no at the cost of `verifyPassword`, so that an unknown user takes as long as a wrong password. */
export async function verifyNothing(pepper: string, password: string): Promise<Verdict> {
  await verifyPassword(pepper, password, NOBODY)
  return { ok: false, needsRehash: false }
}

/** The rule that a new password breaks, as a sentence for its user; undefined when it breaks none. */
export function passwordFault(password: string, username: string): string | undefined {
  const text = password.normalize('NFKC')
  const chars = [...text].length
  if (chars < MIN_CHARS) return `The password must have at least ${MIN_CHARS} characters.`
  if (chars > MAX_CHARS) return `The password must have at most ${MAX_CHARS} characters.`
  const folded = text.toLowerCase()
  if (commonPasswords().has(folded)) return 'The password must not be one of the most common passwords.'
  const name = username.normalize('NFKC').toLowerCase()
  if ([...name].length >= MIN_USERNAME_CHARS && folded.includes(name)) {
    return 'The password must not contain the username.'
  }
  return undefined
}

export type NewPassword = {
  password: string
  username: string
  /** What to name when the password breaks a rule. */
  field: string
}

/**
 * Throws 422 naming the field when a new password breaks a rule. Asked before a try is counted: what cannot succeed
 * shall not use up what may.
 */
export function refuseWeak({ password, username, field }: NewPassword): void {
  const fault = passwordFault(password, username)
  if (fault !== undefined) throw unfit(field, fault)
}

/** The hash of a new password. Throws 422 naming the field when it breaks a rule, and 429 when the isolate is busy hashing. */
export async function newPasswordHash(
  deps: Pick<Deps, 'settings' | 'memory' | 'now'>,
  wanted: NewPassword,
): Promise<string> {
  refuseWeak(wanted)
  enterHashGate(deps)
  return hashPassword(deps.settings.passwordPepper, wanted.password)
}

/** Equal characters are equal bytes, whichever keyboard composed them. */
async function derive(pepper: string, password: string, { ln, r, p, salt }: Omit<Stored, 'hash'>): Promise<Buffer> {
  const { createHmac, scryptSync } = await load()
  const peppered = createHmac('sha256', pepper).update(password.normalize('NFKC')).digest()
  const N = 2 ** ln
  // What scrypt itself needs is 128·N·r and a little: the default allows less.
  return scryptSync(peppered, salt, HASH_BYTES, { N, r, p, maxmem: 256 * N * r })
}

function parsePhc(phc: string): Stored | undefined {
  const [, ln, r, p, salt = '', hash = ''] = PHC.exec(phc) ?? []
  const cost = { ln: Number(ln), r: Number(r), p: Number(p) }
  if (!(cost.ln <= MAX_COST.ln && cost.r <= MAX_COST.r && cost.p <= MAX_COST.p)) return undefined
  return { ...cost, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') }
}

function phcOf({ ln, r, p }: Cost, salt: string, hash: string): string {
  return `$scrypt$ln=${ln},r=${r},p=${p}$${salt}$${hash}`
}

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '')
