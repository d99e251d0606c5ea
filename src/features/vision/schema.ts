import * as z from 'zod'
import { booleanField, FileField, FilesField, jsonField, listField, numberField } from '../../http/multipart.ts'
import { MAX_BATCH, MAX_PROMPT_CHARS } from './limits.ts'
import { sourceFields } from './picture.ts'

/** 20 MB as base64, with the head of a `data:` URL. */
const MAX_BASE64_CHARS = 28_000_000

export const UploadId = z.string().regex(/^upl_[0-9a-hjkmnp-tv-z]{26}$/, 'is no id of an upload')

export const pictureFields = {
  file: FileField.optional().describe('A JPEG, PNG, GIF, WebP or BMP. What it is, its bytes say.'),
  image_url: z
    .url({ protocol: /^https?$/ })
    .max(2048)
    .optional()
    .describe('Where it is to be fetched.'),
  image_base64: z.string().min(1).max(MAX_BASE64_CHARS).optional().describe('In JSON: base64 or a `data:` URL.'),
  upload_id: UploadId.optional().describe('Of a file that was uploaded before.'),
}

type Source = Readonly<Partial<Record<(typeof sourceFields)[number], unknown>>>
const countOf = (source: Source): number => sourceFields.filter((field) => source[field] !== undefined).length
export const hasOne = (source: Source): boolean => countOf(source) === 1
export const hasOneAtMost = (source: Source): boolean => countOf(source) <= 1
export const oneSource = { message: 'takes exactly one of file, image_url, image_base64 and upload_id', path: ['file'] }

export const ModelName = z
  .string()
  .min(1)
  .max(255)
  .optional()
  .describe('`node/model` or a model’s name. Without it the best model that sees.')
const Prompt = z.string().min(1).describe(`At most ${MAX_PROMPT_CHARS} characters.`)
export const MaxTokens = numberField(z.int().min(50).max(2000)).default(500)
const Temperature = numberField(z.number().min(0).max(2)).default(0.1)
export const Share = z.number().min(0).max(1)

export const DEFAULT_PROMPT = 'Describe this image in detail'

export const AnalyzeBody = z
  .strictObject({
    ...pictureFields,
    prompt: Prompt.default(DEFAULT_PROMPT),
    model_name: ModelName,
    max_tokens: MaxTokens,
    temperature: Temperature,
    confidence: booleanField()
      .default(false)
      .describe('Asks twice where the model does not tell how sure it is, and compares.'),
  })
  .refine(hasOne, oneSource)
export type AnalyzeBody = z.output<typeof AnalyzeBody>

export const PictureMetadata = z.object({
  width: z.int(),
  height: z.int(),
  format: z.string(),
  frames: z.int().describe('A moving picture is looked at by its first.'),
  size_bytes: z.int(),
  sha256: z.string(),
  scaled: z.boolean().describe('Whether it was made smaller for the model. It is not, here.'),
  declared_type: z.string().optional().describe('What its sender said it is, where that is wrong.'),
  tokens: z.int().nullable().describe('Of the prompt and the answer, as the model counted.'),
})

const confidence = {
  confidence: Share.nullable(),
  confidence_source: z
    .enum(['model', 'logprob', 'agreement'])
    .nullable()
    .describe('Whether the model said so, or its tokens were that probable, or two answers agreed so far.'),
}

export const AnalyzeView = z.object({
  object: z.literal('vision.analysis'),
  filename: z.string().nullable(),
  model_used: z.string(),
  processing_time_ms: z.int(),
  result: z.string(),
  ...confidence,
  metadata: PictureMetadata,
  analyzed_at: z.int(),
})
export type AnalyzeView = z.input<typeof AnalyzeView>

const Label = z.string().trim().min(1).max(100)

export const DetectBody = z
  .strictObject({
    ...pictureFields,
    model_name: ModelName,
    labels: listField(z.array(Label).min(1).max(50)).optional().describe('Only these; all that is seen without it.'),
    min_confidence: numberField(Share).default(0),
  })
  .refine(hasOne, oneSource)
export type DetectBody = z.output<typeof DetectBody>

export const BoxView = z
  .object({ x: Share, y: Share, width: Share, height: Share })
  .describe('In shares of the width and the height, from the top left.')

