import type { Segment, Transcript } from './transcript.ts'

export const transcriptFormats = ['json', 'text', 'srt', 'vtt', 'verbose_json'] as const
export type TranscriptFormat = (typeof transcriptFormats)[number]
export type Granularity = 'word' | 'segment'

type How = { task: 'transcribe' | 'translate'; granularities: readonly Granularity[] }

/** A transcript as OpenAI writes it. */
export function rendered(
  transcript: Transcript,
  format: TranscriptFormat,
  how: How,
): { body: string; contentType: string } {
  switch (format) {
    case 'json':
      return json({ text: transcript.text, ...usageOf(transcript) })
    case 'verbose_json':
      return json(verbose(transcript, how))
    case 'text':
      return { body: `${transcript.text}\n`, contentType: 'text/plain; charset=utf-8' }
    case 'srt':
      return { body: srtOf(cuesOf(transcript)), contentType: 'text/plain; charset=utf-8' }
    case 'vtt':
      return { body: vttOf(cuesOf(transcript)), contentType: 'text/vtt; charset=utf-8' }
  }
}

const json = (body: object) => ({ body: JSON.stringify(body), contentType: 'application/json' })

/** Billed by the second, as OpenAI says it of Whisper. */
const usageOf = ({ durationMs }: Transcript) =>
  durationMs === undefined ? {} : { usage: { type: 'duration', seconds: Math.ceil(durationMs / 1000) } }

function verbose(transcript: Transcript, { task, granularities }: How) {
  const { text, language, durationMs, segments, words } = transcript
  const wantsSegments = granularities.length === 0 || granularities.includes('segment')
  return {
    task,
    language: language ?? 'unknown',
    duration: (durationMs ?? 0) / 1000,
    text,
    ...(wantsSegments && { segments: (segments ?? []).map(wireSegment) }),
    ...(granularities.includes('word') && {
      words: (words ?? []).map(({ word, start, end }) => ({ word, start, end })),
    }),
    ...usageOf(transcript),
  }
}

const wireSegment = (segment: Segment, id: number) => ({
  id,
  seek: segment.seek ?? 0,
  start: segment.start,
  end: segment.end,
  text: segment.text,
  tokens: segment.tokens ?? [],
  temperature: segment.temperature ?? 0,
  avg_logprob: segment.avg_logprob ?? 0,
  compression_ratio: segment.compression_ratio ?? 0,
  no_speech_prob: segment.no_speech_prob ?? 0,
})

type Cue = { start: number; end: number; text: string }

/** A server that tells no segments has all of the text in one. */
function cuesOf({ text, segments, durationMs }: Transcript): readonly Cue[] {
  if (segments) return segments
  return text === '' ? [] : [{ start: 0, end: (durationMs ?? 0) / 1000, text }]
}

/** A blank line would end a cue. */
const lineOf = ({ text }: Cue): string => text.trim().replace(/\s*\n\s*/g, '\n')

const srtOf = (cues: readonly Cue[]): string =>
  cues.map((cue, at) => `${at + 1}\n${clock(cue.start, ',')} --> ${clock(cue.end, ',')}\n${lineOf(cue)}\n\n`).join('')

/** An arrow in a cue's text would be read as times. */
const vttOf = (cues: readonly Cue[]): string =>
  `WEBVTT\n\n${cues
    .map((cue) => `${clock(cue.start, '.')} --> ${clock(cue.end, '.')}\n${lineOf(cue).replaceAll('-->', '->')}\n\n`)
    .join('')}`

/** `hh:mm:ss,mmm` */
export function clock(seconds: number, point: ',' | '.'): string {
  const ms = Math.max(0, Math.round(seconds * 1000))
  const parts = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60, Math.floor(ms / 1000) % 60]
  return `${parts.map((part) => String(part).padStart(2, '0')).join(':')}${point}${String(ms % 1000).padStart(3, '0')}`
}
