import type { Policy } from '../../core/admission.ts'
import type { Settings } from '../../core/settings.ts'
import type { CacheUse } from './use.ts'

/**
 * <org>:ans:<digest>   hash  a kept answer: `v` sealed, `s` its stamp, and in plain words what it can be removed by: `at`
 *                      when it was made (Unix seconds), `sc` scope, `k` the key that asked, `m` the model as asked, `t` the
 *                      target that answered, `g` tags; as long as its caller said
 * <org>:ans            zset  the same keys by their last use, Unix ms. What is not in it is no answer
 * <org>:ans:due        zset  the same keys by when they expire, Unix ms; both as long as the last answer
 */
export const cacheKeys = {
  entry: (orgId: string, digest: string) => `${orgId}:ans:${digest}`,
  index: (orgId: string) => `${orgId}:ans`,
  due: (orgId: string) => `${orgId}:ans:due`,
}

/** The same text for the same value, however its fields are ordered; an undefined field is none. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value).filter(([, content]) => content !== undefined)
  fields.sort(([one], [other]) => (one < other ? -1 : 1))
  return `{${fields.map(([name, content]) => `${JSON.stringify(name)}:${canonicalJson(content)}`).join(',')}}`
}

const encoder = new TextEncoder()

/** Whoever reads Redis cannot tell from a key whether a question was asked that they can guess. */
const PURPOSE = 'helix/answer'

/**
 * HMAC-SHA-256 of a question, of those who share its answer, and of the rules that chose who answers; base64url.
 * `question` is everything of the request that its answer depends on.
 */
export async function digestOf(
  { keyPepper }: Pick<Settings, 'keyPepper'>,
  { orgId, routing }: Pick<Policy, 'orgId' | 'routing'>,
  { use: { scope, subject }, question }: { use: Pick<CacheUse, 'scope' | 'subject'>; question: unknown },
): Promise<string> {
  const rules = routing ? [routing.id, routing.version] : null
  const asked = encoder.encode(canonicalJson([PURPOSE, orgId, scope, subject, rules, question]))
  const secret = encoder.encode(keyPepper)
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
  return Buffer.from(await crypto.subtle.sign('HMAC', key, asked)).toString('base64url')
}
