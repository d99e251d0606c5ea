import { cString, type FrameReader, fatalResponse, frame, int32, PostgresFailure } from './wire.ts'

/** What a client says about itself before its first query. */
export type Introduction = { parameters: ReadonlyMap<string, string>; password: string }

export type HandshakeStep =
  | { state: 'waiting' }
  | { state: 'introduced'; introduction: Introduction }
  /** The conversation is over (a cancel request, or something that is not Postgres). */
  | { state: 'over' }

const SSL_REQUEST = 80_877_103
const GSS_ENCRYPTION_REQUEST = 80_877_104
const CANCEL_REQUEST = 80_877_102
const CLEAR_TEXT_PASSWORD = 3

/**
 * The server side of a connection's opening: refuses encryption, reads the startup message and asks for the
 * password in clear text (the listeners are loopback only). Drivers that send the password and the first query
 * without waiting are fine: the bytes stay in the reader.
 * @returns a function to call whenever the reader got more bytes.
 */
export function createHandshake(reader: FrameReader, send: (bytes: Buffer) => void): () => HandshakeStep {
  let parameters: Map<string, string> | undefined

  function readStartup(): HandshakeStep | undefined {
    const body = reader.startup()
    if (!body) return { state: 'waiting' }
    const code = body.length >= 4 ? body.readInt32BE(0) : 0
    if (code === SSL_REQUEST || code === GSS_ENCRYPTION_REQUEST) {
      send(Buffer.from('N'))
      return undefined
    }
    if (code === CANCEL_REQUEST) return { state: 'over' }
    if (code >>> 16 !== 3) {
      send(fatalResponse({ code: '0A000', message: 'unsupported frontend protocol: only version 3 is spoken here' }))
      return { state: 'over' }
    }
    parameters = readParameters(body.subarray(4))
    const newerMinor = (code & 0xffff) > 0
    if (newerMinor) send(frame('v', int32(0), int32(0)))
    send(frame('R', int32(CLEAR_TEXT_PASSWORD)))
    return undefined
  }

  return function advance() {
    while (!parameters) {
      const step = readStartup()
      if (step) return step
    }
    const message = reader.message()
    if (!message) return { state: 'waiting' }
    if (message[0] !== 0x70) throw new PostgresFailure('08P01', 'expected a password message')
    const password = message.subarray(5, message.length - 1).toString()
    return { state: 'introduced', introduction: { parameters, password } }
  }
}

/** AuthenticationOk. */
export const authenticationOk: Buffer = frame('R', int32(0))

/** ParameterStatus messages for the given settings. */
export function parameterStatus(parameters: ReadonlyMap<string, string>): Buffer {
  return Buffer.concat([...parameters].map(([name, value]) => frame('S', cString(name), cString(value))))
}

function readParameters(body: Buffer): Map<string, string> {
  const parts = body.toString().split('\0')
  const parameters = new Map<string, string>()
  for (let index = 0; index + 1 < parts.length; index += 2) {
    const name = parts[index]
    if (!name) break
    parameters.set(name, parts[index + 1] ?? '')
  }
  return parameters
}
