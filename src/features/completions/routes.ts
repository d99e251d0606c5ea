import { post } from '../../http/route.ts'
import { askChat } from './ask.ts'
import { complete } from './complete.ts'
import { ChatRequest } from './schema.ts'

const answers = ['application/json', 'text/event-stream'] as const

export const routes = [
  post(
    '/v1/chat/completions',
    {
      summary: 'Complete a chat',
      description:
        'OpenAI chat completions over every configured vendor and node. `model` is honoured as asked; `vendor/model` names one target, `auto` takes the first that is healthy. The `helix` object carries what is ours: `provider`, `fallback_models`, `timeout_ms`, `strict`, `on_disconnect`.',
      scope: 'chat:write',
      body: ChatRequest,
      raw: answers,
      ask: askChat,
    },
    (ctx, { body }) => complete(ctx, body),
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
    (ctx, { body }) => complete(ctx, { ...body, stream: true }),
  ),
]
