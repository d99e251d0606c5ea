import { describe, expect, it } from 'vitest'
import { geminiChatRequest } from '../../../src/adapters/providers/gemini-request.ts'
import { isObject, type JsonObject } from '../../../src/adapters/providers/json-shape.ts'
import type { ChatBody, ChatCall } from '../../../src/core/models.ts'
import { callOf } from './support.ts'

function requestOf(body: Partial<ChatBody>, extra: Partial<ChatCall> = {}) {
  const { body: sent, ignored, images } = geminiChatRequest(callOf(body, { model: 'gemini-2.5-flash', ...extra }))
  const config: JsonObject = isObject(sent.generationConfig) ? sent.generationConfig : {}
  return { sent, config, ignored: [...ignored].sort(), images }
}

const functionTool = (name: string, extra: JsonObject = {}) => ({ type: 'function', function: { name, ...extra } })

describe('a chat body for Gemini', () => {
  it('is complete without any wish of the caller', () => {
    expect(requestOf({}).sent).toEqual({ contents: [{ role: 'user', parts: [{ text: 'Hi' }] }] })
  })

  it('has sampling, limits, stops and candidates in its configuration', () => {
    const wishes = { temperature: 0, top_p: 0.5, top_k: 4, seed: 3, n: 2, frequency_penalty: 1, presence_penalty: -1 }
    const { config, ignored } = requestOf({ ...wishes, stop: 'END', max_tokens: 10, max_completion_tokens: 20 })
    expect(config).toEqual({
      temperature: 0,
      topP: 0.5,
      topK: 4,
      seed: 3,
      candidateCount: 2,
      frequencyPenalty: 1,
      presencePenalty: -1,
      maxOutputTokens: 20,
      stopSequences: ['END'],
    })
    expect(ignored).toEqual([])
    expect(requestOf({ n: 1, temperature: null, stop: [] }).sent).not.toHaveProperty('generationConfig')
  })

  it('never asks for more than the call may have', () => {
    expect(requestOf({ max_tokens: 100 }, { maxOutputTokens: 30 }).config.maxOutputTokens).toBe(30)
    expect(requestOf({ max_tokens: 20 }, { maxOutputTokens: 30 }).config.maxOutputTokens).toBe(20)
    expect(requestOf({}, { maxOutputTokens: 30 }).config.maxOutputTokens).toBe(30)
  })

  it('carries five stops and reports that there were more', () => {
    const stop = ['a', 'b', 'c', 'd', 'e', 'f']
    expect(requestOf({ stop })).toMatchObject({ config: { stopSequences: stop.slice(0, 5) }, ignored: ['stop'] })
    expect(requestOf({ stop: stop.slice(0, 5) }).ignored).toEqual([])
  })

  it('asks for JSON, with the schema as it was given', () => {
    const schema = {
      type: 'object',
      additionalProperties: false,
      properties: { a: { type: ['string', 'null'], $ref: '#/$defs/A' } },
      $defs: { A: { const: 'x' } },
    }
    expect(requestOf({ response_format: { type: 'json_object' } }).config).toEqual({
      responseMimeType: 'application/json',
    })
    const format = { type: 'json_schema', json_schema: { name: 'x', strict: true, schema } }
    expect(requestOf({ response_format: format })).toMatchObject({
      config: { responseMimeType: 'application/json', responseJsonSchema: schema },
      ignored: [],
    })
    expect(requestOf({ response_format: { type: 'text' } }).config).toEqual({})
    expect(requestOf({ response_format: { type: 'grammar' } }).ignored).toEqual(['response_format'])
  })

  it('asks for log probabilities', () => {
    expect(requestOf({ logprobs: true, top_logprobs: 3 }).config).toEqual({ responseLogprobs: true, logprobs: 3 })
    expect(requestOf({ logprobs: false, top_logprobs: 0 })).toMatchObject({ config: {}, ignored: [] })
  })

  it('asks for images where the caller does, and reports sound', () => {
    expect(requestOf({ modalities: ['text', 'image'] }).config.responseModalities).toEqual(['TEXT', 'IMAGE'])
    expect(requestOf({ modalities: ['image'] }).config.responseModalities).toEqual(['IMAGE'])
    expect(requestOf({ modalities: ['text'] })).toMatchObject({ config: {}, ignored: [] })
    expect(requestOf({ modalities: ['text', 'audio'] }).ignored).toEqual(['modalities'])
  })

  it('takes safety settings from either place, and nothing else that Google’s block could name', () => {
    const settings = [{ category: 'HARM_CATEGORY_HARASSMENT', threshold: 'BLOCK_NONE' }]
    expect(requestOf({ safety_settings: settings }).sent.safetySettings).toEqual(settings)
    const block = { google: { safety_settings: settings, cached_content: 'cachedContents/of-others' }, more: 1 }
    expect(requestOf({ extra_body: block })).toMatchObject({
      sent: { safetySettings: settings },
      ignored: ['extra_body.google.cached_content', 'extra_body.more'],
    })
    expect(JSON.stringify(requestOf({ extra_body: block }).sent)).not.toContain('of-others')
    expect(requestOf({ safety_settings: 'off', extra_body: 7 }).ignored).toEqual(['extra_body', 'safety_settings'])
  })

  it('reports what has no place in this wire, unless it asked for nothing', () => {
    const lost = {
      logit_bias: { 1: 2 },
      parallel_tool_calls: false,
      user: 'u',
      verbosity: 'low',
      store: true,
      service_tier: 'flex',
      web_search_options: { search_context_size: 'low' },
      provider: { order: ['a'] },
    }
    expect(requestOf(lost).ignored).toEqual(Object.keys(lost).sort())
    const neutral = {
      logit_bias: {},
      parallel_tool_calls: true,
      store: false,
      metadata: {},
      user: null,
      service_tier: 'auto',
      provider: 'gemini',
      helix: { a: 1 },
    }
    expect(requestOf(neutral).ignored).toEqual([])
  })
})

