import type { Ctx } from '../../core/context.ts'
import { AppError, ofField } from '../../core/errors.ts'
import type { FilePart } from '../../http/multipart.ts'
import { longSoundOf, type Sound, soundFormats, soundOf } from '../media/service.ts'
import { openUpload } from '../uploads/service.ts'
import type { SentFile } from './form.ts'

/** Of a form, and of what is held in memory. */
export const MAX_FILE_BYTES = 25 * 1024 * 1024
export const LONGEST_MS = 4 * 3_600_000

/** A sound that was looked at: what is sent of it has the name and type that its bytes have, whatever its sender said. */
export type GivenSound = { sound: Sound; file: SentFile /** Where it is known already. */; sha256?: string | undefined }

/**
 * The sound in a file. Throws 415 for bytes of no kind that is taken, 422 `no_audio_stream` for a file without a sound in
 * it, and 422 `too_long`.
 */
export function soundIn({ bytes }: Pick<FilePart, 'bytes'>): GivenSound {
  if (bytes.byteLength > MAX_FILE_BYTES) throw tooLarge()
  try {
    return given(soundOf(bytes), bytes)
  } catch (error) {
    throw ofField(error, 'file')
  }
}

/** The sound in a file that was uploaded; a large one is read in parts. Throws as `soundIn` and `openUpload`. */
export async function uploadedSound(ctx: Ctx, uploadId: string): Promise<GivenSound> {
  const upload = await openUpload(ctx, uploadId)
  const { sizeBytes, sha256 } = upload
  const isHeld = sizeBytes <= MAX_FILE_BYTES
  const content = isHeld ? await upload.bytes() : { sizeBytes, part: upload.part }
  try {
    const sound = content instanceof Uint8Array ? soundOf(content) : await longSoundOf(content)
    return { ...given(sound, content), sha256 }
  } catch (error) {
    throw ofField(error, 'upload_id')
  }
}

/** What a body names: schemas see to it that it is either a file or an upload. */
export type NamedSound = { file?: FilePart | undefined; upload_id?: string | undefined }

/** Throws as `soundIn` and `uploadedSound`. */
export const namedSound = async (ctx: Ctx, { file, upload_id = '' }: NamedSound): Promise<GivenSound> =>
  file ? soundIn(file) : uploadedSound(ctx, upload_id)

function given(sound: Sound | undefined, content: SentFile['content']): GivenSound {
  if (!sound) {
    const found = content instanceof Uint8Array && content.byteLength === 0 ? ' This file is empty.' : ''
    const message = `A sound is one of these by its bytes: ${soundFormats.join(', ')}.${found}`
    throw new AppError('unsupported_media_type', message, { details: { formats: soundFormats } })
  }
  if ((sound.durationMs ?? 0) > LONGEST_MS) throw tooLong(LONGEST_MS / 60_000)
  return { sound, file: { content, name: `sound.${sound.extension}`, mime: sound.mime } }
}

export const sizeOf = ({ file: { content } }: GivenSound): number =>
  content instanceof Uint8Array ? content.byteLength : content.sizeBytes

export const tooLong = (mostMinutes: number, hint = ''): AppError =>
  new AppError('too_long', `The sound is longer than ${mostMinutes} minutes, the most that is taken here.${hint}`, {
    param: 'file',
    details: { most_seconds: mostMinutes * 60 },
  })

const tooLarge = (): AppError =>
  new AppError(
    'payload_too_large',
    `The file is larger than ${MAX_FILE_BYTES / 1024 / 1024} MB, the most that is taken.`,
  )
