import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { answerLater, startJob, wantsLater } from '../job-queue/service.ts'
import { openUpload } from '../uploads/service.ts'
import type { TranscribeBody, TranscribeView } from './schema.ts'
import { anySoundIn, MAX_FILE_BYTES, soundIn, tooLong } from './sound-input.ts'
import { transcribed } from './transcribe.ts'

export const TRANSCRIBE_JOB = 'audio.transcribe'
/** What is expected to be written down within a minute. */
const SYNC_MINUTES = 10
/** A file and what is sent of it are in memory together. */
export const MOST_LONG_BYTES = 48 * 1024 * 1024

/** At once, or as a job for what is long, or whose caller would rather not wait. Throws `AppError`. */
export async function transcribe(ctx: Ctx, body: TranscribeBody, request: Request): Promise<TranscribeView | Response> {
  const { file, upload_id, ...how } = body
  if (file) {
    const given = soundIn(file)
    const hint = ' Upload it, and name the upload_id.'
    if ((given.sound.durationMs ?? 0) > SYNC_MINUTES * 60_000) throw tooLong(SYNC_MINUTES, hint)
    return transcribed(ctx, { ...how, given })
  }
  const uploadId = upload_id ?? ''
  const upload = await openUpload(ctx, uploadId)
  if (upload.sizeBytes > MOST_LONG_BYTES) {
    throw new AppError('too_long', `A sound has at most ${MOST_LONG_BYTES / 1024 / 1024} MB.`, {
      param: 'upload_id',
      details: { most_bytes: MOST_LONG_BYTES },
    })
  }
  if (upload.sizeBytes <= MAX_FILE_BYTES) {
    // Looked at before there is a job: what is no sound is better said at once.
    const given = anySoundIn(await upload.bytes())
    const isShort = given.sound.durationMs !== undefined && given.sound.durationMs <= SYNC_MINUTES * 60_000
    if (isShort && !wantsLater(request)) return transcribed(ctx, { ...how, given, sourceId: uploadId })
  }
  return answerLater(await startJob(ctx, { kind: TRANSCRIBE_JOB, input: { upload_id: uploadId, ...how } }))
}