describe('how much Gemini thinks', () => {
  const thinking = (model: string, effort: string) => {
    const { config, ignored } = requestOf({ reasoning_effort: effort }, { model })
    return [config.thinkingConfig, ignored]
  }
  const level = (thinkingLevel: string, includeThoughts = true) => ({ thinkingLevel, includeThoughts })
  const budget = (thinkingBudget: number, includeThoughts = true) => ({ thinkingBudget, includeThoughts })
  const lost = ['reasoning_effort']

  it.each([
    ['gemini-2.5-flash', 'none', budget(0, false), []],
    ['gemini-2.5-flash', 'minimal', budget(1024), []],
    ['gemini-2.5-flash', 'low', budget(1024), []],
    ['gemini-2.5-flash', 'medium', budget(8192), []],
    ['gemini-2.5-flash', 'high', budget(24_576), []],
    ['gemini-2.5-flash-lite', 'max', budget(24_576), []],
    ['gemini-2.5-pro', 'max', budget(32_768), []],
    ['gemini-2.5-pro', 'none', budget(128, false), lost],
    ['gemini-3-flash-preview', 'minimal', level('minimal'), []],
    ['gemini-3-flash-preview', 'none', level('minimal', false), lost],
    ['gemini-3-flash-preview', 'medium', level('medium'), []],
    ['gemini-3-pro-preview', 'minimal', level('low'), []],
    ['gemini-3-pro-preview', 'medium', level('high'), []],
    ['gemini-3.1-pro-preview', 'medium', level('medium'), []],
    ['gemini-3.1-pro-preview', 'xhigh', level('high'), []],
    ['gemini-flash-latest', 'low', level('low'), []],
    ['gemini-2.0-flash', 'high', undefined, lost],
    ['gemini-2.0-flash', 'none', undefined, []],
    ['gemma-3-27b-it', 'low', undefined, lost],
    ['gemini-2.5-flash', 'toString', undefined, lost],
  ])('%s at %s', (model, effort, expected, ignored) => {
    expect(thinking(model, effort)).toEqual([expected, ignored])
  })

  it('is left to the model without an effort', () => {
    expect(requestOf({}).sent).not.toHaveProperty('generationConfig')
  })

  it('is as Google’s own block says, which cannot be sent beside a level', () => {
    const own = { thinking_budget: 500, include_thoughts: true }
    expect(requestOf({ reasoning_effort: 'high', extra_body: { google: { thinking_config: own } } })).toMatchObject({
      config: { thinkingConfig: { thinkingBudget: 500, includeThoughts: true } },
      ignored: [],
    })
    const hidden = { google: { thinking_config: { include_thoughts: false, secret: 1 } } }
    const { config, ignored } = requestOf({ reasoning_effort: 'low', extra_body: hidden })
    expect(config.thinkingConfig).toEqual({ thinkingBudget: 1024, includeThoughts: false })
    expect(ignored).toEqual(['extra_body.google.thinking_config.secret'])
  })
})

