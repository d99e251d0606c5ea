import { readFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { type Answer, chatAnswer, outputLimit, textAnswer } from './answer.ts'
import { type Batch, batchesOf, createSink, pause, streamBatches, streamByScript, wholeByScript } from './deliver.ts'
import { embeddingBody, embeddingText, embeddingTokens } from './embeddings.ts'
import { failureOf, htmlPage } from './errors.ts'
import type { ChatRequest, CompletionRequest, EmbeddingRequest } from './request.ts'
import { plainScript, type Script } from './script.ts'
import type { OpenRow } from './truth.ts'
import { eventsOf, type Frame, wholeBody } from './wire.ts'
import { countTokens, seedOf } from './words.ts'

export type Asked =
  | { endpoint: 'chat'; body: ChatRequest }
  | { endpoint: 'completions'; body: CompletionRequest }
  | { endpoint: 'embeddings'; body: EmbeddingRequest }
type Generation = Exclude<Asked, { endpoint: 'embeddings' }>
type Exchange<Request> = { asked: Request; script: Script; row: OpenRow; response: ServerResponse }

const fixtures = join(import.meta.dirname, '../fixtures/streams')
const swappedModel = 'gpt-3.5-turbo-0125'

const textOf = (content: ChatRequest['messages'][number]['content']): string =>
  typeof content === 'string'
    ? content
    : (content ?? []).map((part) => (typeof part.text === 'string' ? part.text : '')).join('\n')

/** Where a request's own directives are looked for: its last user message, its prompt or its input. */
export function speechOf({ endpoint, body }: Asked): string {
  if (endpoint === 'embeddings') return embeddingText(body)
  if (endpoint === 'chat') return textOf(body.messages.findLast(({ role }) => role === 'user')?.content)
  return typeof body.prompt === 'string' ? body.prompt : body.prompt.filter((one) => typeof one === 'string').join('\n')
}

function promptTokens({ endpoint, body }: Generation): number {
  if (endpoint === 'completions') {
    if (typeof body.prompt === 'string') return countTokens(body.prompt)
    return body.prompt.flat().reduce<number>((sum, one) => sum + (typeof one === 'string' ? countTokens(one) : 1), 0)
  }
  let tokens = body.tools ? 3 + countTokens(JSON.stringify(body.tools)) : 3
  for (const { content, tool_calls: calls } of body.messages) {
    tokens += 4 + countTokens(textOf(content)) + (calls ? countTokens(JSON.stringify(calls)) : 0)
  }
  return tokens
}

/** The two numbers of `usage=p/c`. */
function claimOf({ usage }: Script): { prompt: number; completion: number } | undefined {
  const [prompt, completion] = (usage ?? '').split('/').map(Number)
  return prompt === undefined || completion === undefined ? undefined : { prompt, completion }
}

function answerTo({ endpoint, body }: Generation, script: Script, seed: number): Answer {
  if (endpoint === 'chat') return chatAnswer(body, script, seed)
  return textAnswer(seed, script.pieces ?? 16, { choices: body.n ?? 1, limit: outputLimit(body) })
}

/** An answer and its bytes, each made when first needed. */
type Prepared = { answer: Answer; frame: Frame; whole?: Buffer; batches?: Batch[] }
const prepared = new Map<string, Prepared>()
const preparedLimit = 4096
/** So many different texts there are: enough to tell answers apart, few enough that varied prompts share their bytes. */
const variants = 1009

function prepare(asked: Generation, script: Script, prompt: number): Prepared {
  const { endpoint, body } = asked
  const seed = seedOf(speechOf(asked)) % variants
  const withUsageField = body.stream_options?.include_usage === true
  const make = (): Prepared => {
    const answer = answerTo(asked, script, seed)
    const usage = script.nousage ? undefined : (claimOf(script) ?? { prompt, completion: answer.pieces.length })
    const id = `${endpoint === 'chat' ? 'chatcmpl' : 'cmpl'}-${seed.toString(36).padStart(29, 'f')}`
    const model = script.wrongmodel ? swappedModel : body.model
    return { answer, frame: { endpoint, id, model, usage, withUsageField: withUsageField && !script.nousage } }
  }
  const isShared = script === plainScript && (endpoint === 'completions' || body.tool_choice == null)
  if (!isShared) return make()
  const key = [endpoint, body.model, seed, prompt, body.n ?? 1, outputLimit(body), withUsageField].join('|')
  const known = prepared.get(key)
  if (known) return known
  if (prepared.size >= preparedLimit) prepared.clear()
  const made = make()
  prepared.set(key, made)
  return made
}

const jsonHeaders = (length: number) => ['content-type', 'application/json', 'content-length', String(length)]
const streamHeaders = ['content-type', 'text/event-stream; charset=utf-8', 'cache-control', 'no-cache']

function startResponse({ response, row }: Exchange<unknown>, status: number, headers: string[]): void {
  row.status = status
  response.writeHead(status, [...headers, 'x-request-id', 'req_fake', 'openai-version', '2020-10-01'])
}

/** The way of benchmarks: bytes that were made before. */
async function sendPlain(exchange: Exchange<unknown>, ready: Prepared): Promise<void> {
  const { row, response } = exchange
  if (row.stream) {
    const batches = ready.batches ?? batchesOf(eventsOf(ready.answer, ready.frame))
    ready.batches = batches
    startResponse(exchange, 200, streamHeaders)
    return streamBatches(response, batches, row)
  }
  const whole = ready.whole ?? Buffer.from(wholeBody(ready.answer, ready.frame))
  ready.whole = whole
  startResponse(exchange, 200, jsonHeaders(whole.length))
  row.pieces = ready.answer.pieces.length
  row.completion = row.pieces
  row.finished = true
  response.end(whole)
}

/** Answers a request for text: bills its prompt, then writes as the script says. */
async function generate(exchange: Exchange<Generation>): Promise<void> {
  const { asked, script, row, response } = exchange
  const counted = promptTokens(asked)
  const ready = prepare(asked, script, counted)
  row.answer = ready.answer
  row.prompt = claimOf(script)?.prompt ?? counted
  row.usageReported = ready.frame.usage !== undefined && (!row.stream || ready.frame.withUsageField)
  if (script === plainScript) return sendPlain(exchange, ready)
  const billed = claimOf(script)?.completion
  if (row.stream) {
    const sink = createSink(response, script, row)
    startResponse(exchange, 200, streamHeaders)
    return streamByScript(response, eventsOf(ready.answer, ready.frame), { script, row, sink, billed })
  }
  return sendScriptedWhole(exchange, wholeBody(ready.answer, ready.frame), billed)
}

/** A body that is to end early but cleanly cannot announce its length. */
function sendScriptedWhole(exchange: Exchange<unknown>, text: string, billed: number | undefined): Promise<void> {
  const { script, row, response } = exchange
  const { crlf: _crlf, comments: _comments, ...ofBytes } = script
  const sink = createSink(response, ofBytes, row)
  const keepsLength = script.errorevent === undefined && script.eof === undefined && script.malformed === undefined
  startResponse(
    exchange,
    200,
    keepsLength ? jsonHeaders(Buffer.byteLength(text)) : ['content-type', 'application/json'],
  )
  return wholeByScript(response, text, { script, row, sink, billed })
}

async function embed(exchange: Exchange<Extract<Asked, { endpoint: 'embeddings' }>>): Promise<void> {
  const { asked, script, row } = exchange
  const counted = claimOf(script)?.prompt ?? embeddingTokens(asked.body)
  const model = script.wrongmodel ? swappedModel : asked.body.model
  const text = embeddingBody(asked.body, model, script.nousage ? undefined : counted)
  row.prompt = counted
  row.usageReported = !script.nousage
  await sendScriptedWhole(exchange, text, 0)
}

/** Sends a recorded stream byte for byte and bills the last `usage` that is in it. */
async function replay(exchange: Exchange<Asked>, name: string): Promise<void> {
  const { script, row, response } = exchange
  const bytes = await readFile(join(fixtures, name))
  const usages = [...bytes.toString().matchAll(/"prompt_tokens":\s*(\d+)[^}]*?"completion_tokens":\s*(\d+)/g)]
  const [, prompt, completion] = usages.at(-1) ?? []
  row.prompt = Number(prompt ?? 0)
  row.completion = Number(completion ?? 0)
  row.usageReported = prompt !== undefined
  const sink = createSink(response, script, row)
  startResponse(exchange, 200, streamHeaders)
  if (!(await sink.write(bytes))) return
  row.finished = true
  response.end()
}

