import { AppError, notFound } from '../../core/errors.ts'
import { toPage } from '../../http/page.ts'
import { del, get, post } from '../../http/route.ts'
import { complete } from '../completions/service.ts'
import { askResponse, preparedFor } from './ask.ts'
import { responsesRendering } from './rendering.ts'
import {
  CreateResponse,
  DeletedResponse,
  ItemPage,
  ItemsQuery,
  ResponseParams,
  RetrieveQuery,
  StoredResponse,
} from './schema.ts'
import { itemsAfter, readResponse, removeResponse, shownResponse } from './store.ts'

export const routes = [
  post(
    '/v1/responses',
    {
      summary: 'Create a response',
      description:
        'OpenAI’s Responses over every configured vendor and node, with function and custom tools. A response is stored, encrypted, for 30 days unless `store` is false; `previous_response_id` goes on with a stored one. With `include: ["reasoning.encrypted_content"]` thoughts travel sealed with the items, for callers who keep the conversation themselves. Hosted tools, `background`, `conversation` and `prompt` are refused. The `helix` object carries what is ours, as for chat completions.',
      scope: 'chat:write',
      body: CreateResponse,
      raw: ['application/json', 'text/event-stream'],
      ask: askResponse,
    },
    async (ctx, { body }) => {
      const { asked, conversation } = await preparedFor(ctx, ctx.caller.orgId, body)
      return complete(ctx, asked, responsesRendering(ctx, body, conversation))
    },
  ),

  get(
    '/v1/responses/:id',
    {
      summary: 'Show a stored response',
      scope: 'chat:read',
      params: ResponseParams,
      query: RetrieveQuery,
      response: StoredResponse,
    },
    async (ctx, { params, query }) => {
      if (query.stream === 'true') {
        throw new AppError('invalid_request', 'A stored response is not streamed again.', { param: 'stream' })
      }
      return shownResponse((await readResponse(ctx, params.id)).response)
    },
  ),

  del(
    '/v1/responses/:id',
    {
      summary: 'Delete a stored response',
      description: 'At once and for good. Responses that went on with it cannot be gone on with any more.',
      scope: 'chat:write',
      params: ResponseParams,
      response: DeletedResponse,
    },
    async (ctx, { params: { id } }) => {
      if (!(await removeResponse(ctx, ctx.caller.orgId, id))) throw notFound('response')
      return { id, object: 'response' as const, deleted: true as const }
    },
  ),

  get(
    '/v1/responses/:id/input_items',
    {
      summary: 'List what a response was asked with',
      description: 'The items that were sent with it; those before it belong to the responses before it.',
      scope: 'chat:read',
      params: ResponseParams,
      query: ItemsQuery,
      response: ItemPage,
    },
    async (ctx, { params, query }) => toPage(itemsAfter(await readResponse(ctx, params.id), query), query.limit),
  ),
]
