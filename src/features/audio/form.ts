/** A file on its way to a node. `name` has an extension that says what its bytes are. */
export type SentFile = { bytes: Uint8Array; name: string; mime: string }
type Fields = Readonly<Record<string, string | readonly string[] | undefined>>

const encoder = new TextEncoder()

/**
 * `multipart/form-data` in one piece, with the file as `file` behind the fields; a list is sent as its name several
 * times. The boundary is random, so no file holds it. Values come from schemas and names from this program: neither has
 * quotes or line breaks in a place where they would matter.
 */
export function formBody(file: SentFile, fields: Fields): { body: Uint8Array; contentType: string } {
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
  const body = new Uint8Array(front.length + file.bytes.length + back.length)
  body.set(front)
  body.set(file.bytes, front.length)
  body.set(back, front.length + file.bytes.length)
  return { body, contentType: `multipart/form-data; boundary=${boundary}` }
}
