import { textForPattern } from './pattern-text.ts'
import type { JsonObject } from './types.ts'

const formatSamples: Readonly<Record<string, string>> = {
  'date-time': '2026-01-01T12:00:00Z',
  date: '2026-01-01',
  time: '12:00:00Z',
  duration: 'PT1H',
  email: 'demo-node@example.com',
  'idn-email': 'demo-node@example.com',
  hostname: 'demo-node.example.com',
  'idn-hostname': 'demo-node.example.com',
  ipv4: '127.0.0.1',
  ipv6: '::1',
  uri: 'https://demo-node.example.com/',
  'uri-reference': '/demo-node',
  url: 'https://demo-node.example.com/',
  uuid: '00000000-0000-4000-8000-000000000000',
  regex: '^demo$',
  'json-pointer': '/demo-node',
  byte: 'ZGVtbyBub2Rl',
}

function bound(schema: JsonObject, key: string, fallback: number): number {
  const value = schema[key]
  return typeof value === 'number' ? value : fallback
}

/**
 * A string that a schema's `format`, `pattern`, `minLength` and `maxLength` accept. `wanted` is used as far as they
 * allow. Undefined when no string fits.
 */
export function textForSchema(schema: JsonObject, wanted: string): string | undefined {
  const minLength = bound(schema, 'minLength', 0)
  const maxLength = bound(schema, 'maxLength', Number.POSITIVE_INFINITY)
  if (minLength > maxLength) return undefined
  const fit = fitLength(wanted, minLength, maxLength)
  if (typeof schema.pattern === 'string') {
    const { pattern } = schema
    if (new RegExp(pattern, 'u').test(fit)) return fit
    return textForPattern(pattern, minLength, maxLength)
  }
  const sample = typeof schema.format === 'string' ? formatSamples[schema.format] : undefined
  return sample === undefined ? fit : sample
}

/** Cut or padded to the bounds, in code points as JSON Schema counts. */
function fitLength(text: string, minLength: number, maxLength: number): string {
  const points = Array.from(text)
  const cut = points.length > maxLength ? points.slice(0, maxLength) : points
  return cut.join('') + '.'.repeat(Math.max(0, minLength - cut.length))
}
