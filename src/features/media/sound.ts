import { has } from './bytes.ts'
import { flacSound } from './flac.ts'
import { mp4Sound } from './mp4.ts'
import { mpegSound } from './mpeg.ts'
import { oggSound } from './ogg.ts'
import { wavSound } from './wav.ts'
import { webmSound } from './webm.ts'

export type SoundFormat = 'mp3' | 'wav' | 'flac' | 'aac' | 'ogg' | 'webm' | 'm4a'

/** What a reader of one container found. */
export type Heard = { format: SoundFormat; durationMs: number | undefined }

export type Sound = Heard & { mime: string; extension: string }

const mimes: Readonly<Record<SoundFormat, string>> = {
  mp3: 'audio/mpeg',
  wav: 'audio/wav',
  flac: 'audio/flac',
  aac: 'audio/aac',
  ogg: 'audio/ogg',
  webm: 'audio/webm',
  m4a: 'audio/mp4',
}

export const soundFormats: readonly SoundFormat[] = ['mp3', 'wav', 'flac', 'aac', 'ogg', 'webm', 'm4a']

function heardIn(bytes: Uint8Array): Heard | undefined {
  if ((has(bytes, 0, 'RIFF') || has(bytes, 0, 'RF64')) && has(bytes, 8, 'WAVE')) return wavSound(bytes)
  if (has(bytes, 0, 'fLaC')) return flacSound(bytes)
  if (has(bytes, 0, 'OggS')) return oggSound(bytes)
  if (has(bytes, 0, '\x1a\x45\xdf\xa3')) return webmSound(bytes)
  if (has(bytes, 4, 'ftyp')) return mp4Sound(bytes)
  return mpegSound(bytes)
}

/**
 * What sound this is, by its first bytes and its headers, with its length in milliseconds where a header or the order of
 * its frames tells it; nothing is decoded. Undefined when it is none of the seven kinds. Throws 422 `no_audio_stream`
 * for a file of such a kind without a sound in it: a film without one, a file that is damaged or cut off in its header.
 */
export function soundOf(bytes: Uint8Array): Sound | undefined {
  const heard = heardIn(bytes)
  return heard && asSound(heard)
}

export const asSound = (heard: Heard): Sound => ({ ...heard, mime: mimes[heard.format], extension: heard.format })
