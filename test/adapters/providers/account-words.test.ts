import { describe, expect, it } from 'vitest'
import { withoutAccount } from '../../../src/adapters/providers/account-words.ts'

const nobody = { secret: undefined }
const clean = (message: string, source: Parameters<typeof withoutAccount>[1] = nobody) =>
  withoutAccount({ message }, source)?.message

describe('what a vendor says', () => {
  it('loses the key wherever it is quoted', () => {
    const error = { message: 'Key token-1 is wrong: token-1', type: 'token-1', param: null, code: 'no' }
    expect(withoutAccount(error, { secret: 'token-1' })).toEqual({
      message: 'Key [redacted] is wrong: [redacted]',
      type: '[redacted]',
      param: null,
      code: 'no',
    })
    expect(withoutAccount(undefined, nobody)).toBeUndefined()
  })

  it('loses the address at which it is reached, with and without its port', () => {
    const source = { secret: undefined, baseUrl: 'http://node-7.example.net:11434/api' }
    expect(clean('Post "http://node-7.example.net:11434/api/chat": EOF', source)).toBe(
      'Post "http://[redacted]/api/chat": EOF',
    )
    expect(clean('lookup node-7.example.net failed', source)).toBe('lookup [redacted] failed')
  })

  it.each([
    'sk-proj-0123456789abcdef',
    'sk-ant-api03-0123456789',
    'sk-proj-****************CDEF',
    'gsk_0123456789abcdefABCDEF',
    'AIzaSy0123456789abcdefABCDEF',
    'ya29.a0AfB_byC-123',
    'org-AbCdEf0123456789GhIj',
    'proj_AbCdEf0123456789GhIj',
    'wrkspc_01AbCdEf0123456789',
    'req_011CSHoEeqs5C35K2UUqR7Fy',
    '9f8e7d6c-5b4a-4321-8765-0123456789ab',
    '127.0.0.1:39281',
    '[::1]:8080',
    '[fd00::7]',
    'localhost:11434',
    'gpu-7.nodes.internal',
    'runner.default.svc',
  ])('loses what is of an account or a machine: %s', (word) => {
    expect(clean(`it (${word}) went wrong`)).toBe('it ([redacted]) went wrong')
  })

  it.each([
    'The model `gpt-5` does not exist or you do not have access to it.',
    'You can find your API key at https://platform.openai.com/account/api-keys.',
    'Invalid type for messages[1].content[0]: expected one of [text, image_url].',
    'prompt is too long: 200001 tokens > 200000 maximum',
    'Unknown name "org-administrators" at [0:12] of the sk-learn schema',
  ])('keeps its sense: %s', (words) => {
    expect(clean(words)).toBe(words)
  })
})
