/**
 * What a picture of 20 MB takes in memory on its way to a node:
 * `node --expose-gc --disable-warning=ExperimentalWarning scripts/bench/image-memory.ts`.
 * From the bytes of a multipart body to the bytes of the request to Ollama, by the functions that the gateway runs, in one
 * process and without network. Alive is what is left after a collection while each step still holds what it needs,
 * beyond what there was before the body; resident is how much the process grew at most, garbage included, each way in a
 * process of its own.
 */
import { spawnSync } from 'node:child_process'
import { jsonBytes } from '../../src/adapters/providers/json-bytes.ts'
import { ollamaChatRequest } from '../../src/adapters/providers/ollama-request.ts'
import { dataUrlOf, imageOf, strippedImage } from '../../src/features/media/service.ts'
import { type FilePart, isFilePart, releaseFiles } from '../../src/http/multipart.ts'
import { fieldsOf } from '../../src/http/multipart-body.ts'
import { pngChunk, pngOf } from '../../test/support/pictures.ts'
import { type Figure, isMissed, lineOf } from './report.ts'

const MEGABYTE = 1024 * 1024
const IMAGE_BYTES = 20 * MEGABYTE
const MOST_MB = 60

/** A form with a PNG of 20 MB, a comment in front of its pixels. */
function bodyOf(): Uint8Array {
  const small = pngOf(new Uint8Array(48), 4)
  const head = '--b\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
  const front = Buffer.concat([Buffer.from(head), small.subarray(0, 33), pngChunk('tEXt', 'Comment\0Nobody')])
  const pixels = IMAGE_BYTES - small.length - 100
  const body = new Uint8Array(IMAGE_BYTES)
  body.set(front)
  const view = new DataView(body.buffer)
  view.setUint32(front.length, pixels)
  body.set(Buffer.from('IDAT'), front.length + 4)
  for (let at = 0; at < pixels; at++) body[front.length + 8 + at] = (at * 2_654_435_761) >>> 24
  const end = front.length + 12 + pixels
  body.set(Buffer.concat([pngChunk('IEND', ''), Buffer.from('\r\n--b--\r\n')]), end)
  return body.subarray(0, end + 12 + 9)
}

/** Beyond what was alive at first, in megabytes; the most of it, each time that it is asked. */
function watch() {
  const alive = () => {
    // What the first frees of buffers is counted as freed by the second.
    for (let round = 0; round < 2; round++) globalThis.gc?.()
    const { heapUsed, external } = process.memoryUsage()
    return (heapUsed + external) / MEGABYTE
  }
  const before = alive()
  let most = 0
  return { look: () => (most = Math.max(most, alive() - before)), most: () => most }
}

function fileIn(body: Uint8Array): FilePart {
  const { file } = fieldsOf(body, 'b', IMAGE_BYTES)
  if (isFilePart(file)) return file
  throw new Error('There is no file in the form.')
}

const requestWith = (url: string) =>
  ollamaChatRequest(
    {
      requestId: 'req_1',
      model: 'llava',
      body: { model: 'llava', messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }] },
      signal: new AbortController().signal,
      timeouts: { connectMs: 1, firstByteMs: 1, idleMs: 1, totalMs: 1 },
    },
    undefined,
  ).body

/** Each gives back the length of what is sent, and says when it holds most. */
const ways: Readonly<Record<string, (look: () => number) => number>> = {
  'as the gateway does': (look) => {
    const file = fileIn(bodyOf())
    look()
    const image = imageOf(file.bytes)
    const url = image ? dataUrlOf(file.bytes, image) : ''
    look()
    releaseFiles([file])
    const body = requestWith(url)
    look()
    const sent = jsonBytes(body)
    look()
    return sent.length + url.length
  },
  'with the body kept': (look) => {
    const file = fileIn(bodyOf())
    const image = imageOf(file.bytes)
    const url = image ? dataUrlOf(file.bytes, image) : ''
    const sent = jsonBytes(requestWith(url))
    look()
    return sent.length + url.length + file.bytes.length
  },
  'with a copy for each step': (look) => {
    const file = fileIn(bodyOf())
    const stripped = strippedImage(file.bytes, 'png')
    const url = `data:image/png;base64,${Buffer.from(stripped).toString('base64')}`
    const json = JSON.stringify(requestWith(url))
    const sent = new TextEncoder().encode(json)
    look()
    return sent.length + json.length + url.length + stripped.length + file.bytes.length
  },
}

function measure(way: string): { alive: number; resident: number } {
  const { look, most } = watch()
  const before = process.memoryUsage.rss() / MEGABYTE
  ways[way]?.(look)
  return { alive: most(), resident: process.resourceUsage().maxRSS / 1024 - before }
}

const [, script = '', way] = process.argv
if (way !== undefined) {
  console.log(JSON.stringify(measure(way)))
} else {
  const figures: Figure[] = Object.keys(ways).flatMap((name, index) => {
    const flags = ['--expose-gc', '--disable-warning=ExperimentalWarning']
    const { stdout } = spawnSync(process.execPath, [...flags, script, name], { encoding: 'utf8' })
    const { alive, resident } = JSON.parse(stdout)
    const most = index === 0 ? MOST_MB : undefined
    return [
      { name: `alive, ${name}`, value: alive, unit: 'MB', most },
      { name: `resident, ${name}`, value: resident, unit: 'MB' },
    ]
  })
  for (const figure of figures) console.log(lineOf(figure))
  if (figures.some(isMissed)) process.exitCode = 1
}
