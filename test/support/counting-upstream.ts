import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'

/** A vendor and a node in one, which take the same time for every answer and know how many they give at once. */
export type CountingUpstream = {
  /** Of the vendor; ends in `/v1`. */
  vendorUrl: string
  /** Of the node. */
  nodeUrl: string
  running(): number
  /** The most that ran at once since the last `reset`. */
  most(): number
  reset(): void
  close(): Promise<void>
}

const usage = { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 }
const choices = [{ index: 0, message: { role: 'assistant', content: 'Here you are.' }, finish_reason: 'stop' }]
const models = [{ name: 'llama3:latest', capabilities: ['completion', 'embedding'], details: { context_length: 8192 } }]

export async function startCountingUpstream({ answerMs }: { answerMs: number }): Promise<CountingUpstream> {
  let running = 0
  let most = 0

  const take = (response: ServerResponse, answer: () => void): void => {
    running += 1
    most = Math.max(most, running)
    const timer = setTimeout(answer, answerMs)
    // Also when it was answered: `close` comes once for every response.
    response.once('close', () => {
      clearTimeout(timer)
      running -= 1
    })
  }

  const server = createServer(async (request, response) => {
    const body = await bodyOf(request)
    const send = (value: unknown) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
    switch (request.url) {
      case '/v1/chat/completions':
        return take(response, () =>
          send({ id: 'c1', object: 'chat.completion', created: 1, model: 'm', choices, usage }),
        )
      case '/api/tags':
        return send({ models })
      case '/api/embed':
        return take(response, () => send({ embeddings: [[1, 0]], prompt_eval_count: 5 }))
      case '/api/chat': {
        const said = { model: 'llama3:latest', message: { role: 'assistant', content: 'Here you are.' } }
        const last = { done: true, done_reason: 'stop', prompt_eval_count: 5, eval_count: 5 }
        // A stream says something at once, and ends when its time is over.
        if (body.stream) response.write(`${JSON.stringify({ ...said, done: false })}\n`)
        return take(response, () => response.end(`${JSON.stringify({ ...said, ...last })}\n`))
      }
      default:
        return response.writeHead(404).end()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (!address || typeof address === 'string') throw new Error('The upstream has no port')
  const nodeUrl = `http://127.0.0.1:${address.port}`
  return {
    nodeUrl,
    vendorUrl: `${nodeUrl}/v1`,
    running: () => running,
    most: () => most,
    reset: () => {
      most = running
    },
    close: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

async function bodyOf(request: IncomingMessage): Promise<{ stream?: boolean }> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const text = Buffer.concat(chunks).toString()
  return text === '' ? {} : JSON.parse(text)
}
