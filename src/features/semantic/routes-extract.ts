import { post, type Route } from '../../http/route.ts'
import { classify } from './classify.ts'
import { detectDuplicates } from './duplicates.ts'
import { rerank } from './rerank.ts'
import {
  ClassifyBody,
  ClassifyView,
  DuplicatesBody,
  DuplicatesView,
  ImportanceBody,
  ImportanceView,
  RerankBody,
  RerankView,
} from './schema-extract.ts'
import { importanceOf } from './score.ts'

/** What models and measures tell of texts. */
export const extractRoutes: readonly Route[] = [
  post(
    '/api/v1/semantic/detect-duplicates',
    {
      summary: 'Find duplicates of a text',
      description:
        'Among the chunks that are indexed, and among whole sources where they are the same to the letter. The older of ' +
        'two is the original. The pairs are noted.',
      scope: 'semantic:write',
      body: DuplicatesBody,
      response: DuplicatesView,
    },
    (ctx, { body }) => detectDuplicates(ctx, body),
  ),

  post(
    '/api/v1/semantic/classify',
    {
      summary: 'Classify a text',
      description:
        'Into categories that you name. A model tells how probable each is, for windows of 1000 characters; a text never ' +
        'tells the model what to do. Nothing is kept.',
      scope: 'semantic:write',
      body: ClassifyBody,
      response: ClassifyView,
    },
    (ctx, { body }) => classify(ctx, body),
  ),

  post(
    '/api/v1/semantic/rerank',
    {
      summary: 'Order documents by their relevance',
      description:
        'By a rerank model of your nodes, or where there is none, or it fails, by a model that judges each document.',
      scope: 'semantic:read',
      body: RerankBody,
      response: RerankView,
    },
    (ctx, { body }) => rerank(ctx, body),
  ),

  post(
    '/api/v1/semantic/score-importance',
    {
      summary: 'Score how important a text is',
      description:
        'By its quality, its nearness to your interests, its age, how far it is from what is indexed, and what you know of ' +
        'it. Parts of which nothing is known are left out, and shown as such.',
      scope: 'semantic:write',
      body: ImportanceBody,
      response: ImportanceView,
    },
    (ctx, { body }) => importanceOf(ctx, body),
  ),
]
