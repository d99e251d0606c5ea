import { resource } from '../../http/resource.ts'
import { get, post, type Route } from '../../http/route.ts'
import { categoriesOf, emotionOf, musicOf } from './analyses.ts'
import { healthOf, modelsOf } from './fleet.ts'
import { transcribe } from './long.ts'
import * as s from './schema.ts'
import { MAX_FILE_BYTES } from './sound-input.ts'
import { identified } from './speakers.ts'
import { listTranscripts, readTranscript, removeTranscript, viewOf } from './transcripts.ts'

const multipart = { maxBytes: MAX_FILE_BYTES }
const stored = resource({
  at: '/api/v1/audio/transcripts',
  area: 'audio',
  params: s.TranscriptParams,
  view: s.TranscriptView,
  viewOf,
})

const speakers = (path: string, description: string): Route =>
  post(
    path,
    {
      summary: 'Tell who speaks when',
      description,
      scope: 'audio:write',
      body: s.SpeakersBody,
      multipart,
      response: s.SpeakersView,
    },
    (ctx, { body }) => identified(ctx, body),
  )

export const analysisRoutes: readonly Route[] = [
  post(
    '/api/v1/audio/transcribe',
    {
      summary: 'Write down what is said',
      description:
        'A file of at most 25 MB and ten minutes is answered at once. An upload may have 100 MB and four hours: what is longer than the file could be, and what comes with `prefer: respond-async`, has an answer of 202 and a job whose result is what would have been answered.',
      scope: 'audio:write',
      body: s.TranscribeBody,
      multipart,
      response: s.TranscribeView,
    },
    (ctx, { body }, request) => transcribe(ctx, body, request),
  ),
  speakers(
    '/api/v1/audio/identify-speakers',
    'Needs a node with a model for diarization. What is said is added where a model writes it down.',
  ),
  speakers('/api/v1/audio/identify-speaker', 'The same as `identify-speakers`.'),
  post(
    '/api/v1/audio/analyze-emotion',
    {
      summary: 'Tell the emotion in a voice',
      description: 'By a classifier that heard it; 503 where no node has one.',
      scope: 'audio:write',
      body: s.EmotionBody,
      multipart,
      response: s.EmotionView,
    },
    (ctx, { body }) => emotionOf(ctx, body),
  ),
  post(
    '/api/v1/audio/classify',
    {
      summary: 'Tell what a sound is',
      description: 'By a classifier that heard it; 503 where no node has one.',
      scope: 'audio:write',
      body: s.ClassifyBody,
      multipart,
      response: s.ClassifyView,
    },
    (ctx, { body }) => categoriesOf(ctx, body),
  ),
  post(
    '/api/v1/audio/analyze-music',
    {
      summary: 'Tell genre, tempo, key and loudness of music',
      description:
        'The genre by a classifier that heard it; 503 where no node has one. What no agent measures is null.',
      scope: 'audio:write',
      body: s.MusicBody,
      multipart,
      response: s.MusicView,
    },
    (ctx, { body }) => musicOf(ctx, body),
  ),
  get(
    '/api/v1/audio/models',
    { summary: 'Models that hear or speak', scope: 'audio:read', response: s.ModelsView },
    (ctx) => modelsOf(ctx),
  ),
  get(
    '/api/v1/audio/health',
    { summary: 'What can be done with sounds now', scope: 'audio:read', response: s.HealthView },
    (ctx) => healthOf(ctx),
  ),
  stored.list({ summary: 'List kept transcripts', query: s.TranscriptsQuery, run: listTranscripts }),
  stored.read({ summary: 'Read a kept transcript', run: readTranscript }),
  stored.remove({ summary: 'Delete a kept transcript', run: removeTranscript }),
]
