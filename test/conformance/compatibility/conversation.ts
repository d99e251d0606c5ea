import {
  address,
  chatCall,
  chatLoop,
  dataUrl,
  type Feature,
  hi,
  image,
  inHi,
  items,
  marked,
  messagesLoop,
  ofGoogle,
  PDF,
  signed,
  source,
  turns,
  user,
} from './words.ts'

/** What can be said before an answer. */
export const conversation: readonly Feature[] = [
  {
    name: 'instructions',
    ask: {
      chat: { asked: turns({ role: 'system', content: 'Be brief.' }, user(hi)) },
      messages: { asked: { system: 'Be brief.' } },
      responses: { asked: { instructions: 'Be brief.' } },
    },
  },
  {
    name: 'several turns',
    ask: {
      chat: { asked: turns(user(hi), { role: 'assistant', content: 'Hello.' }, user(hi)) },
      messages: { asked: turns(user(hi), { role: 'assistant', content: 'Hello.' }, user(hi)) },
      responses: { asked: items(user(inHi), { role: 'assistant', content: 'Hello.' }, user(inHi)) },
    },
  },
  {
    name: 'image by its bytes',
    ask: {
      chat: { asked: turns(user(hi, image(dataUrl))) },
      messages: { asked: turns(user(hi, { type: 'image', source })) },
      responses: { asked: items(user(inHi, { type: 'input_image', image_url: dataUrl })) },
    },
  },
  {
    name: 'image by its address',
    ask: {
      chat: { asked: turns(user(hi, image(address))) },
      messages: { asked: turns(user(hi, { type: 'image', source: { type: 'url', url: address } })) },
      responses: { asked: items(user(inHi, { type: 'input_image', image_url: address })) },
    },
  },
  {
    name: 'PDF by its bytes',
    ask: {
      chat: {
        asked: turns(
          user(hi, { type: 'file', file: { file_data: `data:application/pdf;base64,${PDF}`, filename: 'a.pdf' } }),
        ),
      },
      messages: {
        asked: turns(
          user(hi, { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: PDF } }),
        ),
      },
      responses: {
        asked: items(
          user(inHi, { type: 'input_file', file_data: `data:application/pdf;base64,${PDF}`, filename: 'a.pdf' }),
        ),
      },
    },
  },
  {
    name: 'file by its id',
    ask: {
      chat: { asked: turns(user(hi, { type: 'file', file: { file_id: 'file-1' } })) },
      messages: { asked: turns(user(hi, { type: 'document', source: { type: 'file', file_id: 'file_1' } })) },
      responses: { asked: items(user(inHi, { type: 'input_file', file_id: 'file-1' })) },
    },
  },
  {
    name: 'audio',
    ask: {
      chat: { asked: turns(user(hi, { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } })) },
      responses: {
        asked: items(user(inHi, { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } })),
      },
    },
  },
  {
    name: 'marks for a cache',
    ask: {
      chat: { asked: turns(user({ ...hi, ...marked }, hi)), plain: turns(user(hi, hi)) },
      messages: { asked: turns(user({ ...hi, ...marked }, hi)), plain: turns(user(hi, hi)) },
    },
  },
  {
    name: 'thoughts that Anthropic signed',
    ask: {
      chat: {
        asked: chatLoop({}, { reasoning_content: 'Hm.', thinking_blocks: [signed] }),
        plain: chatLoop({}),
      },
      messages: { asked: messagesLoop({}, signed), plain: messagesLoop({}) },
    },
  },
  {
    name: 'calls that Gemini signed',
    ask: {
      chat: { asked: chatLoop({}, { tool_calls: [{ ...chatCall, ...ofGoogle }] }), plain: chatLoop({}) },
    },
  },
]
