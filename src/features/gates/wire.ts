import * as z from 'zod'

/** What a node's servers say of themselves, as far as anybody looks at it. What is malformed is as if it were not there. */

const MOST_MODELS = 200
/** What no terminal, log or header could show is no name. */
const word = (most: number) =>
  z
    .string()
    .max(most)
    .regex(/^\P{C}*$/u)
const text = word(128).optional().catch(undefined)
/** A petabyte, or any time: what is larger was made up, and so was what is less than nothing. */
const figure = z.number().nonnegative().max(1e15).optional().catch(undefined)
const share = z.number().min(0).max(1).optional().catch(undefined)
const someWords = z
  .array(z.string().max(64))
  .transform((list) => list.slice(0, 16))
  .optional()
  .catch(undefined)

/** Those that can be read, of a list that must be one. */
const readable = <T>(item: z.ZodType<T>) =>
  z.array(z.unknown()).transform((list) =>
    list.slice(0, MOST_MODELS).flatMap((one) => {
      const parsed = item.safeParse(one)
      return parsed.success ? [parsed.data] : []
    }),
  )

const name = word(255).min(1)

export const Version = z.looseObject({ version: text })

export const Tags = z.looseObject({
  models: readable(
    z.looseObject({
      name,
      digest: text,
      /** Bytes. */
      size: figure,
      modified_at: text,
      capabilities: someWords,
      details: z
        .looseObject({ family: text, parameter_size: text, quantization_level: text, context_length: figure })
        .optional()
        .catch(undefined),
    }),
  ),
})
export type Tagged = z.output<typeof Tags>['models'][number]

export const Running = z.looseObject({
  models: readable(z.looseObject({ name, size_vram: figure, expires_at: text })),
})

export const Shown = z.looseObject({
  capabilities: someWords,
  model_info: z.record(z.string(), z.unknown()).optional().catch(undefined),
})

/** OpenAI's list, with what servers add to it. */
export const Listed = z.looseObject({ data: readable(z.looseObject({ id: name, task: text, created: figure })) })

export const Metrics = z.looseObject({
  version: text,
  gpus: readable(z.looseObject({ name: text, memory_mb: figure, free_mb: figure, utilisation: share })),
})

export const Embedded = z.looseObject({ embeddings: z.array(z.array(z.number()).min(1)).min(1) })
export const Generated = z.looseObject({ done: z.literal(true), prompt_eval_count: figure })
export const Transcribed = z.looseObject({ text: z.string() })