describe('the tools', () => {
  const schema = { type: 'object', properties: { a: { anyOf: [{ type: 'string' }] } }, additionalProperties: false }

  it('are declared with their schemas untouched', () => {
    const tools = [
      functionTool('f', { description: 'Does f', parameters: schema }),
      functionTool('g', { parameters: {} }),
    ]
    expect(requestOf({ tools }).sent).toMatchObject({
      tools: [
        {
          functionDeclarations: [{ name: 'f', description: 'Does f', parametersJsonSchema: schema }, { name: 'g' }],
        },
      ],
    })
    expect(requestOf({ tools }).sent).not.toHaveProperty('toolConfig')
  })

  it('of other kinds are reported', () => {
    const { sent, ignored } = requestOf({ tools: [{ type: 'custom', custom: { name: 'c' } }], tool_choice: 'required' })
    expect(sent).not.toHaveProperty('tools')
    expect(ignored).toEqual(['tool_choice', 'tools[0]'])
    expect(requestOf({ tool_choice: 'none' }).ignored).toEqual([])
  })

  const allowed = (mode: string) => ({
    type: 'allowed_tools',
    allowed_tools: { mode, tools: [{ type: 'function', function: { name: 'f' } }] },
  })
  it.each([
    ['auto', undefined],
    ['none', { mode: 'NONE' }],
    ['required', { mode: 'ANY' }],
    [
      { type: 'function', function: { name: 'f' } },
      { mode: 'ANY', allowedFunctionNames: ['f'] },
    ],
    [allowed('auto'), { mode: 'VALIDATED', allowedFunctionNames: ['f'] }],
    [allowed('required'), { mode: 'ANY', allowedFunctionNames: ['f'] }],
  ])('are chosen by %j', (tool_choice, expected) => {
    const { sent, ignored } = requestOf({ tools: [functionTool('f')], tool_choice })
    expect(sent.toolConfig).toEqual(expected && { functionCallingConfig: expected })
    expect(ignored).toEqual([])
  })

  it('are not chosen by a choice that this wire cannot make', () => {
    const tool_choice = { type: 'custom', custom: { name: 'c' } }
    expect(requestOf({ tools: [functionTool('f')], tool_choice }).ignored).toEqual(['tool_choice'])
  })

  it('bind the model to a strict schema, where it can be bound', () => {
    const tools = [functionTool('f', { strict: true })]
    expect(requestOf({ tools }).sent.toolConfig).toEqual({ functionCallingConfig: { mode: 'VALIDATED' } })
    expect(requestOf({ tools }, { model: 'gemini-2.0-flash' })).toMatchObject({
      sent: { tools: [{ functionDeclarations: [{ name: 'f' }] }] },
      ignored: ['tools[].function.strict'],
    })
  })

  it('come to the same bytes for the same request', () => {
    const body = { tools: [functionTool('f', { parameters: schema })], temperature: 1, stop: ['x'] }
    expect(JSON.stringify(requestOf(body).sent)).toBe(JSON.stringify(requestOf(structuredClone(body)).sent))
  })
})
