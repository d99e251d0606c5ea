import { afterAll, beforeAll } from 'vitest'
import { createLots } from '../../../src/features/routing/lots.ts'
import { attachSuite } from './attach-suite.ts'
import { marksSuite } from './marks-suite.ts'
import { policiesSuite } from './policies-suite.ts'
import { replaySuite } from './replay-suite.ts'
import { closeWorld, openWorld } from './world.ts'

const answer = () =>
  Response.json({
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content: 'Hello!' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
  })

// One Postgres for all of them: it takes longer to start than they do.
beforeAll(() => openWorld({ upstream: answer, deps: { random: createLots(0.42) } }))
afterAll(closeWorld)

policiesSuite()
attachSuite()
marksSuite()
replaySuite()