export const DetectView = z.object({
  object: z.literal('vision.detection'),
  filename: z.string().nullable(),
  model_used: z.string(),
  processing_time_ms: z.int(),
  objects: z.array(
    z.object({
      name: z.string(),
      box: BoxView,
      position: z.string().describe('Where its middle is: `top-left`, `top`, `center`, `right` …'),
      confidence: Share.nullable(),
    }),
  ),
  counts: z.record(z.string(), z.int()),
  ...confidence,
  metadata: PictureMetadata,
  detected_at: z.int(),
})
export type DetectView = z.input<typeof DetectView>

export const ExtractBody = z
  .strictObject({
    ...pictureFields,
    model_name: ModelName,
    language: z.string().trim().min(1).max(64).optional().describe('Of the text, as a hint.'),
    layout: booleanField().default(false).describe('Asks where each block is, too.'),
  })
  .refine(hasOne, oneSource)
export type ExtractBody = z.output<typeof ExtractBody>

export const ExtractView = z.object({
  object: z.literal('vision.text'),
  filename: z.string().nullable(),
  model_used: z.string(),
  processing_time_ms: z.int(),
  extracted_text: z.string(),
  has_text: z.boolean(),
  blocks: z.array(z.object({ text: z.string(), box: BoxView.nullable(), confidence: Share.nullable() })),
  ...confidence,
  metadata: PictureMetadata,
  extracted_at: z.int(),
})
export type ExtractView = z.input<typeof ExtractView>

const Found = z.object({
  id: z.string(),
  node: z.string(),
  name: z.string(),
  capabilities: z.array(z.string()),
  capability_source: z.enum(['show', 'list', 'probe', 'name']).describe('Where that is known from; `name` is a guess.'),
  box_unit: z.enum(['shares', 'thousandths', 'pixels']).describe('What it is asked to tell boxes in.'),
  loaded: z.boolean(),
  size_mb: z.number().nullable(),
  context_length: z.int().nullable(),
})
export const ModelsView = z.object({
  object: z.literal('vision.models'),
  models: z.array(Found),
  total_models: z.int(),
  retrieved_at: z.int(),
})
export type ModelsView = z.input<typeof ModelsView>

export const HealthView = z.object({
  object: z.literal('vision.health'),
  status: z.enum(['healthy', 'unavailable']).describe('Unavailable: no model that sees can be reached.'),
  max_concurrent_tasks: z.int().describe('Of all nodes together.'),
  in_flight: z.int(),
  queued: z.int().describe('Calls of any kind that wait at the nodes.'),
  formats: z.array(z.string()),
  models_available: z.int(),
  image_embedding: z.boolean().describe('Whether pictures are found by themselves, and not by their captions.'),
})
export type HealthView = z.input<typeof HealthView>

export const Metadata = z
  .record(z.string().min(1).max(64), z.union([z.string().max(512), z.number(), z.boolean()]))
  .refine((fields) => Object.keys(fields).length <= 16, { message: 'has more than 16 keys' })
export const MetadataField = jsonField(Metadata)
export const Tags = z.array(z.string().trim().min(1).max(64)).max(32)

const { file: _file, ...named } = pictureFields
const NamedPicture = z
  .strictObject({ ...named, filename: z.string().min(1).max(255).optional() })
  .refine(hasOne, { message: 'takes one of image_url, image_base64 and upload_id' })

export const BatchBody = z
  .strictObject({
    files: FilesField(MAX_BATCH).optional().describe('In a form: up to 10, of 40 MB together.'),
    images: jsonField(z.array(NamedPicture).min(1).max(MAX_BATCH)).optional().describe('Or where they come from.'),
    prompts: listField(z.array(Prompt).max(MAX_BATCH)).default([]).describe('None, one for all, or one for each.'),
    model_name: ModelName,
    max_tokens: MaxTokens,
  })
  .refine(({ files, images }) => (files === undefined) !== (images === undefined), {
    message: 'takes either files or images',
    path: ['files'],
  })
  .refine(({ files, images, prompts }) => [0, 1, (files ?? images ?? []).length].includes(prompts.length), {
    message: 'are none, one, or as many as there are pictures',
    path: ['prompts'],
  })
export type BatchBody = z.output<typeof BatchBody>

export const BatchView = z.object({
  object: z.literal('vision.batch'),
  total_images: z.int(),
  successful_analyses: z.int(),
  failed_analyses: z.int(),
  results: z
    .array(
      z.object({
        index: z.int(),
        filename: z.string().nullable(),
        result: AnalyzeView.nullable(),
        error: z.object({ code: z.string(), message: z.string(), status: z.int() }).nullable(),
      }),
    )
    .describe('In the order of the pictures: a result or an error each.'),
})
export type BatchView = z.input<typeof BatchView>
