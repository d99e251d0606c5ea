import * as z from 'zod'

export const MOST_UPLOAD_BYTES = 100 * 1024 * 1024

export const UploadParams = z.object({ id: z.string().regex(/^upl_[0-9a-hjkmnp-tv-z]{26}$/) })

export const CreateUpload = z.strictObject({
  filename: z.string().min(1).max(255),
  content_type: z
    .string()
    .max(127)
    .regex(/^[\w.+-]+\/[\w.+-]+$/, 'must be a media type such as audio/mpeg')
    .optional()
    .describe('What you say it is. What it is, its first bytes say.'),
  size_bytes: z.int().min(1).max(MOST_UPLOAD_BYTES).describe('The most that will come, up to 100 MB.'),
})
export type CreateUpload = z.output<typeof CreateUpload>

export const UploadView = z.object({
  id: z.string(),
  object: z.literal('upload'),
  status: z.enum(['waiting', 'ready']),
  filename: z.string().nullable(),
  content_type: z.string().nullable(),
  size_bytes: z.int().nullable().describe('As announced; what came, once it is ready.'),
  sha256: z.string().nullable().describe('In hexadecimal, once it is ready.'),
  upload_url: z.string().describe('Where its bytes go, with PUT.'),
  expires_at: z.int().describe('When it is gone. Unix seconds.'),
  created_at: z.int(),
})
export type UploadView = z.input<typeof UploadView>
