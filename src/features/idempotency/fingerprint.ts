import type { OnceCall } from '../../core/once.ts'

/** What a call is known by: whose it is and where it went, and what it said. Both SHA-256 in hex. */
export async function fingerprintOf(callerId: string, { key, route, body }: OnceCall) {
  const files: Uint8Array[] = []
  const text = canonical(body, files)
  const [id, ...hashes] = await Promise.all([JSON.stringify([callerId, route, key]), text, ...files].map(sha256))
  // A body without files is known by the hash of its text, as it was before there were any.
  const [textHash = '', ...fileHashes] = hashes
  return {
    id: id ?? '',
    bodyHash: fileHashes.length === 0 ? textHash : await sha256([textHash, ...fileHashes].join(' ')),
  }
}

/**
 * JSON in which the order of an object's fields makes no difference; fields without a value are left out. Bytes of files
 * are put into `files` in the order in which they are met: where they stood is a word that no JSON has.
 */
export function canonical(value: unknown, files: Uint8Array[] = []): string {
  if (value instanceof Uint8Array) return `bytes${files.push(value)}`
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item, files)).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonical(field, files)}`)
  return `{${fields.join(',')}}`
}

async function sha256(content: string | Uint8Array): Promise<string> {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  const digest = await crypto.subtle.digest('SHA-256', bytes)
  return Buffer.from(digest).toString('hex')
}
