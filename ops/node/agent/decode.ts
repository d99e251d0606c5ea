import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { failure } from './errors.ts'
import { isWav, parseWav, type Sound } from './sound.ts'

const DECODE_LIMIT_MS = 120_000
/** Four hours of one channel at 16 kHz. */
const MOST_DECODED_BYTES = 500 * 1024 * 1024
/** Recordings only: a playlist would make the decoder open other files. */
const FORMATS = 'wav,mp3,flac,aac,ogg,matroska,webm,mov,mp4,m4a'

const argumentsFor = (path: string): string[] => [
  ...['-v', 'error', '-nostdin', '-protocol_whitelist', 'file,pipe', '-format_whitelist', FORMATS],
  ...['-i', path, '-vn', '-f', 'wav', 'pipe:1'],
]

function run(command: string, path: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, argumentsFor(path), { stdio: ['ignore', 'pipe', 'ignore'], timeout: DECODE_LIMIT_MS })
    const chunks: Buffer[] = []
    let size = 0
    child.once('error', () => reject(failure(415, 'This agent reads WAV only: there is no ffmpeg on its machine.')))
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MOST_DECODED_BYTES) child.kill('SIGKILL')
      else chunks.push(chunk)
    })
    child.once('close', (code) => {
      if (size > MOST_DECODED_BYTES) return reject(failure(413, 'The recording is too long to be measured.'))
      if (code === 0 && size > 0) return resolve(Buffer.concat(chunks))
      reject(failure(415, 'The bytes are no recording that ffmpeg can read.'))
    })
  })
}

/** The sound as WAV by ffmpeg, from a file: the index of an M4A may be at its end, which a pipe never gets back to. */
async function throughFfmpeg(bytes: Uint8Array, command: string): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), 'helix-agent-'))
  try {
    const path = join(folder, 'sound')
    await writeFile(path, bytes)
    return await run(command, path)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * The samples of a recording.
 *
 * @throws AgentFailure 415 for what cannot be read here, 413 for what is too long.
 */
export async function decode(bytes: Uint8Array, ffmpeg = 'ffmpeg'): Promise<Sound> {
  const own = parseWav(bytes)
  if (own) return own
  if (bytes.length === 0) throw failure(415, 'The file is empty.')
  const sound = parseWav(await throughFfmpeg(bytes, ffmpeg))
  if (!sound) throw failure(415, isWav(bytes) ? 'The WAV file is broken.' : 'The bytes are no recording.')
  return sound
}
