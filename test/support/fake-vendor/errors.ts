/** OpenAI's error body. */
export type VendorErrorBody = {
  error: { message: string; type: string; param: string | null; code: string | null }
}

export const errorBody = (
  message: string,
  type = 'invalid_request_error',
  { param = null, code = null }: { param?: string | null; code?: string | null } = {},
): VendorErrorBody => ({ error: { message, type, param, code } })

export const wrongKey = (given: string) =>
  errorBody(
    given === ''
      ? "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth."
      : `Incorrect API key provided: ${given.slice(0, 3)}***${given.slice(-4)}. You can find your API key at https://platform.openai.com/account/api-keys.`,
    'invalid_request_error',
    { code: given === '' ? null : 'invalid_api_key' },
  )

export const unknownModel = (model: string) =>
  errorBody(`The model \`${model}\` does not exist or you do not have access to it.`, 'invalid_request_error', {
    code: 'model_not_found',
  })

const bodiesByStatus: Record<number, VendorErrorBody> = {
  400: errorBody(
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly.)",
  ),
  401: wrongKey('sk-fake-0000'),
  403: errorBody('You are not allowed to sample from this model', 'invalid_request_error', {
    code: 'model_not_allowed',
  }),
  404: unknownModel('gpt-unknown'),
  408: errorBody('Request timed out.', 'timeout'),
  409: errorBody('The request conflicts with another request.', 'conflict'),
  413: errorBody('Request body is too large.', 'invalid_request_error', { code: 'request_too_large' }),
  422: errorBody('The request was well-formed but could not be processed.'),
  429: errorBody(
    'Rate limit reached for gpt-4o-mini in organization org-fake on requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again in 120ms.',
    'requests',
    { code: 'rate_limit_exceeded' },
  ),
  500: errorBody('The server had an error while processing your request. Sorry about that!', 'server_error'),
  503: errorBody('The engine is currently overloaded, please try again later.', 'server_error', { code: 'overloaded' }),
}

/** The gateway pages in front of a vendor answer these in HTML, not in its own shape. */
const proxyPages: Record<number, string> = { 502: 'Bad Gateway', 504: 'Gateway Time-out', 520: 'Web server error' }

/** What a vendor sends with an error status: its bytes and their type. */
export function failureOf(status: number): { contentType: string; text: string } {
  const page = proxyPages[status]
  if (page) return { contentType: 'text/html', text: htmlPage(`${status} ${page}`) }
  const body =
    bodiesByStatus[status] ??
    errorBody(`The request failed with status ${status}.`, status < 500 ? 'invalid_request_error' : 'server_error')
  return { contentType: 'application/json', text: JSON.stringify(body) }
}

export const htmlPage = (title: string) =>
  `<!DOCTYPE html>\n<html>\n<head><title>${title}</title></head>\n<body><h1>${title}</h1><hr>cloudflare</body>\n</html>\n`
