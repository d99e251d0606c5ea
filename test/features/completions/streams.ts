import { expect } from 'vitest'
import { type ClientStream, readClient } from '../../support/client-events.ts'
import { startGateway, type TestGateway } from '../../support/gateway.ts'
import { type BodyEnd, scriptedBody } from '../../support/scripted-body.ts'
import type { RecordedStream } from '../../support/streams.ts'

const openAiLike = ['openai', 'deepseek', 'groq', 'mistral', 'openrouter', 'together', 'xai', 'qwen', 'zai']
const vendors = [...openAiLike, 'anthropic', 'gemini']

/** A gateway that has every vendor of the recorded streams, and a node. */
export const startForStreams = (): Promise<TestGateway> => startGateway({ vendors, nodeModels: ['m:1b'] })

/** The vendor whose habits a stream shows: `13-openrouter-comments.sse`. */
export function modelOf({ name, kind }: RecordedStream): string {
  if (kind === 'ollama') return 'ollama/m:1b'
  if (kind === 'anthropic') return 'anthropic/m'
  if (kind === 'gemini') return 'gemini/m'
  // Gemini's OpenAI-compatible wire is spoken by whoever stands in front of it.
  return `${openAiLike.find((vendor) => name.includes(`-${vendor}-`)) ?? 'together'}/m`
}

export type Delivery = {
  pieces: Iterable<Uint8Array>
  end?: BodyEnd
  includeUsage?: boolean
  path?: '/v1/chat/completions' | '/v1/completions'
}

/** Sends these pieces as the answer to one streamed call, and reads what its client gets. */
export async function deliver(
  gateway: TestGateway,
  stream: RecordedStream,
  { pieces, end = 'eof', includeUsage = true, path = '/v1/chat/completions' }: Delivery,
): Promise<ClientStream> {
  const type = stream.kind === 'ollama' ? 'application/x-ndjson' : 'text/event-stream'
  gateway.upstream(({ signal }) => scriptedBody(pieces, { end, type, signal }).response)
  gateway.heal()
  const choices = Object.keys(stream.finish).length
  const response = await gateway.call(path, {
    model: modelOf(stream),
    ...(path === '/v1/completions' ? { prompt: 'Hi' } : { messages: [{ role: 'user', content: 'Hi' }] }),
    stream: true,
    ...(choices > 1 ? { n: choices } : {}),
    ...(includeUsage ? { stream_options: { include_usage: true } } : {}),
  })
  return readClient(response)
}

/** Rules of the wire that hold for every stream, whatever has become of it. Throws when one is broken. */
export function checkEnd(client: ClientStream, stream: RecordedStream): 'refused' | 'failed' | 'finished' {
  if (client.status !== 200) {
    expect(client.refusal?.message).toMatch(/./)
    return 'refused'
  }
  const reasons = Object.values(client.finish)
  if (reasons.some((each) => each.length > 1)) throw new Error(`two ends of a choice: ${JSON.stringify(client.finish)}`)
  if (client.errors.length > 0) {
    if (client.done || client.errors.length > 1) throw new Error('an error is the last event')
    if (client.chunks.at(-1)?.error === undefined) throw new Error('an error event with something behind it')
    return 'failed'
  }
  if (!client.done) throw new Error('a silent end')
  const finish = Object.fromEntries(Object.entries(client.finish).map(([index, each]) => [index, each[0]]))
  if (JSON.stringify(finish) !== JSON.stringify(stream.finish)) throw new Error(`ended with ${JSON.stringify(finish)}`)
  return 'finished'
}

/** Usage: at most once, last, and never below zero. */
export function checkUsage({ chunks, usages }: ClientStream): void {
  if (usages.length > 1) throw new Error('usage is counted twice')
  const [usage] = usages
  if (usage === undefined) return
  if (chunks.at(-1)?.usage !== usage || chunks.at(-1)?.choices.length !== 0) throw new Error('usage is not last')
  const figures = [usage.prompt_tokens, usage.completion_tokens, usage.total_tokens]
  if (!figures.every((figure) => Number.isInteger(figure) && figure >= 0)) throw new Error(`usage ${figures}`)
}

const partText = (part: unknown): string =>
  typeof part === 'object' && part !== null && 'text' in part && typeof part.text === 'string' ? part.text : ''

function contentText(content: unknown): string {
  if (typeof content === 'string') return content
  return Array.isArray(content) ? content.map(partText).join('') : ''
}

type LooseChunk = { choices?: { delta?: { content?: unknown } | null }[]; message?: { content?: unknown } }

/** The text in every event that is complete in these bytes, read as simply as can be: what a client must be given. */
export function completeText({ kind }: RecordedStream, bytes: Uint8Array): string {
  const text = new TextDecoder().decode(bytes)
  if (kind === 'ollama') {
    const lines: LooseChunk[] = text
      .split('\n')
      .slice(0, -1)
      .filter(Boolean)
      .map((line) => JSON.parse(line))
    return lines.map(({ message }) => contentText(message?.content)).join('')
  }
  const blocks = text.split(/\r\n\r\n|\n\n|\r\r/).slice(0, -1)
  return blocks.map((block) => eventText(block, kind)).join('')
}

type LooseCandidate = { content?: { parts?: { text?: string; thought?: boolean }[] } }

const spokenIn = ({ content }: LooseCandidate): string =>
  (content?.parts ?? []).map(({ text, thought }) => (thought ? '' : (text ?? ''))).join('')

function eventText(block: string, kind: RecordedStream['kind']): string {
  const lines = block.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'))
  const data = lines.map((line) => line.slice('data:'.length).trimStart()).join('\n')
  if (data === '' || data === '[DONE]') return ''
  if (kind === 'gemini') {
    const { candidates = [] }: { candidates?: LooseCandidate[] } = JSON.parse(data)
    return candidates.map(spokenIn).join('')
  }
  if (kind === 'anthropic') {
    const { delta }: { delta?: { type?: string; text?: string } } = JSON.parse(data)
    return delta?.type === 'text_delta' ? (delta.text ?? '') : ''
  }
  const chunk: LooseChunk = JSON.parse(data)
  return (chunk.choices ?? []).map(({ delta }) => contentText(delta?.content)).join('')
}
