import * as z from 'zod'
import type { JobHandler } from '../job-queue/service.ts'
import { TRANSCRIBE_JOB } from './long.ts'
import { TranscribeView } from './schema.ts'
import { uploadedSound } from './sound-input.ts'
import { transcribed } from './transcribe.ts'

const Input = z.object({
  upload_id: z.string(),
  language: z.string(),
  model_name: z.string().optional(),
  include_timestamps: z.boolean(),
  diarize: z.boolean(),
  store: z.boolean(),
})

const LIMIT_MS = 14 * 60_000
/** The rest is for the speakers and for writing it down. */
const HEARING_MS = 12 * 60_000

/** Writes down what is said in a long recording. Its result is what the call would have answered. */
export const transcribeWork: JobHandler<z.output<typeof Input>> = {
  kind: TRANSCRIBE_JOB,
  input: Input,
  scope: 'audio:write',
  limitMs: LIMIT_MS,
  run: async ({ ctx, jobId, input, priority, progress }) => {
    const { upload_id, ...how } = input
    const given = await uploadedSound(ctx, upload_id)
    await progress(0.1, { duration_ms: given.sound.durationMs })
    // Two attempts leave one transcript.
    const transcriptId = jobId.replace(/^job_/, 'trn_')
    return TranscribeView.parse(
      await transcribed(ctx, { ...how, given, timeoutMs: HEARING_MS, priority, transcriptId, sourceId: upload_id }),
    )
  },
}
