import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Command, parseBatch, parseCommand, parseJson, refusal } from './commands.ts'
import { type Engine, type Outcome, runMany, runOne } from './engine.ts'
import { describeFailure, failure, withTimeLimit } from './failure.ts'
import { encodeReply, type JsonReply } from './reply.ts'
import { createTokenCheck, parseTarget, pathCommand, readBody, type Target } from './request.ts'
import type { Subscriptions } from './subscriptions.ts'

type Answer = { result: JsonReply } | { error: string }

export type RouteOptions = {
  engine: Engine
  subscriptions: Subscriptions
  token: string
  maxBodyBytes: number
  commandTimeoutMs: number
  /** Called with commands that ran, whether or not they failed. */
  onCommands(commands: readonly Command[]): void
  /** Called for every request but health checks. */
  onRequest(): void
  log(message: string): void
  /** Whether connections should end with their next answer. */
  isClosing(): boolean
}

/** The REST API of Upstash Redis as a request listener. It answers every error as `{"error": …}` in JSON. */
export function createRoutes(options: RouteOptions): (request: IncomingMessage, response: ServerResponse) => void {
  const isAllowed = createTokenCheck(options.token)
  let answers = 0

  function send(response: ServerResponse, status: number, body: Answer | Answer[] | Record<string, string>): void {
    if (response.headersSent) return void response.destroy()
    answers += 1
    if (options.isClosing()) response.setHeader('connection', 'close')
    const text = Buffer.from(JSON.stringify(body))
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': text.length,
      'upstash-sync-token': `local:${answers}`,
    })
    response.end(text)
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = parseTarget(request.url ?? '/')
    const route = target.segments.length === 1 ? String(target.segments[0]) : ''
    if (route === 'health') return send(response, 200, await health(options.engine))
    options.onRequest()
    if (!isAllowed(request, target.query)) throw failure(401, 'WRONGPASS invalid or missing auth token')
    if (!['GET', 'HEAD', 'POST', 'PUT'].includes(request.method ?? '')) {
      throw failure(405, `ERR method ${request.method} is not supported`)
    }
    const first = String(target.segments[0] ?? '')
    if (first === 'subscribe' || first === 'psubscribe') {
      const channels = target.segments.slice(1).map(String)
      const limitMs = options.commandTimeoutMs
      return options.subscriptions.open(response, { patterns: first === 'psubscribe', channels, limitMs })
    }
    const body = await readBody(request, options.maxBodyBytes)
    const base64 = request.headers['upstash-encoding'] === 'base64'
    send(response, 200, await answer(options, { route, target, body, base64 }))
  }

  function sendFailure(request: IncomingMessage, response: ServerResponse, thrown: unknown): void {
    // A client that left while it was sending needs no answer.
    if (request.destroyed && !request.complete) return
    const known = describeFailure(thrown)
    if (!known) options.log(`redis: internal error: ${thrown instanceof Error ? thrown.stack : String(thrown)}`)
    if (!request.complete) response.setHeader('connection', 'close')
    send(response, known?.status ?? 500, { error: known?.message ?? 'ERR internal error' })
  }

  return (request, response) => {
    serve(request, response).catch((thrown: unknown) => sendFailure(request, response, thrown))
  }
}

type Call = { route: string; target: Target; body: Buffer; base64: boolean }

async function answer(options: RouteOptions, { route, target, body, base64 }: Call): Promise<Answer | Answer[]> {
  if (route === 'pipeline') return pipeline(options, parseBatch(parseJson(body)), base64)
  if (route === 'multi-exec') return transaction(options, parseBatch(parseJson(body)), base64)
  const isPathStyle = target.segments.length > 0
  const command = isPathStyle ? pathCommand(target, body) : parseCommand(parseJson(body))
  refuseUnavailable(command)
  const work = runOne(options.engine, options.engine.prepare(command), options.commandTimeoutMs)
  const reply = await work.finally(() => options.onCommands([command]))
  return { result: encodeReply(reply, base64) }
}

/** A command that is not available fails alone, like any other failing command of a pipeline. */
async function pipeline(options: RouteOptions, commands: Command[], base64: boolean): Promise<Answer[]> {
  const available = commands.filter((command) => refusal(command) === undefined)
  const outcomes = await runBatch(options, available, false)
  let next = 0
  return commands.map((command) => {
    const error = refusal(command)
    if (error !== undefined) return { error }
    const outcome = outcomes[next++]
    return outcome ? encodeOutcome(outcome, base64) : { error: 'ERR no reply' }
  })
}

async function transaction(options: RouteOptions, commands: Command[], base64: boolean): Promise<Answer[]> {
  commands.forEach(refuseUnavailable)
  const outcomes = await runBatch(options, commands, true)
  return outcomes.map((outcome) => encodeOutcome(outcome, base64))
}

function runBatch(options: RouteOptions, commands: Command[], atomic: boolean): Promise<Outcome[]> {
  const { engine, commandTimeoutMs } = options
  const work = runMany(engine, commands.map(engine.prepare), { atomic, limitMs: commandTimeoutMs })
  return work.finally(() => options.onCommands(commands))
}

function refuseUnavailable(command: Command): void {
  const reason = refusal(command)
  if (reason !== undefined) throw failure(400, reason)
}

function encodeOutcome(outcome: Outcome, base64: boolean): Answer {
  return 'error' in outcome ? outcome : { result: encodeReply(outcome.result, base64) }
}

/** @throws RequestFailure 503 when the engine does not answer */
async function health(engine: Engine): Promise<Record<string, string>> {
  try {
    await withTimeLimit(engine.client.ping(), 1_000)
    return { status: 'ok', engine: engine.kind }
  } catch (error) {
    throw failure(503, `ERR Redis does not answer: ${error instanceof Error ? error.message : String(error)}`)
  }
}
