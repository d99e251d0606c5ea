import type { NodeRequest } from '../../core/node.ts'
import type { RangedFile } from '../media/service.ts'

/** A file on its way to a node. `name` has an extension that says what its bytes are; a long one is never held whole. */
export type SentFile = { content: Uint8Array | RangedFile; name: string; mime: string }
type Fields = Readonly<Record<string, string | readonly string[] | undefined>>

/** What a request carries of a form. */
export type SentForm = Pick<NodeRequest, 'body' | 'stream'> & { contentType: string }

const encoder = new TextEncoder()
/** Of a long file, so much is in memory at once. */
const READ_BYTES = 4 * 1024 * 1024

/**
 * `multipart/form-data` with the file as `file` behind the fields; a list is sent as its name several times. In one
 * piece, but for a long file, which is read as the node takes it. The boundary is random, so no file holds it. Values
 * come from schemas and names from this program: neither has quotes or line breaks in a place where they would matter.
 */
export function formBody(file: SentFile, fields: Fields): SentForm {
  const boundary = `helix-${crypto.randomUUID()}`
  let head = ''
  for (const [name, value] of Object.entries(fields)) {
    for (const one of value === undefined ? [] : [value].flat()) {
      head += `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${one}\r\n`
    }
  }
  head += `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${file.name}"\r\n`
  head += `content-type: ${file.mime}\r\n\r\n`
  const [front, back] = [encoder.encode(head), encoder.encode(`\r\n--${boundary}--\r\n`)]
  const contentType = `multipart/form-data; boundary=${boundary}`
  if (file.content instanceof Uint8Array) return { body: around(front, file.content, back), contentType }
  const sizeBytes = front.length + file.content.sizeBytes + back.length
  return { stream: ofLength(sizeBytes, streamOf(front, file.content, back)), contentType }
}

function around(front: Uint8Array, content: Uint8Array, back: Uint8Array): Uint8Array {
  const body = new Uint8Array(front.length + content.length + back.length)
  body.set(front)
  body.set(content, front.length)
  body.set(back, front.length + content.length)
  return body
}

/** A part is read once the one before it was taken. */
function streamOf(front: Uint8Array, file: RangedFile, back: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => controller.enqueue(front),
      async pull(controller) {
        if (at < file.sizeBytes) {
          const to = Math.min(at + READ_BYTES, file.sizeBytes)
          controller.enqueue(await file.part(at, to))
          at = to
        } else {
          controller.enqueue(back)
          controller.close()
        }
      },
    },
    { highWaterMark: 1 },
  )
}

/** With its length told in front, as servers like it, where the platform can: Workers do. */
function ofLength(sizeBytes: number, stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  if (typeof FixedLengthStream === 'undefined') return stream
  const whole = new FixedLengthStream(sizeBytes)
  // What goes wrong is told to whoever reads.
  stream.pipeTo(whole.writable).catch(() => undefined)
  return whole.readable
}