function fail(exchange: Exchange<Asked>, status: number): void {
  const { contentType, text } = failureOf(status)
  const retryAfter = exchange.script['retry-after']
  const wait = retryAfter === undefined ? [] : ['retry-after', String(retryAfter)]
  startResponse(exchange, status, ['content-type', contentType, ...wait])
  exchange.response.end(text)
}

const longestTimerMs = 2 ** 31 - 1

/** False when the client left before the script let the answer begin. */
async function waitAsTold({ script, row, response }: Exchange<Asked>): Promise<boolean> {
  const waitMs = script.hang ? longestTimerMs : script.delay
  if (waitMs === undefined) return true
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const isThere = await pause(waitMs, gone.signal)
  row.clientLeft = !isThere
  return isThere
}

/** Answers one checked request as its script says. */
export async function answer(exchange: Exchange<Asked>): Promise<void> {
  const { asked, script, response } = exchange
  if (!(await waitAsTold(exchange))) return
  if (script.reset) response.socket?.resetAndDestroy()
  else if (script.status !== undefined) fail(exchange, script.status)
  else if (script.html200 || script.empty200) {
    startResponse(exchange, 200, ['content-type', script.html200 ? 'text/html' : 'application/json'])
    response.end(script.html200 ? htmlPage('Just a moment...') : '')
  } else if (script.replay !== undefined) await replay(exchange, script.replay)
  else if (asked.endpoint === 'embeddings') await embed({ ...exchange, asked })
  else await generate({ ...exchange, asked })
}
