import type { VendorError } from '../../core/models.ts'

/** Whose account and whose address a vendor may tell of; what is not known is not looked for. */
export type AccountSource = { secret: string | readonly string[] | undefined; baseUrl?: string | undefined }

const REDACTED = '[redacted]'

/**
 * What vendors' words tell about the account behind a key, and about the machines behind an address: keys, ids of
 * organisations, projects, workspaces and requests, and hosts that are nobody's but the operator's.
 */
const patterns: readonly RegExp[] = [
  /\bsk-[\w*-]{8,}/g,
  /\b(?:gsk|xai|tgp|pplx|hf|nvapi)[-_][A-Za-z0-9_-]{16,}/g,
  /\bAIza[\w-]{20,}/g,
  /\bya29\.[\w.-]+/g,
  // A run of letters alone is a word.
  /\b(?:org|proj|wrkspc|req)[-_](?=[A-Za-z]*\d)[A-Za-z0-9]{12,}/g,
  /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi,
  /\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b/g,
  /\[[0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*\](?::\d{1,5})?/gi,
  /\blocalhost(?::\d{1,5})?\b/gi,
  /\b[\w-]+(?:\.[\w-]+)*\.(?:internal|local|lan|svc)(?::\d{1,5})?\b/gi,
]

/** The same error without what it tells about our account and our machines; vendors do quote the key they refuse. */
export function withoutAccount(error: VendorError | undefined, source: AccountSource): VendorError | undefined {
  if (error === undefined) return undefined
  const { message, type, param, code } = error
  const label = (text: string | null | undefined) => (text ? cleaned(text, source) : (text ?? null))
  return { message: cleaned(message, source), type: label(type), param: label(param), code: label(code) }
}

function cleaned(text: string, { secret, baseUrl }: AccountSource): string {
  const known = [secret ?? [], hostsOf(baseUrl)].flat().filter((word) => word !== '')
  const without = known.reduce((rest: string, word) => rest.replaceAll(word, REDACTED), text)
  return patterns.reduce((rest, pattern) => rest.replace(pattern, REDACTED), without)
}

function hostsOf(baseUrl: string | undefined): string[] {
  if (baseUrl === undefined || !URL.canParse(baseUrl)) return []
  const { host, hostname } = new URL(baseUrl)
  return [host, hostname]
}
