import * as z from 'zod'
import { type JobHandler, LONGEST_JOB_MS } from '../job-queue/service.ts'
import { type PullInput, pull } from './pulling.ts'

/** What an attempt has got stays at the node: a large model takes several. */
const MOST_ATTEMPTS = 8

export const pullWork: JobHandler<PullInput> = {
  kind: 'models.pull',
  input: z.object({ name: z.string(), node_id: z.string(), insecure: z.boolean() }),
  scope: 'node:write',
  limitMs: LONGEST_JOB_MS,
  maxAttempts: MOST_ATTEMPTS,
  run: pull,
}
