import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, 'fixtures/streams')

export type RecordedStream = {
  /** The file's name. */
  name: string
  kind: 'openai' | 'anthropic' | 'gemini' | 'ollama'
  bytes: Uint8Array
  /** All content in order of arrival, over all choices. */
  text: string
  reasoning: string
  /** Of choice 0: name and arguments. */
  toolCalls: [string, string][]
  /** Finish reasons by choice. */
  finish: Record<string, string>
  /** Prompt, cached, completion and reasoning tokens; null where the stream counts nothing. */
  usage: [number, number, number, number] | null
}

/** Every stream of the folder with what it must come to. Throws when a file has no expectation. */
export function recordedStreams(): RecordedStream[] {
  const expected: Record<string, Omit<RecordedStream, 'name' | 'bytes'>> = JSON.parse(
    readFileSync(join(folder, 'expected.json'), 'utf8'),
  )
  const names = readdirSync(folder).filter((name) => /\.(sse|ndjson)$/.test(name))
  return names.sort().map((name) => {
    const entry = expected[name]
    if (entry === undefined) throw new Error(`${name} has no entry in expected.json`)
    return { name, ...entry, bytes: new Uint8Array(readFileSync(join(folder, name))) }
  })
}
