import { get, post, type Route } from '../../http/route.ts'
import { speechTypes } from './joining.ts'
import { speech, transcription, translation } from './openai.ts'
import { SpeechRequest, TranscriptionRequest, TranslationRequest, VoiceList } from './openai-schema.ts'
import { MAX_FILE_BYTES } from './sound-input.ts'
import { listVoices } from './voices.ts'

const TEXTS = ['application/json', 'text/plain', 'text/vtt']

export const routes: readonly Route[] = [
  post(
    '/v1/audio/transcriptions',
    {
      summary: 'Write down what is said',
      description:
        "OpenAI's transcription by a model of your own nodes: `whisper-1` and `auto` mean the best that is there. MP3, WAV, FLAC, AAC, OGG, WebM and M4A up to 25 MB, told by their bytes. What a model made up over silence is left out.",
      scope: 'audio:write',
      body: TranscriptionRequest,
      multipart: { maxBytes: MAX_FILE_BYTES },
      raw: [...TEXTS, 'text/event-stream'],
    },
    (ctx, { body }) => transcription(ctx, body),
  ),
  post(
    '/v1/audio/translations',
    {
      summary: 'Write down in English what is said',
      scope: 'audio:write',
      body: TranslationRequest,
      multipart: { maxBytes: MAX_FILE_BYTES },
      raw: TEXTS,
    },
    (ctx, { body }) => translation(ctx, body),
  ),
  post(
    '/v1/audio/speech',
    {
      summary: 'Say a text',
      description:
        'Streamed as it is made. MP3, AAC, WAV and PCM are made sentence by sentence; Opus and FLAC in one piece, for their files cannot be joined. A streamed WAV tells no length.',
      scope: 'audio:write',
      body: SpeechRequest,
      raw: [...Object.values(speechTypes), 'text/event-stream'],
    },
    (ctx, { body }) => speech(ctx, body),
  ),
  get(
    '/v1/audio/voices',
    { summary: 'The voices of the speech servers', scope: 'audio:read', response: VoiceList },
    (ctx) => listVoices(ctx),
  ),
]

export { analysisRoutes } from './routes-analysis.ts'
