import { post } from '../../http/route.ts'
import { EnsembleConfigView, SomeEnsemble, saveConfig } from '../ensembles/service.ts'
import { askChat, askCompletion } from './ask.ts'
import { complete } from './complete.ts'
import { readEnsemble, readRequest } from './request.ts'
import { ChatRequest, EnsembleRequest } from './schema.ts'
import { askedOfText, completeText } from './text.ts'
import { TextRequest } from './text-schema.ts'

const answers = ['application/json', 'text/event-stream'] as const

export const routes = [
  post(
    '/v1/chat/completions',
    {
      summary: 'Complete a chat',
      description:
        'OpenAI chat completions over every configured vendor and node. `model` is honoured as asked; `vendor/model` names one target, `auto` leaves the choice to the routing policy, or else takes the first that is healthy; `auto:cost`, `auto:latency`, `auto:quality` and `auto:balanced` say by what to choose. The `helix` object carries what is ours: `provider`, `fallback_models`, `routing`, `task_type`, `cache`, `strict`, `on_disconnect`, `timeout_ms`. Every vendor is asked at its listed price: a `service_tier` other than `auto` and `default` is dropped and reported.',
      scope: 'chat:write',
      body: ChatRequest,
      raw: answers,
      ask: askChat,
    },
    (ctx, { body }) => complete(ctx, readRequest(body)),
  ),

  post(
    '/v1/chat/completions/stream',
    {
      summary: 'Complete a chat as a stream',
      description: 'The same as `/v1/chat/completions` with `stream: true`.',
      scope: 'chat:write',
      body: ChatRequest,
      raw: answers,
      ask: (deps, policy, body) => askChat(deps, policy, { ...body, stream: true }),
    },
    (ctx, { body }) => complete(ctx, readRequest({ ...body, stream: true })),
  ),

  post(
    '/v1/ensemble/completions',
    {
      summary: 'Complete a chat by several models',
      description:
        'The same as `/v1/chat/completions`, answered by two to four models, one of whose answers is chosen or merged of all: `ensemble_config` says how, and as far as it does not, what the organisation has set. `model` may be left out. The answer tells in `ensemble` how it came about; its usage and its cost are of all calls together. With tools one model answers.',
      scope: 'chat:write',
      body: EnsembleRequest,
      raw: answers,
      ask: (deps, policy, body) => askCompletion(deps, policy, readEnsemble(body)),
    },
    (ctx, { body }) => complete(ctx, readEnsemble(body)),
  ),

  post(
    '/v1/ensemble/configure',
    {
      summary: 'Say how several models answer together',
      description: 'The same as `PUT /api/v1/ensemble/config`, which alone takes an empty object.',
      scope: 'routing:write',
      body: SomeEnsemble,
      response: EnsembleConfigView,
    },
    (ctx, { body }) => saveConfig(ctx, body),
  ),

  post(
    '/v1/completions',
    {
      summary: 'Complete a text',
      description:
        'OpenAI’s legacy completions with one prompt, served by chat models as a conversation of one message. `suffix`, `best_of` and `logprobs` are ignored and reported, or refused with `helix.strict`.',
      scope: 'chat:write',
      body: TextRequest,
      raw: answers,
      ask: (deps, policy, body) => askCompletion(deps, policy, askedOfText(body)),
    },
    (ctx, { body }) => completeText(ctx, body),
  ),

  post(
    '/v1/completions/stream',
    {
      summary: 'Complete a text as a stream',
      description: 'The same as `/v1/completions` with `stream: true`.',
      scope: 'chat:write',
      body: TextRequest,
      raw: answers,
      ask: (deps, policy, body) => askCompletion(deps, policy, askedOfText({ ...body, stream: true })),
    },
    (ctx, { body }) => completeText(ctx, { ...body, stream: true }),
  ),
]
