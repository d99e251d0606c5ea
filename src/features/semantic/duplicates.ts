import type { Ctx } from '../../core/context.ts'
import { type Candidate, type Own, type Pair, readCandidates, storePairs } from './duplicate-rows.ts'
import { likenessOf, standardOf } from './likeness.ts'
import { MAX_EMBED_CHARS, requireLength } from './limits.ts'
import type { DuplicatesBody } from './schema-extract.ts'
import { standpointOf } from './search.ts'
import { simhashOf } from './simhash.ts'
import { sha256Of } from './store.ts'

/**
 * What is kept that a text is a duplicate of, or that is one of it; the pairs are noted. Throws as `embedLong` where
 * there is anything to compare it with.
 */
export async function detectDuplicates(ctx: Ctx, body: DuplicatesBody) {
  const { content_id: contentId, content, threshold, candidate_pool: pool, model_name } = body
  requireLength('content', content, MAX_EMBED_CHARS)
  const standpoint = await standpointOf(ctx, { query: content, model_name })
  const sha256 = await sha256Of(content)
  const looked = { contentId, sha256, simhash: simhashOf(content), standpoint, pool }
  const { own, candidates } = await readCandidates(ctx, looked)
  const standard = standardOf(content, sha256)
  const pairs = candidates.flatMap((candidate): Pair[] => {
    const likeness = likenessOf(standard, candidate, threshold)
    return likeness ? [{ ...likeness, ...endsOf({ id: contentId, own }, candidate) }] : []
  })
  pairs.sort((one, other) => other.similarity - one.similarity || (keyOf(one) < keyOf(other) ? -1 : 1))
  await storePairs(ctx, pairs)
  return {
    object: 'semantic.duplicates' as const,
    content_id: contentId,
    duplicates: pairs.map(({ originalId, duplicateId, similarity, type, confidence }) => ({
      original_content_id: originalId,
      duplicate_content_id: duplicateId,
      similarity_score: similarity,
      duplicate_type: type,
      confidence,
      confidence_source: confidence === null ? null : ('agreement' as const),
    })),
    compared: candidates.length,
    threshold,
    model_used: standpoint?.space.model ?? null,
  }
}

const keyOf = ({ originalId, duplicateId }: Pair): string => `${originalId} ${duplicateId}`

/** What came first is the original: a text that is not kept came last, and of two that came at once the lesser name. */
function endsOf(
  { id, own }: { id: string; own: Own },
  candidate: Candidate,
): { originalId: string; duplicateId: string } {
  const isOlder =
    own !== undefined &&
    (own.createdAt < candidate.createdAt || (own.createdAt === candidate.createdAt && id < candidate.id))
  return isOlder ? { originalId: id, duplicateId: candidate.id } : { originalId: candidate.id, duplicateId: id }
}
