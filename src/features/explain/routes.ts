import { post, type Route } from '../../http/route.ts'
import { classified } from './classify.ts'
import { explain } from './explain.ts'
import { Classified, ClassifyRequest, ExplainRequest, Explanation } from './schema.ts'

export const routes: readonly Route[] = [
  post(
    '/api/v1/routing/explain',
    {
      summary: 'Tell where a call would go',
      description:
        'Takes the body of `/v1/chat/completions`, or what would be seen of one (`features`), and answers what would be ' +
        'tried in which order and what would be left out, each with the reason and the figures. Nothing is run, held or ' +
        'counted, beside this request itself: limits and budgets of the caller are taken to have room. The call made ' +
        'next goes the same way, as long as nothing changes and the same number is drawn.',
      scope: 'routing:read',
      body: ExplainRequest,
      response: Explanation,
      isKept: false,
    },
    (ctx, { body }) => explain(ctx, body),
  ),

  post(
    '/api/v1/routing/classify',
    {
      summary: 'Tell how complex a request looks',
      description: 'What `smart` goes by: points for what is seen of a request without understanding it.',
      scope: 'routing:read',
      body: ClassifyRequest,
      response: Classified,
      isKept: false,
    },
    (_ctx, { body }) => classified(body),
  ),
]
