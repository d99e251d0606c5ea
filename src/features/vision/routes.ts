import { get, post, type Route } from '../../http/route.ts'
import { answerLater, type JobView, wantsLater } from '../job-queue/service.ts'
import { analyze } from './analyze.ts'
import { analyzeBatch } from './batch.ts'
import { detectObjects } from './detect.ts'
import { extractText } from './extract.ts'
import { imageRoutes } from './image-routes.ts'
import { MAX_BATCH_BYTES, MAX_SHOWN_BYTES } from './limits.ts'
import {
  AnalyzeBody,
  AnalyzeView,
  BatchBody,
  BatchView,
  DetectBody,
  DetectView,
  ExtractBody,
  ExtractView,
  HealthView,
  ModelsView,
} from './schema.ts'
import { healthOf, modelsOf } from './standing.ts'

const multipart = { maxBytes: MAX_SHOWN_BYTES }
const LOOKS = 'On a model of the team’s own nodes; the picture is kept nowhere. Up to 20 MB and 50 megapixels.'

const isJob = (answer: { object: string } | JobView): answer is JobView => answer.object === 'job'

const extraction = {
  summary: 'Read the text in a picture',
  description: `Block by block with its line breaks. ${LOOKS}`,
  scope: 'vision:write',
  body: ExtractBody,
  multipart,
  response: ExtractView,
} as const

export const routes: readonly Route[] = [
  post(
    '/api/v1/vision/analyze',
    {
      summary: 'Ask a model about a picture',
      description: LOOKS,
      scope: 'vision:write',
      body: AnalyzeBody,
      multipart,
      response: AnalyzeView,
    },
    (ctx, { body }) => analyze(ctx, body),
  ),

  post(
    '/api/v1/vision/detect-objects',
    {
      summary: 'Find the objects in a picture',
      description: `With boxes inside of the picture, each object once. ${LOOKS}`,
      scope: 'vision:write',
      body: DetectBody,
      multipart,
      response: DetectView,
    },
    (ctx, { body }) => detectObjects(ctx, body),
  ),

  post('/api/v1/vision/extract-text', extraction, (ctx, { body }) => extractText(ctx, body)),

  post('/api/v1/vision/ocr', { ...extraction, summary: 'Read the text in a picture (short name)' }, (ctx, { body }) =>
    extractText(ctx, body),
  ),

  post(
    '/api/v1/vision/batch/analyze',
    {
      summary: 'Ask a model about several pictures',
      description:
        'Up to 10, each with its result or its error. 502 where none went well. More than 4, or ' +
        '`Prefer: respond-async`, make it a job (202).',
      scope: 'vision:write',
      body: BatchBody,
      multipart: { maxBytes: MAX_BATCH_BYTES },
      response: BatchView,
    },
    async (ctx, { body }, request) => {
      const answer = await analyzeBatch(ctx, body, wantsLater(request))
      return isJob(answer) ? answerLater(answer) : answer
    },
  ),

  get(
    '/api/v1/vision/models',
    {
      summary: 'List the models that see',
      description: 'And those that pictures are found by.',
      scope: 'vision:read',
      response: ModelsView,
    },
    (ctx) => modelsOf(ctx),
  ),

  get(
    '/api/v1/vision/health',
    {
      summary: 'Show whether pictures can be looked at',
      scope: 'vision:read',
      response: HealthView,
    },
    (ctx) => healthOf(ctx),
  ),

  ...imageRoutes,
]
