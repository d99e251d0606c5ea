import { AppError } from '../../core/errors.ts'
import type { FilePart } from '../../http/multipart.ts'
import { type Sound, soundFormats, soundOf } from '../media/service.ts'
import type { SentFile } from './form.ts'

export const MAX_FILE_BYTES = 25 * 1024 * 1024
const LONGEST_MS = 4 * 3_600_000

/** A sound that was looked at: what is sent of it has the name and type that its bytes have, whatever its sender said. */
export type GivenSound = { sound: Sound; file: SentFile }

/**
 * The sound in a file. Throws 415 for bytes of no kind that is taken, 422 `no_audio_stream` for a file without a sound in
 * it, and 422 `too_long`.
 */
export function soundIn({ bytes }: Pick<FilePart, 'bytes'>): GivenSound {
  if (bytes.byteLength > MAX_FILE_BYTES) throw tooLarge()
  return anySoundIn(bytes)
}

/** The same of a file of any size. */
export function anySoundIn(bytes: Uint8Array): GivenSound {
  const sound = soundOf(bytes)
  if (!sound) {
    const found = bytes.byteLength === 0 ? ' This file is empty.' : ''
    const message = `A sound is one of these by its bytes: ${soundFormats.join(', ')}.${found}`
    throw new AppError('unsupported_media_type', message, { param: 'file', details: { formats: soundFormats } })
  }
  if ((sound.durationMs ?? 0) > LONGEST_MS) throw tooLong(LONGEST_MS / 60_000)
  return { sound, file: { bytes, name: `sound.${sound.extension}`, mime: sound.mime } }
}

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
