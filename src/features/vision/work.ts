import * as z from 'zod'
import type { JobHandler } from '../job-queue/service.ts'
import { BATCH_JOB, runBatch } from './batch.ts'
import { chooseModel } from './choice.ts'

const Input = z.object({
  items: z.array(
    z.object({
      filename: z.string().optional(),
      prompt: z.string(),
      image_url: z.string().optional(),
      upload_id: z.string().optional(),
    }),
  ),
  modelName: z.string().optional(),
  maxTokens: z.int(),
})

/** Looks at the pictures of a batch. An attempt that was cut off is made anew: nothing is left behind but runs. */
export const visionWork: JobHandler<z.output<typeof Input>> = {
  kind: BATCH_JOB,
  input: Input,
  scope: 'vision:write',
  limitMs: 14 * 60_000,
  maxAttempts: 2,
  run: async ({ ctx, input: { items, modelName, maxTokens }, progress }) => {
    const chosen = await chooseModel(ctx, 'image_analysis', modelName)
    return runBatch(ctx, { items, modelName, maxTokens }, { chosen, told: (share) => progress(share) })
  },
}
