import { post } from '../../http/route.ts'
import { wholeResponse } from '../../http/whole.ts'
import { askCompletion, complete } from '../completions/service.ts'
import { countTokens } from './count.ts'
import { messagesRendering } from './rendering.ts'
import { askedOfMessages } from './request.ts'
import { CountRequest, MessagesRequest, TokenCount } from './schema.ts'

export const routes = [
  post(
    '/v1/messages',
    {
      summary: 'Create a message',
      description:
        'Anthropic’s Messages over every configured vendor and node: a client of Anthropic points its base URL here. A target that speaks this wire gets the request as it was sent; for any other it is translated, and `x-helix-ignored-params` names what could not be (`helix.strict` refuses it instead). The `helix` object carries what is ours, as for chat completions.',
      scope: 'chat:write',
      body: MessagesRequest,
      raw: ['application/json', 'text/event-stream'],
      ask: (deps, policy, body) => askCompletion(deps, policy, askedOfMessages(body)),
    },
    (ctx, { body }, { headers }) => complete(ctx, askedOfMessages(body, headers), messagesRendering(ctx.newId('msg'))),
  ),

  post(
    '/v1/messages/count_tokens',
    {
      summary: 'Count the tokens of a message',
      description:
        'The input tokens of a request, counted by the target that would answer it. Where that offers no counting the number is an estimate, and the response has `x-helix-estimated: true`. Nothing is generated, and nothing is booked.',
      scope: 'chat:write',
      isKept: false,
      body: CountRequest,
      response: TokenCount,
    },
    async (ctx, { body }, { headers }) => {
      const { tokens, estimated } = await countTokens(ctx, askedOfMessages(body, headers))
      return wholeResponse(JSON.stringify({ input_tokens: tokens }), {
        headers: { 'content-type': 'application/json', ...(estimated && { 'x-helix-estimated': 'true' }) },
      })
    },
  ),
]
