import * as z from 'zod'
import { booleanField, FileField, listField, numberField } from '../../http/multipart.ts'
import { speechFormats } from './joining.ts'
import { transcriptFormats } from './render.ts'

const Name = z.string().min(1).max(255)
export const Language = z
  .string()
  .regex(/^[A-Za-z]{2,3}(?:[-_][A-Za-z]{2,4})?$/, 'expected a code of ISO 639')
  .toLowerCase()
const MAX_PROMPT = 4000

const heard = {
  file: FileField,
  model: Name,
  prompt: z.string().max(MAX_PROMPT).nullish(),
  response_format: z.enum(transcriptFormats).nullish(),
  temperature: numberField(z.number().min(0).max(1)).nullish(),
}

/** https://platform.openai.com/docs/api-reference/audio/createTranscription */
export const TranscriptionRequest = z.looseObject({
  ...heard,
  language: Language.nullish(),
  timestamp_granularities: listField(z.array(z.enum(['word', 'segment'])).max(2)).nullish(),
  stream: booleanField().nullish(),
})
export type TranscriptionRequest = z.output<typeof TranscriptionRequest>

/** https://platform.openai.com/docs/api-reference/audio/createTranslation */
export const TranslationRequest = z.looseObject(heard)
export type TranslationRequest = z.output<typeof TranslationRequest>

export const MAX_INPUT = 4096

/** https://platform.openai.com/docs/api-reference/audio/createSpeech */
export const SpeechRequest = z.looseObject({
  model: Name,
  input: z.string().min(1).max(MAX_INPUT),
  voice: z.union([Name, z.looseObject({ id: Name })]),
  instructions: z.string().max(MAX_PROMPT).nullish(),
  response_format: z.enum(speechFormats).nullish(),
  speed: z.number().min(0.25).max(4).nullish(),
  stream_format: z.enum(['audio', 'sse']).nullish(),
})
export type SpeechRequest = z.output<typeof SpeechRequest>

export const VoiceList = z.object({
  object: z.literal('list'),
  data: z.array(
    z.object({
      id: z.string(),
      object: z.literal('voice'),
      name: z.string(),
      language: z.string().nullable(),
      gender: z.string().nullable(),
      model: z.string().nullable(),
      provider: z.string(),
    }),
  ),
})
