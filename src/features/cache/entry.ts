import type { ChatCompletion, Usage } from '../../core/models.ts'
import { type KeyDeps, openBytes, type Place, sealBytes } from '../encryption/service.ts'
import type { CacheUse } from './use.ts'

/** An answer as it is kept: what its caller got, and what it had cost. */
export type KeptAnswer = {
  completion: ChatCompletion
  usage: Usage
  estimated: boolean
  /** The target that answered. */
  target: string
  /** Fields of the request that nothing came of. */
  ignored: readonly string[]
  costNanoUsd: number
}

/** An answer that would be longer than this as JSON is not kept. */
export const MAX_ANSWER_BYTES = 1_000_000
/** What an earlier or a later release means by an entry is not read. */
const FORMAT = 1

/** The answer as text; undefined for one that is too long. */
export function textOfKept(kept: KeptAnswer): string | undefined {
  const text = JSON.stringify({ ...kept, format: FORMAT })
  return Buffer.byteLength(text) <= MAX_ANSWER_BYTES ? text : undefined
}

/** Undefined for what another release has written. */
export function keptFrom(text: string): KeptAnswer | undefined {
  const { format, ...kept }: KeptAnswer & { format: number } = JSON.parse(text)
  return format === FORMAT ? kept : undefined
}

/** It opens for whom it was kept, under the key that it was kept under, and nowhere else. */
const placeOf = (orgId: string, key: string, { scope, subject }: Pick<CacheUse, 'scope' | 'subject'>): Place => ({
  orgId,
  table: 'answers',
  column: `${scope} ${subject}`,
  rowId: key,
})

type At = { orgId: string; key: string; use: Pick<CacheUse, 'scope' | 'subject'> }

/** Compressed, then sealed. Throws as `sealBytes` does. */
export async function sealAnswer(deps: KeyDeps, { orgId, key, use }: At, text: string): Promise<string> {
  return sealBytes(deps, placeOf(orgId, key, use), await through(new CompressionStream('gzip'), Buffer.from(text)))
}

/** Throws as `openBytes` does. */
export async function openAnswer(deps: KeyDeps, { orgId, key, use }: At, sealed: string): Promise<string> {
  const bytes = await openBytes(deps, placeOf(orgId, key, use), sealed)
  return Buffer.from(await through(new DecompressionStream('gzip'), bytes)).toString()
}

async function through(codec: CompressionStream | DecompressionStream, bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Response(bytes).body?.pipeThrough(codec)
  return new Uint8Array(await new Response(stream ?? null).arrayBuffer())
}
