/**
 * The Postgres frontend/backend protocol, version 3: building and cutting messages.
 * Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

/** A failure that ends up in front of a client as an ErrorResponse; `code` is an SQLSTATE. */
export class PostgresFailure extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'PostgresFailure'
    this.code = code
  }
}

/** One backend message inside a larger buffer: `end` is exclusive, `body` excludes the 5 header bytes. */
export type BackendMessage = { type: string; body: Buffer }

/** Cuts a byte stream into protocol messages. Both getters return undefined until a whole message has arrived. */
export type FrameReader = {
  push(chunk: Buffer): void
  /** A message without a type byte (only the first ones of a connection): the bytes after the length. */
  startup(): Buffer | undefined
  /** A typed message, header included. */
  message(): Buffer | undefined
  /** Everything that was not consumed; the reader is empty afterwards. */
  rest(): Buffer
}

const STARTUP_LIMIT_BYTES = 10_000
const NUL = Buffer.from([0])

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

export function cString(text: string): Buffer {
  return Buffer.concat([Buffer.from(text), NUL])
}

/** A typed message: one type byte, the length (which counts itself), the body. */
export function frame(type: string, ...body: readonly Buffer[]): Buffer {
  const length = body.reduce((sum, part) => sum + part.length, 4)
  return Buffer.concat([Buffer.from(type), int32(length), ...body])
}

/** A simple query message. */
export function simpleQuery(sql: string): Buffer {
  return frame('Q', cString(sql))
}

/** The startup message of protocol 3.0. */
export function startupMessage(parameters: Readonly<Record<string, string>>): Buffer {
  const pairs = Object.entries(parameters).flatMap(([name, value]) => [cString(name), cString(value)])
  const body = Buffer.concat([int32(196_608), ...pairs, NUL])
  return Buffer.concat([int32(body.length + 4), body])
}

/** A fatal ErrorResponse: the receiver treats the connection as lost. */
export function fatalResponse(failure: { code: string; message: string }): Buffer {
  const fields = ['SFATAL', 'VFATAL', `C${failure.code}`, `M${failure.message}`]
  return frame('E', ...fields.map(cString), NUL)
}

/** Splits a buffer that holds only whole backend messages. */
export function* backendMessages(buffer: Buffer): Generator<BackendMessage> {
  let offset = 0
  while (offset + 5 <= buffer.length) {
    const end = offset + 1 + buffer.readInt32BE(offset + 1)
    yield { type: String.fromCharCode(buffer.readUInt8(offset)), body: buffer.subarray(offset + 5, end) }
    offset = end
  }
}

/** The status byte of a ReadyForQuery that closes the buffer: I (idle), T (in a transaction), E (failed transaction). */
export function finalStatus(buffer: Buffer): string | undefined {
  const at = buffer.length - 6
  const endsReady = at >= 0 && buffer[at] === 0x5a && buffer.readInt32BE(at + 1) === 5
  return endsReady ? String.fromCharCode(buffer.readUInt8(at + 5)) : undefined
}

/**
 * Makes a reader that refuses messages above the limit.
 * @throws PostgresFailure (08P01, 54000) from `startup` and `message` when the bytes cannot be a valid message.
 */
export function createFrameReader(limitBytes: number): FrameReader {
  let chunks: Buffer[] = []
  let buffered = 0

  function join(): Buffer {
    const joined = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)
    chunks = [joined]
    return joined
  }

  function take(lengthAt: number, limit: number): Buffer | undefined {
    const headerBytes = lengthAt + 4
    if (buffered < headerBytes) return undefined
    const first = chunks[0]
    const head = first && first.length >= headerBytes ? first : join()
    const length = head.readInt32BE(lengthAt)
    if (length < 4) throw new PostgresFailure('08P01', 'invalid message length')
    if (length > limit)
      throw new PostgresFailure('54000', `a message of ${length} bytes is above the limit of ${limit}`)
    // Joining only when the whole message is here keeps a large message linear, however many chunks carry it.
    if (buffered < lengthAt + length) return undefined
    const whole = head.length >= lengthAt + length ? head : join()
    const message = whole.subarray(0, lengthAt + length)
    chunks = [whole.subarray(lengthAt + length), ...chunks.slice(1)].filter((chunk) => chunk.length > 0)
    buffered -= message.length
    return message
  }

  return {
    push(chunk) {
      if (chunk.length === 0) return
      chunks.push(chunk)
      buffered += chunk.length
    },
    startup: () => take(0, STARTUP_LIMIT_BYTES)?.subarray(4),
    message: () => take(1, limitBytes),
    rest() {
      const rest = join()
      chunks = []
      buffered = 0
      return rest
    },
  }
}
