import { checkedChunks, countsOf, expectedOfChat } from './chat.ts'
import { fieldsOf, type Heard, listOf, type Surface, stringOf } from './surface.ts'

/** The old interface has words for text, the reason of its end and counts. */
const nothing = { thoughts: '', refusal: '', calls: [], sources: [], signatures: [], images: 0 }

const request = (model: string) => ({ model, prompt: 'Hi' })

function heardOf(text: string, end: unknown, usage: unknown): Heard {
  if (typeof end !== 'string') throw new Error('no finish reason')
  return { ...nothing, text, end, counts: countsOf(usage) }
}

/** platform.openai.com/docs/api-reference/completions */
export const text: Surface = {
  name: 'text',
  path: '/v1/completions',
  request,
  streamed: (model) => ({ ...request(model), stream: true, stream_options: { include_usage: true } }),
  whole(body) {
    const { choices, usage, object } = fieldsOf(body)
    const [choice, ...others] = listOf(choices)
    if (object !== 'text_completion' || !choice || others.length > 0) throw new Error('not one choice')
    return heardOf(stringOf(choice.text), choice.finish_reason, usage)
  },
  stream(written) {
    const { chunks, end, usage } = checkedChunks(written)
    const texts = chunks.flatMap(({ choices }) => choices.map((choice) => stringOf(choice.text)))
    return heardOf(texts.join(''), end, usage)
  },
  expected: (truth) => {
    const { text: words, end } = expectedOfChat(truth)
    return { ...nothing, text: words, end }
  },
}
