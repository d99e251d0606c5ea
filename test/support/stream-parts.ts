import type { ChunkChoice, StreamPart } from '../../src/core/models.ts'

type Delta = ChunkChoice['delta']

/** One piece of a vendor's stream; what else its choice or its chunk says comes last. */
export const part = (
  delta: Delta,
  finish: string | null = null,
  { choice = {}, chunk = {} }: { choice?: object; chunk?: object } = {},
): StreamPart => ({
  chunk: { model: 'gpt-4o-2024', choices: [{ index: 0, delta, finish_reason: finish, ...choice }], ...chunk },
  json: '',
})

/** The first piece of a call, `call_0` of `tool_0`. */
export const begin = (index: number, json = ''): StreamPart =>
  part({
    tool_calls: [
      { index, id: `call_${index}`, type: 'function', function: { name: `tool_${index}`, arguments: json } },
    ],
  })

/** A later piece of it. */
export const fragment = (index: number, json: string): StreamPart =>
  part({ tool_calls: [{ index, function: { arguments: json } }] })

/** Every piece of a call whose arguments come in pieces of these sizes, over and over. */
export const callOf = (index: number, json: string, sizes: readonly number[]): StreamPart[] => [
  begin(index),
  ...cut(json, sizes).map((piece) => fragment(index, piece)),
]

function cut(text: string, sizes: readonly number[]): string[] {
  const pieces: string[] = []
  for (let at = 0, turn = 0; at < text.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    pieces.push(text.slice(at, at + size))
    at += size
  }
  return pieces
}

/** All of these lanes in one, each in its own order; `order` says whose turn it is, over and over. */
export function interleave(lanes: readonly (readonly StreamPart[])[], order: readonly number[]): StreamPart[] {
  const left = lanes.map((lane) => [...lane])
  const parts: StreamPart[] = []
  for (let turn = 0; left.some((lane) => lane.length > 0); turn++) {
    const open = left.filter((lane) => lane.length > 0)
    const next = open[(order[turn % order.length] ?? 0) % open.length]?.shift()
    if (next) parts.push(next)
  }
  return parts
}
