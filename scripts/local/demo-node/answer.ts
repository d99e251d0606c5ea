import { describeMedia, type Media } from './media.ts'
import type { ChatMessage, ThinkLevel } from './types.ts'

/** Opens every text of the node, so that no one takes it for a model's. */
export const demoMark = '[demo node]'

const summaryLength = 160

function shorten(text: string, length: number): string {
  const line = text.replace(/\s+/g, ' ').trim()
  const points = Array.from(line)
  return points.length > length ? `${points.slice(0, length).join('')}…` : line
}

function countingAnswer(text: string): string | undefined {
  const match = /\bcount\s+(?:from\s+(\d+)\s+)?(?:up\s+)?to\s+(\d+)/i.exec(text)
  if (!match) return undefined
  const first = Number(match[1] ?? 1)
  const last = Math.min(Number(match[2]), first + 999)
  if (last < first) return undefined
  return Array.from({ length: last - first + 1 }, (_, index) => first + index).join(' ')
}

function exactText(text: string): string | undefined {
  return /(?:say exactly|repeat exactly|echo)\s*:\s*([\s\S]*)$/i.exec(text)?.[1]
}

function toolResults(messages: readonly ChatMessage[]): string | undefined {
  const results: string[] = []
  for (const message of [...messages].reverse()) {
    if (message.role !== 'tool') break
    results.unshift(`${message.toolName ? `Tool ${message.toolName}` : 'The tool'} returned: ${message.content}`)
  }
  return results.length > 0 ? results.join('\n') : undefined
}

/** The node's own answer to a conversation. */
export function composeAnswer(modelName: string, messages: readonly ChatMessage[], media: readonly Media[]): string {
  const fromTools = toolResults(messages)
  if (fromTools !== undefined) return `${demoMark} ${fromTools}`
  const asked = messages.findLast((message) => message.role === 'user')?.content ?? ''
  const special = exactText(asked) ?? countingAnswer(asked)
  if (special !== undefined) return `${demoMark} ${special}`
  const lines = [
    `${demoMark} This is not a model: no weights run here, the text is made to show how ${modelName} streams.`,
  ]
  if (media.length > 0) lines.push(`I was given ${media.map(describeMedia).join(', ')}.`)
  const question = shorten(asked, summaryLength)
  lines.push(question === '' ? 'You sent no text.' : `You wrote: "${question}"`)
  const turns = messages.filter((message) => message.role !== 'system').length
  if (turns > 1) lines.push(`That was message ${turns} of this conversation.`)
  lines.push('Ask me to "count to 10" or "say exactly: hello" to see a longer or an exact answer.')
  return lines.join(' ')
}

const thoughts = [
  'I am the demo node, so I only pretend to think.',
  'First I look for a tool to call or a schema to fill.',
  'Then I check whether the question asks me to count or to echo.',
  'If not, I restate the question so that the stream has something to show.',
]

const thoughtCount: Readonly<Record<ThinkLevel, number>> = { low: 1, medium: 2, high: 3, max: 4 }

/** The more effort, the longer. */
export function composeThinking(level: ThinkLevel): string {
  return `${demoMark} ${thoughts.slice(0, thoughtCount[level]).join(' ')}`
}

export function composeTranscript(media: Media & { byteLength: number }): string {
  return `${demoMark} This is not a transcription: no speech model runs here. I received ${describeMedia(media)}.`
}
