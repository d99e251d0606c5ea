import { del, get, post, type Route } from '../../http/route.ts'
import { answerLater, type JobView, wantsLater } from '../job-queue/service.ts'
import { embedBatch, embedOne, similarityOf } from './embedding.ts'
import { chunk, index } from './indexed.ts'
import {
  ChunkBody,
  ChunksView,
  EmbedBatchBody,
  EmbedBatchView,
  EmbedBody,
  EmbedView,
  HealthView,
  IndexBody,
  IndexView,
  SearchBody,
  SearchView,
  SimilarityBody,
  SimilarityView,
  SourceParams,
  StatsView,
} from './schema.ts'
import { search } from './search.ts'
import { healthOf, statsOf } from './stats.ts'
import { removeSource } from './store.ts'

const LATER = 'More than 200 chunks, or `Prefer: respond-async`, make it a job (202).'

const isJob = (answer: { object: string } | JobView): answer is JobView => answer.object === 'job'

/** Embedding, cutting, indexing and searching texts. */
export const searchRoutes: readonly Route[] = [
  post(
    '/api/v1/semantic/embed',
    {
      summary: 'Embed a text',
      description:
        'A unit vector. A text that is longer than the model’s window is cut, and its vector is the mean of the parts, ' +
        'weighted by their tokens; `windows` says how many there were.',
      scope: 'semantic:write',
      body: EmbedBody,
      response: EmbedView,
    },
    (ctx, { body }) => embedOne(ctx, body),
  ),

  post(
    '/api/v1/semantic/embed/batch',
    {
      summary: 'Embed texts',
      description: 'Unit vectors in the order of the texts, all of one model.',
      scope: 'semantic:write',
      body: EmbedBatchBody,
      response: EmbedBatchView,
    },
    (ctx, { body }) => embedBatch(ctx, body),
  ),

  post(
    '/api/v1/semantic/similarity',
    {
      summary: 'Compare two texts',
      description: 'Or two chunks by their ids.',
      scope: 'semantic:read',
      body: SimilarityBody,
      response: SimilarityView,
    },
    (ctx, { body }) => similarityOf(ctx, body),
  ),

  post(
    '/api/v1/semantic/chunk',
    {
      summary: 'Cut a text into chunks',
      description:
        'At ends of sentences where it can, at spaces else, and never within a sign. They are kept and can be found ' +
        `from then on, in place of what the source had, unless \`store\` is false. ${LATER}`,
      scope: 'semantic:write',
      body: ChunkBody,
      response: ChunksView,
    },
    async (ctx, { body }, request) => {
      const answer = await chunk(ctx, body, wantsLater(request))
      return isJob(answer) ? answerLater(answer) : answer
    },
  ),

  post(
    '/api/v1/semantic/index',
    {
      summary: 'Index a text',
      description:
        'Whoever searches finds the old text until the new one is ready, and then only the new one. A call that fails ' +
        `leaves the old one. ${LATER}`,
      scope: 'semantic:write',
      body: IndexBody,
      response: IndexView,
    },
    async (ctx, { body }, request) => {
      const answer = await index(ctx, body, wantsLater(request))
      return isJob(answer) ? answerLater(answer) : answer
    },
  ),

  del(
    '/api/v1/semantic/index/:source_id',
    {
      summary: 'Remove a text from the index',
      description: 'With its chunks and their vectors. What is being indexed under that name is refused in the end.',
      scope: 'semantic:write',
      params: SourceParams,
    },
    async (ctx, { params }) => {
      await removeSource(ctx, params.source_id)
      return undefined
    },
  ),

  post(
    '/api/v1/semantic/search',
    {
      summary: 'Search the index',
      description:
        'By meaning (`semantic`), by words (`keyword`: all of them, then any), or by both, whose places are fused ' +
        '(`hybrid`). By words alone it works without a model. Every search is kept for 90 days.',
      scope: 'semantic:read',
      body: SearchBody,
      response: SearchView,
    },
    (ctx, { body }) => search(ctx, body),
  ),

  get(
    '/api/v1/semantic/health',
    {
      summary: 'Show whether texts can be embedded',
      scope: 'semantic:read',
      response: HealthView,
    },
    (ctx) => healthOf(ctx),
  ),

  get(
    '/api/v1/semantic/stats',
    {
      summary: 'Show what is indexed',
      description: 'Sources, chunks, spaces of vectors, searches, and the figures that searches go by.',
      scope: 'semantic:read',
      response: StatsView,
    },
    (ctx) => statsOf(ctx),
  ),
]
