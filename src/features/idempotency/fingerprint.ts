import type { OnceCall } from '../../core/once.ts'

/** What a call is known by: whose it is and where it went, and what it said. Both SHA-256 in hex. */
export async function fingerprintOf(callerId: string, { key, route, body }: OnceCall) {
  const [id, bodyHash] = await Promise.all([sha256(JSON.stringify([callerId, route, key])), sha256(canonical(body))])
  return { id, bodyHash }
}

/** JSON in which the order of an object's fields makes no difference; fields without a value are left out. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`)
  return `{${fields.join(',')}}`
}

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
  return Buffer.from(digest).toString('hex')
}
