/** What a RESP2 reply may be in the JSON answer. */
export type JsonReply = string | number | null | JsonReply[]

/** Whether a reply is a string of Redis, which is bytes here. */
export function isBytes(reply: unknown): reply is Buffer {
  return Buffer.isBuffer(reply)
}

/**
 * Turns a reply (strings as bytes) into JSON. With `base64` every string is base64, except a whole reply of `OK`, which
 * Upstash's client takes as it is; inside an array that client decodes every string, so there `OK` is encoded too.
 */
export function encodeReply(reply: unknown, base64: boolean): JsonReply {
  const text = stringOf(reply)
  if (text === undefined) return encodeOther(reply, base64)
  return text.toString() === 'OK' ? 'OK' : encodeText(text, base64)
}

function encodeOther(reply: unknown, base64: boolean): JsonReply {
  if (Array.isArray(reply)) return reply.map((item: unknown) => encodeNested(item, base64))
  if (typeof reply === 'number') return reply
  if (typeof reply === 'bigint') return Number(reply)
  return null
}

function encodeNested(reply: unknown, base64: boolean): JsonReply {
  const text = stringOf(reply)
  return text === undefined ? encodeOther(reply, base64) : encodeText(text, base64)
}

function encodeText(text: string | Buffer, base64: boolean): string {
  if (!base64) return text.toString()
  return (typeof text === 'string' ? Buffer.from(text) : text).toString('base64')
}

/** An error inside an array (a script can return one) is its text: the REST format has no place for objects. */
function stringOf(reply: unknown): string | Buffer | undefined {
  if (typeof reply === 'string') return reply
  if (reply instanceof Error) return reply.message
  return isBytes(reply) ? reply : undefined
}
