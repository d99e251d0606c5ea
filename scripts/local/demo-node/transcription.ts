import { composeTranscript } from './answer.ts'
import { readBody } from './body.ts'
import { httpFailure } from './failures.ts'
import { enterScript, resolveModel } from './inference.ts'
import { sniffMedia } from './media.ts'
import { loadModel } from './memory.ts'
import { qualifiedName } from './names.ts'
import { defaultContextLength } from './options.ts'
import { sendJson, sendText } from './responses.ts'
import { defaultKeepAliveMs } from './runners.ts'
import type { Exchange } from './types.ts'

/** `FormData` of the platform parses multipart; anything it rejects is a 400. */
export async function readForm(exchange: Exchange): Promise<FormData> {
  const body = await readBody(exchange)
  const type = exchange.request.headers['content-type'] ?? ''
  if (!type.startsWith('multipart/form-data')) throw httpFailure(400, "request Content-Type isn't multipart/form-data")
  try {
    return await new Response(new Uint8Array(body), { headers: { 'content-type': type } }).formData()
  } catch {
    throw httpFailure(400, 'multipart: NextPart: EOF')
  }
}

/** `POST /v1/audio/transcriptions`: a fixed text; WAV and MP3 only, told by their bytes. */
export async function handleTranscription(exchange: Exchange): Promise<void> {
  const form = await readForm(exchange)
  const asked = String(form.get('model') ?? '')
  const file = form.get('file')
  if (file === null || typeof file === 'string') throw httpFailure(400, 'http: no such file')
  if (asked === '') throw httpFailure(400, 'model is required')
  const entered = await enterScript(exchange, asked)
  if (!entered) return
  const model = resolveModel(exchange, asked, entered.script, `model '${asked}' not found`)
  if (!model.capabilities.includes('audio')) {
    throw httpFailure(400, `${qualifiedName(model.name)} does not support audio`)
  }
  const media = sniffMedia(Buffer.from(await file.arrayBuffer()))
  if (media === undefined || 'width' in media) throw httpFailure(400, 'Failed to load image or audio file')
  await loadModel(exchange, model, { aliveMs: defaultKeepAliveMs, contextLength: defaultContextLength })
  const text = entered.script?.pieces?.join('') ?? composeTranscript(media)
  // Every other format, verbose_json included, gets the same object.
  if (form.get('response_format') === 'text') sendText(exchange.response, 200, text)
  else sendJson(exchange.response, 200, { text })
}
