import { describe, expect, it } from 'vitest'
import type { ChatBody, ChatCall, NativeRequest } from '../../../src/core/models.ts'
import { anthropic, end, event, message, nativeOf, start } from './anthropic-support.ts'
import { callOf, eventStream, json, readAll, scripted } from './support.ts'

describe('a request that came in this wire', () => {
  const body = {
    model: 'my-claude',
    max_tokens: 500,
    messages: [{ role: 'user', content: 'Hi' }],
    tools: [{ type: 'memory_20250818', name: 'memory' }],
    thinking: { type: 'enabled', budget_tokens: 300 },
    new_field: { a: 1 },
  }
  const ask = async (native: NativeRequest, extra: Partial<ChatCall> = {}, chat: Partial<ChatBody> = {}) => {
    const script = scripted(() =>
      chat.stream ? eventStream(start() + event('ping') + end()) : json({ ...message, new: 1 }),
    )
    const answer = await anthropic(script.outbound).chat(callOf(chat, { model: 'claude-x', native, ...extra }))
    return { ...script, answer }
  }

  it('is sent on as it is, but for its model, its bound and whether it streams', async () => {
    const { sent, answer } = await ask(nativeOf({ ...body, stream: true }))
    expect(sent()).toEqual({ ...body, model: 'claude-x', stream: false })
    expect(answer).toMatchObject({ kind: 'whole', ignored: [], native: { ...message, new: 1 } })
    expect((await ask(nativeOf(body), { maxOutputTokens: 400 })).sent().max_tokens).toBe(400)
    expect((await ask(nativeOf(body), { maxOutputTokens: 600 })).sent().max_tokens).toBe(500)
    expect((await ask(nativeOf({ ...body, max_tokens: 0 }))).sent().max_tokens).toBe(0)
    expect((await ask(nativeOf({ ...body, max_tokens: undefined }), { maxOutputTokens: 9 })).sent().max_tokens).toBe(9)
  })

  it('has the vendor’s own events in its stream', async () => {
    const { sent, answer } = await ask(nativeOf(body), {}, { stream: true })
    expect(sent().stream).toBe(true)
    if (answer.kind !== 'stream') throw new Error('expected a stream')
    const { parts } = await readAll(answer.stream)
    const told = parts.flatMap(({ native = [] }) => native).map((each) => each.event)
    expect(told).toEqual(['message_start', 'ping', 'message_delta', 'message_stop'])
  })

  it('brings along only betas that cost and share nothing', async () => {
    const given =
      'interleaved-thinking-2025-05-14, fast-mode-2026-02-01,files-api-2025-04-14,context-management-2025-06-27'
    const { requests, answer } = await ask(nativeOf(body, { 'anthropic-beta': given, 'x-other': 'y' }))
    expect(requests[0]?.headers).toMatchObject({
      'anthropic-beta': 'interleaved-thinking-2025-05-14,context-management-2025-06-27',
    })
    expect(requests[0]?.headers).not.toHaveProperty('x-other')
    expect(answer.ignored).toEqual(['anthropic-beta'])
    const none = await ask(nativeOf(body, { 'anthropic-beta': 'mcp-client-2025-11-20' }))
    expect(none.requests[0]?.headers).not.toHaveProperty('anthropic-beta')
  })

  it('is answered in the version that its client was written for', async () => {
    const version = async (given: string) =>
      (await ask(nativeOf(body, { 'anthropic-version': given }))).requests[0]?.headers?.['anthropic-version']
    expect(await version('2026-10-21')).toBe('2026-10-21')
    expect(await version('1999-01-01')).toBe('2023-06-01')
  })

  it('is not served faster or elsewhere than we would book', async () => {
    const { sent, answer } = await ask(nativeOf({ ...body, speed: 'fast', inference_geo: 'us' }))
    expect(sent()).not.toHaveProperty('speed')
    expect(sent()).not.toHaveProperty('inference_geo')
    expect(answer.ignored).toEqual(['speed', 'inference_geo'])
    expect((await ask(nativeOf({ ...body, speed: 'standard' }))).sent().speed).toBe('standard')
  })

  it('of another wire is told in our words', async () => {
    const { sent, answer } = await ask({ wire: 'gemini', body: { contents: [] } })
    expect(sent()).toMatchObject({ messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
    expect(answer).not.toHaveProperty('native')
  })
})
