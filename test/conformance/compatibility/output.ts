import { type Feature, format, sampled, schema } from './words.ts'

/** How the answer shall be. */
export const output: readonly Feature[] = [
  {
    name: 'most tokens',
    ask: {
      ...sampled({ max_tokens: 55 }),
      messages: { asked: { max_tokens: 55 } },
      responses: { asked: { max_output_tokens: 55 } },
    },
  },
  { name: 'temperature', ask: { ...sampled({ temperature: 0.5 }), messages: { asked: { temperature: 0.5 } } } },
  { name: 'temperature above 1', ask: sampled({ temperature: 1.5 }) },
  { name: '`top_p`', ask: { ...sampled({ top_p: 0.5 }), messages: { asked: { top_p: 0.5 } } } },
  { name: '`top_k`', ask: { chat: { asked: { top_k: 5 } }, messages: { asked: { top_k: 5 } } } },
  {
    name: 'stop sequences',
    ask: {
      chat: { asked: { stop: ['END'] } },
      text: { asked: { stop: ['END'] } },
      messages: { asked: { stop_sequences: ['END'] } },
    },
  },
  { name: '`seed`', ask: { chat: { asked: { seed: 7 } }, text: { asked: { seed: 7 } } } },
  {
    name: 'penalties',
    ask: { chat: { asked: { presence_penalty: 0.5 } }, text: { asked: { presence_penalty: 0.5 } } },
  },
  { name: '`logit_bias`', ask: { chat: { asked: { logit_bias: { 50256: -100 } } } } },
  { name: 'several choices', ask: { chat: { asked: { n: 2 } }, text: { asked: { n: 2 } } } },
  {
    name: 'probabilities',
    ask: {
      chat: { asked: { logprobs: true, top_logprobs: 2 } },
      text: { asked: { logprobs: 2 } },
      responses: { asked: { top_logprobs: 2, include: ['message.output_text.logprobs'] } },
    },
  },
  {
    name: 'any JSON',
    ask: {
      chat: { asked: { response_format: { type: 'json_object' } } },
      responses: { asked: { text: { format: { type: 'json_object' } } } },
    },
  },
  {
    name: 'JSON of a schema',
    ask: {
      chat: { asked: { response_format: { type: 'json_schema', json_schema: format } } },
      messages: { asked: { output_config: { format: { type: 'json_schema', schema } } } },
      responses: { asked: { text: { format: { type: 'json_schema', ...format } } } },
    },
  },
  {
    name: 'how hard to think',
    ask: {
      chat: { asked: { reasoning_effort: 'high' } },
      messages: { asked: { output_config: { effort: 'high' } } },
      responses: { asked: { reasoning: { effort: 'high' } } },
    },
  },
  {
    name: 'a budget of thoughts',
    ask: {
      messages: {
        asked: { max_tokens: 8000, thinking: { type: 'enabled', budget_tokens: 4000 } },
        plain: { max_tokens: 8000 },
      },
    },
  },
  {
    name: 'how much to say',
    ask: { chat: { asked: { verbosity: 'low' } }, responses: { asked: { text: { verbosity: 'low' } } } },
  },
  { name: 'images in the answer', ask: { chat: { asked: { modalities: ['text', 'image'] } } } },
  { name: '`suffix`', ask: { text: { asked: { suffix: 'The end.' } } } },
  { name: '`best_of`', ask: { text: { asked: { best_of: 2 } } } },
]
