import type { Ctx } from '../../core/context.ts'
import { del, get, post, type Route } from '../../http/route.ts'
import { answerLater } from '../job-queue/service.ts'
import { deleteModel, loadModel, unloadModel } from './changes.ts'
import { choose } from './choose.ts'
import { listPerformance, statsView } from './performance.ts'
import { startPull } from './pull.ts'
import { recommend } from './recommend.ts'
import {
  AvailableModels,
  AvailableQuery,
  CapabilitiesView,
  Changes,
  LoadBody,
  ModelNames,
  ModelParams,
  ModelStateView,
  ModelStats,
  NodeQuery,
  OllamaHealth,
  OllamaModels,
  PerformanceList,
  PerformanceQuery,
  PullBody,
  PullParams,
  Recommendations,
  RecommendationsQuery,
  SelectBody,
  SelectView,
  StatsQuery,
  UnloadBody,
} from './schema.ts'
import { capabilityFor } from './tasks.ts'
import { availableView, listAvailable, listCapabilities, listOllama, ollamaHealth, refresh } from './views.ts'

const listOf = <T>(data: T[]) => ({ object: 'list' as const, data })

const ollama: readonly Route[] = [
  get(
    '/api/v1/ollama/models',
    {
      summary: 'List the models of every node’s Ollama',
      description: 'Each once, with the nodes that have it; of one node with `node_id`.',
      scope: 'models:read',
      query: NodeQuery,
      response: OllamaModels,
    },
    async (ctx, { query }) => listOf(await listOllama(ctx, query.node_id)),
  ),

  get(
    '/api/v1/ollama/models/names',
    { summary: 'List the names of these models', scope: 'models:read', response: ModelNames },
    async (ctx) => listOf((await listOllama(ctx)).map(({ name }) => name)),
  ),

  get(
    '/api/v1/ollama/health',
    {
      summary: 'Show how the nodes’ Ollamas are',
      description: 'As they were seen within the last minute, each with the time it took to answer.',
      scope: 'models:read',
      response: OllamaHealth,
    },
    ollamaHealth,
  ),

  post(
    '/api/v1/ollama/models/pull/:name{.+}',
    {
      summary: 'Pull a model to a node',
      description:
        'A job (202) that tells how many bytes are there, and ends with the digest that the node lists. One at a time ' +
        'for a node (409), at most 80 GB, and of names that the node’s `allowed_pulls` has (403). 403 for the node that ' +
        'everybody shares.',
      scope: 'node:write',
      params: PullParams,
      body: PullBody,
      raw: ['application/json'],
    },
    async (ctx, { params, body }) => answerLater(await startPull(ctx, { ...body, ...params })),
  ),

  post(
    '/api/v1/ollama/models/load',
    {
      summary: 'Load a model',
      description: 'Into the memory of a node’s cards, so that the next call does not wait for it.',
      scope: 'node:write',
      body: LoadBody,
      response: ModelStateView,
      isKept: false,
    },
    (ctx, { body }) => loadModel(ctx, body),
  ),

  post(
    '/api/v1/ollama/models/unload',
    {
      summary: 'Unload a model',
      description: 'Calls that run end as they would have. 422 where several nodes have it and none is named.',
      scope: 'node:write',
      body: UnloadBody,
      response: ModelStateView,
      isKept: false,
    },
    (ctx, { body }) => unloadModel(ctx, body),
  ),

  del(
    '/api/v1/ollama/models/:name{.+}',
    {
      summary: 'Delete a model from a node',
      description: 'Its files, too. 422 where several nodes have it and none is named.',
      scope: 'node:write',
      params: ModelParams,
      query: NodeQuery,
      response: ModelStateView,
    },
    (ctx, { params, query }) => deleteModel(ctx, { ...params, ...query }),
  ),
]

const models: readonly Route[] = [
  get(
    '/api/v1/models/available',
    {
      summary: 'List the models of the nodes',
      description: 'On whatever server of a node, with what they can do and how calls of them went in seven days.',
      scope: 'models:read',
      query: AvailableQuery,
      response: AvailableModels,
    },
    async (ctx, { query }) => listOf(await listAvailable(ctx, query)),
  ),

  post(
    '/api/v1/models/select',
    {
      summary: 'Choose a model for a task',
      description:
        'By points: for what it is made for (40), how calls of it went (30), its size (15), whether it is loaded or was ' +
        'used lately (10), whether it fits (5), and for speed or quality up to 20 more. Where no model that is known to ' +
        'be able is there, one whose name says so. 503 `no_capable_model` where there is none.',
      scope: 'models:read',
      body: SelectBody,
      response: SelectView,
      isKept: false,
    },
    (ctx, { body }) => selectView(ctx, body),
  ),

  get(
    '/api/v1/models/performance',
    {
      summary: 'Compare the models of the nodes',
      description: 'By the calls of the last seven days as the books have them, the best first.',
      scope: 'models:read',
      query: PerformanceQuery,
      response: PerformanceList,
    },
    async (ctx, { query }) => listOf(await listPerformance(ctx, query)),
  ),

  post(
    '/api/v1/models/refresh',
    {
      summary: 'List the models of every node anew',
      description: 'And tell what is other than at the last time: `node/model`.',
      scope: 'node:write',
      response: Changes,
      isKept: false,
    },
    refresh,
  ),

  get(
    '/api/v1/models/capabilities',
    { summary: 'List models by what they can do', scope: 'models:read', response: CapabilitiesView },
    async (ctx) => ({ object: 'capabilities' as const, capabilities: await listCapabilities(ctx) }),
  ),

  get(
    '/api/v1/models/recommendations',
    {
      summary: 'Recommend models for a task',
      description: 'Those that are there, the best first and why; and models that would do what none of them can.',
      scope: 'models:read',
      query: RecommendationsQuery,
      response: Recommendations,
    },
    (ctx, { query }) => recommend(ctx, query.task_type),
  ),

  get(
    '/api/v1/models/:name{.+}/stats',
    {
      summary: 'Show how calls of a model went',
      description: 'Of a node’s model by its name, over all nodes, or `node/model`.',
      scope: 'models:read',
      params: ModelParams,
      query: StatsQuery,
      response: ModelStats,
    },
    (ctx, { params, query }) => statsView(ctx, { name: params.name, windowHours: query.window_hours }),
  ),
]

async function selectView(ctx: Ctx, { task_type, requirements, ...body }: SelectBody) {
  const { selection, offerOf } = await choose(ctx, {
    taskType: task_type,
    capability: capabilityFor(task_type),
    priority: body.priority,
    content: body.content_type,
    maxTokens: body.max_tokens,
    contextLength: body.context_length,
    capabilities: requirements.capabilities,
    maxSizeMb: requirements.max_size_mb,
    isMeasured: true,
  })
  const { chosen, fallbacks, prediction, reasons } = selection
  return {
    selected_model: chosen.id,
    model_info: availableView([offerOf(chosen.id)], chosen.runs),
    selection_reason: `${reasons.join('; ')}.`,
    score: chosen.score,
    confidence_score: selection.confidence,
    fallback_models: fallbacks.map(({ id }) => id),
    performance_prediction: { ms: prediction.ms ?? null, tokens_per_second: prediction.tokensPerSecond ?? null },
  }
}

export const routes: readonly Route[] = [...ollama, ...models]
