import * as z from 'zod'

const count = z.int().min(0)
const time = z.int().describe('Unix seconds.')

const Job = z.object({
  id: z.string().describe('`rot_` and the version of the data key that everything is sealed under in the end.'),
  object: z.literal('job'),
  kind: z.literal('encryption.rotate'),
  status: z
    .enum(['running', 'completed', 'failed'])
    .describe('running: rows are left under older keys; call again. failed: what is left does not open.'),
  version: z.int().describe('The data key that new values are sealed with.'),
  progress: z.object({ done: count, total: count }).describe('Rows under that key, and sealed rows in all.'),
  created_at: time.describe('Unix seconds since when there is that key.'),
  due_at: time.describe('Unix seconds by which the nightly run has done what calls have not.'),
})

export const RotationJob = Job.extend({
  run: z
    .object({ rows: count, unreadable_rows: count, keys: count, unreadable_keys: count })
    .describe('What this call sealed again, and which data keys it wrapped anew.'),
})
export type Job = z.output<typeof Job>
export type RotationJob = z.output<typeof RotationJob>

export const EncryptionStatus = z.object({
  object: z.literal('encryption_status'),
  active: z
    .object({
      version: z.int(),
      created_at: time,
      age_seconds: count,
      replaced_at: time.describe('From then on the next value that is sealed gets a new key.'),
    })
    .nullable()
    .describe('The data key that new values are sealed with; null before the first of them.'),
  keys: z.array(
    z.object({
      version: z.int(),
      state: z.enum(['active', 'retired']),
      created_at: time,
      kek_id: z.string().describe('Names the key-encryption key that wraps it.'),
      is_current: z.boolean().describe('Whether that is the current one.'),
    }),
  ),
  kek_ids: z.array(z.string()).describe('Of the key-encryption keys that this organisation still needs.'),
  columns: z.array(
    z.object({
      table: z.string(),
      column: z.string(),
      rows: z.array(
        z.object({ version: z.int().nullable().describe('Null: a text that is not sealed.'), rows: count }),
      ),
    }),
  ),
  rotation: Job.nullable(),
})
export type EncryptionStatus = z.output<typeof EncryptionStatus>
