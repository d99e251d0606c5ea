import type { NodeCapability, NodeModel } from '../../core/node.ts'
import { askNode, jsonQuestion, type Link } from './question.ts'
import { Embedded, Generated, Transcribed } from './wire.ts'

/** A model that is tried has to be loaded first. */
const TIMEOUT_MS = 60_000
/** A picture is at least so many tokens; a server that does not see it counts none. */
const LEAST_PICTURE_TOKENS = 8
/** 32 × 32 pixels, white: some models take nothing smaller. */
const PICTURE =
  'iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAIAAAD8GO2jAAAAJklEQVR42u3NMQ0AAAwDoPo33arYsQQMkB6LQCAQCAQCgUAg+BIMi1X0ptsIcT0AAAAASUVORK5CYII='
const BOUNDARY = 'helix-tone'

/**
 * Tries a model whose server does not tell what it can do: one word to embed, one to answer with and without a picture,
 * or half a second of a tone to transcribe. Undefined where that told nothing.
 */
export function probe(link: Link, { name, server }: NodeModel): Promise<readonly NodeCapability[] | undefined> {
  if (server === 'ollama') return probeOllama(link, name)
  return server === 'speech' ? probeSpeech(link, name) : Promise.resolve(undefined)
}

async function probeOllama(link: Link, model: string): Promise<readonly NodeCapability[] | undefined> {
  const post = <T>(path: string, body: object, shape: Parameters<typeof askNode<T>>[2]): Promise<T | undefined> => {
    const question = { server: 'ollama', method: 'POST', path, timeoutMs: TIMEOUT_MS } as const
    return askNode(link, { ...question, ...jsonQuestion({ model, ...body }) }, shape).catch(() => undefined)
  }
  const asked = { prompt: 'Hi', stream: false, options: { num_predict: 1 } }
  const plain = await post('/api/generate', asked, Generated)
  if (!plain) return (await post('/api/embed', { input: 'word' }, Embedded)) ? ['embedding'] : undefined
  const seeing = await post('/api/generate', { ...asked, images: [PICTURE] }, Generated)
  const more = (seeing?.prompt_eval_count ?? 0) - (plain.prompt_eval_count ?? 0)
  return more >= LEAST_PICTURE_TOKENS ? ['completion', 'json', 'vision'] : ['completion', 'json']
}

async function probeSpeech(link: Link, model: string): Promise<readonly NodeCapability[] | undefined> {
  const part = (head: string): string => `--${BOUNDARY}\r\ncontent-disposition: form-data; ${head}\r\n`
  const body = Buffer.concat([
    Buffer.from(`${part('name="model"')}\r\n${model.replace(/[\r\n]/g, ' ')}\r\n`),
    Buffer.from(`${part('name="file"; filename="tone.wav"')}content-type: audio/wav\r\n\r\n`),
    tone(),
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
  ])
  const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` }
  const question = { server: 'speech', method: 'POST', path: '/v1/audio/transcriptions', headers, body } as const
  const heard = await askNode(link, { ...question, timeoutMs: TIMEOUT_MS }, Transcribed).catch(() => undefined)
  return heard && ['transcription']
}

const TONE = { rate: 16_000, samples: 8000, hertz: 440, loudness: 8000 }
const WAV_HEADER_BYTES = 44

/** Half a second of a 440 Hz tone: WAV, 16 bit, mono. */
function tone(): Buffer {
  const { rate, samples, hertz, loudness } = TONE
  const bytes = Buffer.alloc(WAV_HEADER_BYTES + samples * 2)
  bytes.write('RIFF', 0)
  bytes.writeUInt32LE(bytes.length - 8, 4)
  bytes.write('WAVEfmt ', 8)
  bytes.writeUInt32LE(16, 16)
  bytes.writeUInt16LE(1, 20)
  bytes.writeUInt16LE(1, 22)
  bytes.writeUInt32LE(rate, 24)
  bytes.writeUInt32LE(rate * 2, 28)
  bytes.writeUInt16LE(2, 32)
  bytes.writeUInt16LE(16, 34)
  bytes.write('data', 36)
  bytes.writeUInt32LE(samples * 2, 40)
  for (let at = 0; at < samples; at++) {
    bytes.writeInt16LE(Math.round(loudness * Math.sin((2 * Math.PI * hertz * at) / rate)), WAV_HEADER_BYTES + at * 2)
  }
  return bytes
}
