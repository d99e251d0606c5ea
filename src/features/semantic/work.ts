import * as z from 'zod'
import type { JobHandler } from '../job-queue/service.ts'
import { embedAndSwap, INDEX_JOB } from './indexing.ts'

const Rest = z.object({
  sourceId: z.string(),
  generation: z.string(),
  contentSha256: z.string().optional(),
  chunkCount: z.int(),
  language: z.string(),
  metadata: z.record(z.string(), z.unknown()),
  replace: z.boolean(),
  modelName: z.string().optional(),
})

/** Embeds the chunks of a long text, those that the attempt before has not, and has them searched. */
export const indexWork: JobHandler<z.output<typeof Rest>> = {
  kind: INDEX_JOB,
  input: Rest,
  scope: 'semantic:write',
  limitMs: 10 * 60_000,
  run: ({ ctx, input, priority, progress }) =>
    embedAndSwap(ctx, { ...input, contentSha256: input.contentSha256 }, { priority, told: (share) => progress(share) }),
}
