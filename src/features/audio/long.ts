import type { Ctx } from '../../core/context.ts'
import { ofField } from '../../core/errors.ts'
import { answerLater, startJob, wantsLater } from '../job-queue/service.ts'
import type { TranscribeBody, TranscribeView } from './schema.ts'
import { MAX_FILE_BYTES, sizeOf, soundIn, tooLong, uploadedSound } from './sound-input.ts'
import { transcribed } from './transcribe.ts'

export const TRANSCRIBE_JOB = 'audio.transcribe'
/** What is expected to be written down within a minute. */
const SYNC_MINUTES = 10

/** At once, or as a job for what is long, or whose caller would rather not wait. Throws `AppError`. */
export async function transcribe(ctx: Ctx, body: TranscribeBody, request: Request): Promise<TranscribeView | Response> {
  const { file, upload_id, ...how } = body
  if (file) {
    const given = soundIn(file)
    const hint = ' Upload it, and name the upload_id.'
    if ((given.sound.durationMs ?? 0) > SYNC_MINUTES * 60_000) throw ofField(tooLong(SYNC_MINUTES, hint), 'file')
    return transcribed(ctx, { ...how, given })
  }
  const uploadId = upload_id ?? ''
  // Looked at before there is a job: what is no sound is better said at once.
  const given = await uploadedSound(ctx, uploadId)
  const { durationMs } = given.sound
  const isShort = durationMs !== undefined && durationMs <= SYNC_MINUTES * 60_000 && sizeOf(given) <= MAX_FILE_BYTES
  if (isShort && !wantsLater(request)) return transcribed(ctx, { ...how, given, sourceId: uploadId })
  return answerLater(await startJob(ctx, { kind: TRANSCRIBE_JOB, input: { upload_id: uploadId, ...how } }))
}
