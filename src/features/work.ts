import { transcribeWork } from './audio/work.ts'
import type { JobHandler } from './job-queue/service.ts'
import { pullWork } from './node-models/work.ts'
import { replayWork } from './routing/work.ts'
import { indexWork } from './semantic/work.ts'
import { visionWork } from './vision/work.ts'

/** Everything that is done after its call was answered, by kind. Loaded by the first message that a queue brings. */
export const workHandlers: readonly JobHandler[] = [replayWork, pullWork, indexWork, visionWork, transcribeWork]
