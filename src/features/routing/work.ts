import type { JobHandler } from '../job-queue/service.ts'
import { replay } from './replay.ts'
import { ReplayRequest } from './replay-schema.ts'

/** Reads and counts only: an attempt that was cut off leaves nothing behind. */
export const replayWork: JobHandler<ReplayRequest> = {
  kind: 'routing.replay',
  input: ReplayRequest,
  scope: 'routing:write',
  limitMs: 10 * 60_000,
  run: ({ ctx, input }) => replay(ctx, input),
}
