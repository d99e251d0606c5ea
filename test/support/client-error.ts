import * as z from 'zod'

const Attempted = z.array(z.object({ target: z.string(), reason: z.string() }))
const OpenAiError = z.looseObject({
  message: z.string(),
  type: z.string(),
  param: z.string().nullable(),
  code: z.string().nullable(),
  attempted: Attempted.optional(),
})
const Problem = z
  .looseObject({ detail: z.string(), type: z.string(), code: z.string() })
  .transform(({ detail, ...rest }) => ({ ...rest, message: detail, param: undefined, attempted: undefined }))

/** What a client is told in either dialect. Throws when the body is an error of neither. */
export async function errorIn(response: Response) {
  const body = await response.json()
  const isOpenAi = response.headers.get('content-type') === 'application/json'
  const error = isOpenAi ? z.strictObject({ error: OpenAiError }).parse(body).error : Problem.parse(body)
  return { ...error, status: response.status }
}
