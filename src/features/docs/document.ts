import type { Settings } from '../../core/settings.ts'
import { etagOf } from '../../http/etag.ts'
import { buildDocument } from '../../http/openapi.ts'
import { areas } from '../index.ts'

/** The OpenAPI document of every area, which has to load them all. */
export async function loadDocument(version: string): Promise<Record<string, unknown>> {
  const loaded = await Promise.all(
    areas.map(async ({ name, tag = name, errors, load }) => ({ tag, errors, ...(await load()) })),
  )
  return buildDocument(loaded, version)
}

export type Printed = { text: string; etag: string }

// Building it walks every schema of the program, and within a release it never changes.
const printed = new WeakMap<Settings, Printed>()

/** The document as it is sent, with its entity tag; made once. */
export async function printedDocument(settings: Settings): Promise<Printed> {
  const kept = printed.get(settings)
  if (kept !== undefined) return kept
  const text = JSON.stringify(await loadDocument(settings.version))
  const made = { text, etag: await etagOf(text) }
  printed.set(settings, made)
  return made
}
