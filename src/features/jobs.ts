import type { Job } from '../core/jobs.ts'
import { audioJobs } from './audio/jobs.ts'
import { decisionJobs } from './decisions/jobs.ts'
import { encryptionJob } from './encryption/jobs.ts'
import { jobQueueJobs } from './job-queue/jobs.ts'
import { ledgerJobs } from './ledger/jobs.ts'
import { responseJobs } from './responses/jobs.ts'
import { routingJobs } from './routing/jobs.ts'
import { semanticJobs } from './semantic/jobs.ts'
import { uploadsJob } from './uploads/jobs.ts'
import { visionJob } from './vision/jobs.ts'

/** Everything that is done by the clock, in the order in which jobs of the same hour run. */
export const jobs: readonly Job[] = [
  ...ledgerJobs,
  encryptionJob,
  ...responseJobs,
  ...decisionJobs,
  ...routingJobs,
  ...semanticJobs,
  ...audioJobs,
  ...jobQueueJobs,
  uploadsJob,
  visionJob,
]
