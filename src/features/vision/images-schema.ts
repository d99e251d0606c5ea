import * as z from 'zod'
import { booleanField, jsonField, listField, numberField } from '../../http/multipart.ts'
import { pageFields, pageOf } from '../../http/page.ts'
import {
  hasOne,
  hasOneAtMost,
  Metadata,
  MetadataField,
  ModelName,
  oneSource,
  pictureFields,
  Share,
  Tags,
} from './schema.ts'

export const ImageParams = z.object({ id: z.string().regex(/^img_[0-9a-hjkmnp-tv-z]{26}$/) })

const SourceId = z
  .string()
  .regex(/^[^\p{Cc}\s](?:[^\p{Cc}]{0,198}[^\p{Cc}\s])?$/u, 'is no name of 1 to 200 characters')
  .describe('Your own name for what the picture is from.')
const Caption = z.string().trim().min(1).max(2000)

export const IndexBody = z
  .strictObject({
    ...pictureFields,
    caption: Caption.optional().describe('Without it a model that sees writes one. Needed for more than 20 MB.'),
    tags: listField(Tags).default([]),
    metadata: MetadataField.default({}),
    source_id: SourceId.optional(),
    store: booleanField().default(true).describe('False keeps what finds the picture, and not the picture.'),
    model_name: ModelName.describe('Of what writes the caption.'),
  })
  .refine(hasOne, oneSource)
export type IndexBody = z.output<typeof IndexBody>

export const ChangeBody = z
  .strictObject({
    caption: Caption.optional(),
    tags: Tags.optional(),
    metadata: Metadata.optional().describe('In place of what there is.'),
    source_id: SourceId.nullable().optional(),
  })
  .refine((body) => Object.keys(body).length > 0, { message: 'names nothing to change' })
export type ChangeBody = z.output<typeof ChangeBody>

export const ImageView = z.object({
  id: z.string(),
  object: z.literal('image'),
  sha256: z.string(),
  filename: z.string().nullable(),
  mime: z.string(),
  width: z.int(),
  height: z.int(),
  size_bytes: z.int(),
  phash: z.string().nullable().describe('64 bits of what it looks like; null where its pixels cannot be read here.'),
  caption: z.string().nullable(),
  tags: z.array(z.string()),
  source_id: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()),
  stored: z.boolean(),
  created_by: z.string().nullable(),
  created_at: z.int(),
  updated_at: z.int(),
})
export type ImageView = z.input<typeof ImageView>
export const ImagePage = pageOf(ImageView)

const SpaceView = z.enum(['image', 'caption']).describe('By what it is compared: itself, or the text that tells of it.')

export const IndexView = ImageView.extend({
  near_duplicates: z
    .array(z.object({ image_id: z.string(), distance: z.int().describe('Bits, 0 to 4.') }))
    .describe('Pictures that look the same.'),
  space: SpaceView.nullable().describe('Null for one that was there before.'),
})
export type IndexView = z.input<typeof IndexView>

export const ImagesQuery = z.strictObject({
  ...pageFields,
  source_id: SourceId.optional(),
  tag: z.string().min(1).max(64).optional(),
})
export type ImagesQuery = z.output<typeof ImagesQuery>

const Filter = z.strictObject({
  tags: Tags.optional().describe('All of them.'),
  source_id: SourceId.optional(),
})

export const SearchBody = z
  .strictObject({
    ...pictureFields,
    search_prompt: z.string().trim().min(1).optional().describe('At most 2000 characters.'),
    top_k: numberField(z.int().min(1).max(50)).default(10),
    threshold: numberField(Share)
      .optional()
      .describe('Least cosine: 0.7, and 0.2 where words are compared with pictures, which are never as near.'),
    filter: jsonField(Filter).optional(),
  })
  .refine(hasOneAtMost, oneSource)
  .refine((body) => hasOne(body) || body.search_prompt !== undefined, {
    message: 'is missing, and so is a picture',
    path: ['search_prompt'],
  })
export type SearchBody = z.output<typeof SearchBody>

const Result = z.object({
  image_id: z.string(),
  similarity_score: z.number().describe('The cosine.'),
  match: z.enum(['exact', 'near', 'semantic']).describe('The same file, the same picture, or one that is alike.'),
  space: SpaceView,
  caption: z.string().nullable(),
  tags: z.array(z.string()),
  source_id: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()),
})
export type Result = z.input<typeof Result>

export const SearchView = z.object({
  object: z.literal('vision.search'),
  results: z.array(Result),
  search_criteria: z.object({
    by: z.enum(['image', 'text', 'both']),
    top_k: z.int(),
    spaces: z.array(
      z.object({ space: SpaceView, space_id: z.string(), model_used: z.string(), threshold: z.number() }),
    ),
    filter: z.object({ tags: z.array(z.string()).nullable(), source_id: z.string().nullable() }),
  }),
  searched_at: z.int(),
})
export type SearchView = z.input<typeof SearchView>
