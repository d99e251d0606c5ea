import { describe, expect, it } from 'vitest'
import { isObject } from '../../../src/adapters/providers/json-shape.ts'
import type { ChatMessage } from '../../../src/core/models.ts'
import { call, calls, partsIn, result, signed, third, translate, user } from './gemini-support.ts'

const signature = btoa('thoughts')

describe('thought signatures', () => {
  const skip = 'skip_thought_signature_validator'
  const signaturesIn = (messages: ChatMessage[], model = third) =>
    partsIn(translate(messages, model).contents).flatMap((part) =>
      isObject(part.functionCall) ? [[part.functionCall.name, part.thoughtSignature]] : [],
    )

  it('go back to the calls they came with', () => {
    const step = calls(call('1', 'f', '{}', signed(signature)), call('2', 'g'))
    expect(signaturesIn([user('a'), step, result('1', 'x'), result('2', 'y')])).toEqual([
      ['f', signature],
      ['g', undefined],
    ])
    expect(signaturesIn([user('a'), step], 'gemini-2.5-pro')).toEqual([
      ['f', signature],
      ['g', undefined],
    ])
  })

  it('are replaced for the first foreign call of each step, in the same way from turn to turn', () => {
    const messages = [
      user('a'),
      calls(call('1', 'old')),
      result('1', 'x'),
      { role: 'assistant', content: 'Done.' },
      user('b'),
      calls(call('2', 'first'), call('3', 'second')),
      result('2', 'x'),
      result('3', 'x'),
      calls(call('4', 'own', '{}', signed(signature))),
      result('4', 'x'),
      calls(call('5', 'third')),
      result('5', 'x'),
    ]
    expect(signaturesIn(messages)).toEqual([
      ['old', skip],
      ['first', skip],
      ['second', undefined],
      ['own', signature],
      ['third', skip],
    ])
    expect(signaturesIn(messages, 'gemini-flash-latest')).toEqual(signaturesIn(messages))
    for (const model of ['gemini-2.5-flash', 'gemma-3-27b-it']) {
      expect(signaturesIn(messages, model).flatMap(([, value]) => value ?? [])).toEqual([signature])
    }
  })

  it('that are no base64 were not made by Gemini', () => {
    const foreign = calls(call('1', 'f', '{}', signed('msg_{abc}')))
    expect(signaturesIn([user('a'), foreign])).toEqual([['f', skip]])
  })

  it('of a text stay with it, and of no text follow in a part of their own', () => {
    const said = { role: 'assistant', content: 'Yes.', ...signed(signature) }
    expect(translate([user('a'), said]).contents.at(-1)).toEqual({
      role: 'model',
      parts: [{ text: 'Yes.', thoughtSignature: signature }],
    })
    const silent = { ...calls(call('1', 'f', '{}', signed('Zg=='))), ...signed(signature) }
    expect(translate([user('a'), silent]).contents.at(-1)).toEqual({
      role: 'model',
      parts: [
        { functionCall: { id: '1', name: 'f', args: {} }, thoughtSignature: 'Zg==' },
        { text: '', thoughtSignature: signature },
      ],
    })
  })

  it('of an image stay with it', () => {
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBOR' }, ...signed(signature) }
    const { contents } = translate([user('a'), { role: 'assistant', content: '', images: [image] }])
    expect(contents.at(-1)).toEqual({
      role: 'model',
      parts: [{ inlineData: { mimeType: 'image/png', data: 'iVBOR' }, thoughtSignature: signature }],
    })
  })
})
