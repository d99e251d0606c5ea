import * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { UpstreamError } from '../../core/models.ts'
import type { NodeLink } from '../../core/node.ts'
import { OutboundError } from '../../core/outbound.ts'
import { readText } from '../../core/read-text.ts'

const LIST_MS = 5000
const MOST_BYTES = 1_000_000
const MOST_VOICES = 500

const text = z.string().max(255)
const Voice = z.union([
  text.transform((id) => ({ id, voice_id: undefined, name: undefined, language: null, gender: null, model_id: null })),
  z.object({
    id: text.optional(),
    voice_id: text.optional(),
    name: text.nullish(),
    language: text.nullish(),
    gender: text.nullish(),
    model_id: text.nullish(),
  }),
])
/** Servers list their voices under either name, or as a list and nothing else. */
const Listed = z.union([
  z.object({ voices: z.array(Voice).max(MOST_VOICES) }).transform(({ voices }) => voices),
  z.object({ data: z.array(Voice).max(MOST_VOICES) }).transform(({ data }) => data),
  z.array(Voice).max(MOST_VOICES),
])

/** The voices of every speech server that the caller reaches; one that does not answer has none now. */
export async function listVoices(ctx: Ctx) {
  const nodes = [...ctx.providers.values()].flatMap(({ name, node }) =>
    node?.endpoints.speechUrl ? [{ name, node }] : [],
  )
  const lists = await Promise.all(
    nodes.map(async ({ name, node }) => (await voicesOf(ctx, node)).map((voice) => ({ ...voice, provider: name }))),
  )
  return { object: 'list' as const, data: lists.flat() }
}

async function voicesOf(ctx: Ctx, { id: nodeId, send }: NodeLink) {
  const signal = AbortSignal.any([ctx.signal, AbortSignal.timeout(LIST_MS)])
  try {
    const request = { server: 'speech', method: 'GET', path: '/v1/audio/voices' } as const
    const response = await send({ ...request, signal, headersTimeoutMs: LIST_MS })
    const read = await readText(response, MOST_BYTES).catch(() => undefined)
    if (!response.ok || !read || read.isCut) return []
    return Listed.parse(JSON.parse(read.text)).flatMap(asVoice)
  } catch (error) {
    const isExpected =
      error instanceof OutboundError ||
      error instanceof UpstreamError ||
      error instanceof z.ZodError ||
      error instanceof SyntaxError ||
      signal.aborted
    if (!isExpected) throw error
    ctx.log.warn('voices_not_listed', { node_id: nodeId, cause: error instanceof Error ? error.name : 'unknown' })
    return []
  }
}

function asVoice(voice: z.output<typeof Voice>) {
  const id = voice.id ?? voice.voice_id ?? voice.name
  if (!id) return []
  const { name, language = null, gender = null, model_id: model = null } = voice
  return [{ id, object: 'voice' as const, name: name ?? id, language, gender, model }]
}
