import fc from 'fast-check'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import type { ClientStream } from '../../support/client-events.ts'
import type { TestGateway } from '../../support/gateway.ts'
import { count, full } from '../../support/lane.ts'
import { type RecordedStream, recordedStreams } from '../../support/streams.ts'
import { checkEnd, checkUsage, completeText, deliver, startForStreams } from './streams.ts'

const seed = 20_260_801
const places = count(16, Number.POSITIVE_INFINITY)

let gateway: TestGateway

/** Ids that a vendor leaves out are random; here answers must compare. */
beforeAll(async () => {
  vi.spyOn(crypto, 'randomUUID').mockReturnValue('00000000-0000-4000-8000-000000000000')
  gateway = await startForStreams()
  return () => vi.restoreAllMocks()
})

/** Every offset in the full lane, else a sample that is the same each time: the first and last bytes and some between. */
function offsetsIn({ bytes }: RecordedStream): number[] {
  const all = Array.from({ length: bytes.length }, (_, offset) => offset)
  if (full() || all.length <= places) return all
  const edges = [0, 1, bytes.length - 2, bytes.length - 1]
  const some = fc.sample(fc.nat(bytes.length - 1), { numRuns: places - edges.length, seed })
  return [...new Set([...edges, ...some])]
}

/** Without the time, which we tell where a vendor does not. */
const textsOf = ({ chunks }: ClientStream) => JSON.stringify(chunks.map(({ created, ...rest }) => rest))

describe.each(recordedStreams())('$name', (stream) => {
  const whole = () => deliver(gateway, stream, { pieces: [stream.bytes] })

  it('reaches its client with its text, its reasons and its usage', async () => {
    const client = await whole()
    expect(checkEnd(client, stream)).toBe('finished')
    checkUsage(client)
    expect(client.text).toBe(stream.text)
    expect(client.reasoning).toBe(stream.reasoning)
    const heads = client.chunks.map(({ id, created, model, object }) => JSON.stringify([id, created, model, object]))
    expect(new Set(heads).size).toBe(1)
    const [row] = (await gateway.rows()).slice(-1)
    expect(row).toMatchObject({ status: 'ok', estimated: stream.usage === null })
    expect(client.usages[0]).toMatchObject({
      prompt_tokens: stream.usage?.[0] ?? row?.prompt_tokens,
      completion_tokens: stream.usage?.[2] ?? row?.completion_tokens,
    })
  })

  it('shows its usage to a client that asked, and to no other', async () => {
    const client = await deliver(gateway, stream, { pieces: [stream.bytes], includeUsage: false })
    expect(checkEnd(client, stream)).toBe('finished')
    expect(client.usages).toEqual([])
    expect(client.chunks.every(({ choices }) => choices.length > 0)).toBe(true)
    expect(client.text).toBe(stream.text)
  })

  it.each(['eof', 'reset'] as const)('cut at any byte (%s) ends in a finish or an error', async (end) => {
    for (const offset of offsetsIn(stream)) {
      const bytes = stream.bytes.subarray(0, offset)
      const client = await deliver(gateway, stream, { pieces: [bytes], end })
      try {
        const outcome = checkEnd(client, stream)
        checkUsage(client)
        const owed = completeText(stream, bytes)
        if (!stream.text.startsWith(client.text)) throw new Error(`text ${client.text}`)
        if (!client.text.startsWith(owed)) throw new Error(`owed ${owed}, got ${client.text}`)
        if (outcome === 'finished' && client.text !== stream.text) throw new Error('a finish without the whole text')
        if (outcome === 'refused' && owed !== '') throw new Error('text was swallowed')
      } catch (cause) {
        throw new Error(`cut at ${offset}: ${String(cause)}`, { cause })
      }
    }
    const rows = await gateway.rows()
    expect(rows.length).toBe(new Set(rows.map((row) => row.request_id)).size)
  })

  it('reaches old clients of the text endpoint with the same text', async () => {
    const { text, done } = await deliver(gateway, stream, { pieces: [stream.bytes], path: '/v1/completions' })
    expect({ text, done }).toEqual({ text: stream.text, done: true })
  })

  it('gives its client the same events for every split of its bytes in two', async () => {
    const expected = textsOf(await whole())
    for (const offset of offsetsIn(stream)) {
      const pieces = [stream.bytes.subarray(0, offset), stream.bytes.subarray(offset)]
      const client = await deliver(gateway, stream, { pieces: pieces.filter(({ length }) => length > 0) })
      if (textsOf(client) !== expected) expect(textsOf(client), `split at ${offset}`).toBe(expected)
    }
  })

  it('gives its client the same events byte by byte and in random pieces', async () => {
    const expected = textsOf(await whole())
    const byBytes = Array.from(stream.bytes, (byte) => Uint8Array.of(byte))
    expect(textsOf(await deliver(gateway, stream, { pieces: byBytes }))).toBe(expected)
    const cuts = fc.array(fc.nat(stream.bytes.length), { maxLength: 40 })
    await fc.assert(
      fc.asyncProperty(cuts, async (given) => {
        const edges = [0, ...given.sort((left, right) => left - right), stream.bytes.length]
        const pieces = edges.slice(1).map((edge, at) => stream.bytes.subarray(edges[at], edge))
        expect(textsOf(await deliver(gateway, stream, { pieces }))).toBe(expected)
      }),
      { numRuns: count(5, 100), seed },
    )
  })
})
