import { post } from '../../http/route.ts'
import { askEmbedding, embed } from './embed.ts'
import { EmbeddingRequest } from './schema.ts'

export const routes = [
  post(
    '/v1/embeddings',
    {
      summary: 'Embed texts',
      description:
        'OpenAI embeddings over every configured vendor and node; up to 2048 inputs, as text or token ids (8192 an input, 300 000 in all).',
      scope: 'semantic:write',
      body: EmbeddingRequest,
      raw: ['application/json'],
      ask: askEmbedding,
    },
    (ctx, { body }) => embed(ctx, body),
  ),
]
