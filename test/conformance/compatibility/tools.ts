import {
  chatLoop,
  chatTool,
  dataUrl,
  type Feature,
  hi,
  image,
  inHi,
  messagesLoop,
  messagesTool,
  responsesLoop,
  responsesTool,
  source,
  withTool,
} from './words.ts'

/** Tools, their choice and their results. */
export const tools: readonly Feature[] = [
  {
    name: 'functions',
    ask: {
      chat: { asked: { tools: [chatTool] } },
      messages: { asked: { tools: [messagesTool] } },
      responses: { asked: { tools: [responsesTool] } },
    },
  },
  {
    name: 'functions with a strict schema',
    ask: {
      chat: {
        asked: { tools: [{ ...chatTool, function: { ...chatTool.function, strict: true } }] },
        plain: { tools: [chatTool] },
      },
      messages: { asked: { tools: [{ ...messagesTool, strict: true }] }, plain: { tools: [messagesTool] } },
      responses: { asked: { tools: [{ ...responsesTool, strict: true }] }, plain: { tools: [responsesTool] } },
    },
  },
  {
    name: 'tools that take a text',
    ask: {
      chat: { asked: { tools: [{ type: 'custom', custom: { name: 'write' } }] } },
      responses: { asked: { tools: [{ type: 'custom', name: 'write' }] } },
    },
  },
  {
    name: 'tools that a vendor runs',
    ask: {
      chat: { asked: { web_search_options: { search_context_size: 'low' } } },
      messages: { asked: { tools: [{ type: 'web_search_20250305', name: 'web_search' }] } },
      responses: { asked: { tools: [{ type: 'web_search' }] } },
    },
  },
  {
    name: 'a call is demanded',
    ask: withTool({ tool_choice: 'required' }, { tool_choice: { type: 'any' } }, { tool_choice: 'required' }),
  },
  {
    name: 'one tool is demanded',
    ask: withTool(
      { tool_choice: { type: 'function', function: { name: 'look' } } },
      { tool_choice: { type: 'tool', name: 'look' } },
      { tool_choice: { type: 'function', name: 'look' } },
    ),
  },
  {
    name: 'no call is allowed',
    ask: withTool({ tool_choice: 'none' }, { tool_choice: { type: 'none' } }, { tool_choice: 'none' }),
  },
  {
    name: 'one call at a time',
    ask: withTool(
      { parallel_tool_calls: false },
      { tool_choice: { type: 'auto', disable_parallel_tool_use: true } },
      { parallel_tool_calls: false },
    ),
  },
  {
    name: 'results of tools',
    ask: {
      chat: { asked: chatLoop({}) },
      messages: { asked: messagesLoop({}) },
      responses: { asked: responsesLoop('Sunny') },
    },
  },
  {
    name: 'a result that is a failure',
    ask: {
      chat: { asked: chatLoop({ is_error: true }), plain: chatLoop({}) },
      messages: { asked: messagesLoop({ is_error: true }), plain: messagesLoop({}) },
    },
  },
  {
    name: 'an image in a result',
    ask: {
      chat: { asked: chatLoop({ content: [hi, image(dataUrl)] }), plain: chatLoop({ content: [hi] }) },
      messages: {
        asked: messagesLoop({ content: [hi, { type: 'image', source }] }),
        plain: messagesLoop({ content: [hi] }),
      },
      responses: {
        asked: responsesLoop([inHi, { type: 'input_image', image_url: dataUrl }]),
        plain: responsesLoop([inHi]),
      },
    },
  },
]
