import * as z from 'zod'
import { booleanField, FileField, listField, numberField } from '../../http/multipart.ts'
import { pageFields } from '../../http/page.ts'
import { categories, emotions, genres } from './labels.ts'
import { Language } from './openai-schema.ts'

const Name = z.string().min(1).max(255)
const share = z.number().min(0).max(1)
const Confidence = share.nullable().describe('Null where nothing supports one.')

const UploadId = z.string().max(64).optional()
type Named = { file?: unknown; upload_id?: string | undefined }
const namesOne = ({ file, upload_id }: Named): boolean => (file === undefined) !== (upload_id === undefined)
const ONE = { message: 'needs either file or upload_id', path: ['file'] }

/** A sound, one way or the other. */
const sound = {
  file: FileField.optional().describe('At most 25 MB.'),
  upload_id: UploadId.describe('A file that was uploaded before, of up to 100 MB: `upl_…`.'),
}

export const TranscribeBody = z
  .strictObject({
    file: FileField.optional().describe('At most 25 MB and ten minutes.'),
    upload_id: UploadId.describe('A file that was uploaded before: `upl_…`. Longer ones become a job.'),
    language: z
      .union([z.literal('auto'), Language])
      .default('en')
      .describe('`auto` has the model find out.'),
    model_name: Name.optional(),
    include_timestamps: booleanField().default(false),
    diarize: booleanField().default(false).describe('Says of every segment who speaks.'),
    store: booleanField().default(false).describe('Keeps the transcript for 90 days.'),
  })
  .refine(namesOne, ONE)
export type TranscribeBody = z.output<typeof TranscribeBody>

const Segment = z.object({
  start_ms: z.int(),
  end_ms: z.int(),
  text: z.string(),
  speaker: z.string().optional(),
  confidence: Confidence,
})

export const TranscribeView = z.object({
  id: z.string(),
  object: z.literal('audio.transcription'),
  transcription: z.string(),
  language: z.string().nullable(),
  has_content: z.boolean().describe('False where less than two hundredths of it are speech.'),
  confidence: Confidence,
  confidence_source: z.literal('logprob').nullable(),
  segments: z.array(Segment).optional(),
  duration_seconds: z.number().nullable(),
  model: z.string(),
  transcript_id: z.string().optional(),
  transcribed_at: z.int(),
})
export type TranscribeView = z.input<typeof TranscribeView>

export const SpeakersBody = z
  .strictObject({
    ...sound,
    num_speakers: numberField(z.int().min(1).max(20)).optional(),
    transcribe: booleanField().default(true),
    model_name: Name.optional(),
  })
  .refine(namesOne, ONE)
export type SpeakersBody = z.output<typeof SpeakersBody>

const Summary = {
  analysis_source: z.enum(['model', 'facts']).describe('`facts`: the figures in plain sentences, by no model.'),
}

export const SpeakersView = z.object({
  id: z.string(),
  object: z.literal('audio.speakers'),
  speakers_identified: z.int(),
  speakers: z.array(z.object({ id: z.string(), label: z.string(), talk_seconds: z.number(), share })),
  segments: z.array(z.object({ start_ms: z.int(), end_ms: z.int(), speaker: z.string(), text: z.string().optional() })),
  transcribed: z.boolean().describe('False where nothing was to be written down, or nothing here can do it.'),
  speaker_analysis: z.string(),
  ...Summary,
  confidence: Confidence,
  confidence_source: z.literal('calibrated').nullable(),
  model: z.string(),
})

export const EmotionBody = z
  .strictObject({
    ...sound,
    per_segment: booleanField().default(false),
    model_name: Name.optional(),
  })
  .refine(namesOne, ONE)
export type EmotionBody = z.output<typeof EmotionBody>

const Emotion = z.enum(emotions)
const Emotions = z.array(z.object({ emotion: Emotion, confidence: share }))

export const EmotionView = z.object({
  id: z.string(),
  object: z.literal('audio.emotion'),
  detected_emotions: Emotions,
  dominant_emotion: Emotion,
  segments: z.array(z.object({ start_ms: z.int(), end_ms: z.int(), detected_emotions: Emotions })).optional(),
  method: z.literal('classifier'),
  emotion_analysis: z.string(),
  ...Summary,
  confidence: share,
  confidence_source: z.literal('model'),
  model: z.string(),
})

const MOST_CATEGORIES = 50
export const ClassifyBody = z
  .strictObject({
    ...sound,
    categories: listField(z.array(z.string().trim().min(1).max(64)).min(2).max(MOST_CATEGORIES))
      .optional()
      .describe(`Of your own; else ${categories.join(', ')}.`),
    model_name: Name.optional(),
  })
  .refine(namesOne, ONE)
export type ClassifyBody = z.output<typeof ClassifyBody>

export const ClassifyView = z.object({
  id: z.string(),
  object: z.literal('audio.classification'),
  detected_categories: z.array(z.object({ category: z.string(), confidence: share })),
  classification: z.string(),
  ...Summary,
  confidence: share,
  confidence_source: z.literal('model'),
  model: z.string(),
})

export const MusicBody = z.strictObject({ ...sound, model_name: Name.optional() }).refine(namesOne, ONE)
export type MusicBody = z.output<typeof MusicBody>

export const MusicView = z.object({
  id: z.string(),
  object: z.literal('audio.music'),
  detected_genres: z.array(z.object({ genre: z.enum(genres), confidence: share })),
  tempo_bpm: z.number().nullable(),
  key: z.string().nullable(),
  loudness_lufs: z.number().nullable(),
  vocals: z.object({ present: z.boolean(), confidence: share }).nullable(),
  music_analysis: z.string(),
  ...Summary,
  confidence: share,
  confidence_source: z.literal('model'),
  model: z.string(),
})

export const ModelsView = z.object({
  models: z.array(
    z.object({
      name: z.string(),
      node: z.string(),
      server: z.enum(['ollama', 'speech', 'agent']),
      capabilities: z.array(z.string()),
      capability_source: z.string(),
      is_available: z.boolean(),
    }),
  ),
  total_models: z.int(),
})

export const HealthView = z.object({
  status: z.enum(['healthy', 'degraded', 'unavailable']),
  formats: z.array(z.string()),
  max_concurrent_tasks: z.int(),
  in_flight: z.int(),
  queued: z.int(),
  models: z.record(z.string(), z.array(z.string())).describe('By capability.'),
})

export const TranscriptParams = z.object({ id: z.string().regex(/^trn_[0-9a-hjkmnp-tv-z]{26}$/) })
export const TranscriptsQuery = z.strictObject(pageFields)

export const TranscriptView = z.object({
  id: z.string(),
  object: z.literal('audio.transcript'),
  text: z.string(),
  language: z.string().nullable(),
  duration_ms: z.int().nullable(),
  segments: z.array(
    z.object({
      start_ms: z.number(),
      end_ms: z.number(),
      text: z.string(),
      speaker: z.string().optional(),
      avg_logprob: z.number().optional(),
      no_speech_prob: z.number().optional(),
    }),
  ),
  words: z.array(z.object({ start_ms: z.number(), end_ms: z.number(), word: z.string() })),
  expires_at: z.int().nullable(),
  created_at: z.int(),
})
export type TranscriptView = z.input<typeof TranscriptView>
