import { afterAll, beforeAll } from 'vitest'
import { attachSuite } from './attach-suite.ts'
import { marksSuite } from './marks-suite.ts'
import { policiesSuite } from './policies-suite.ts'
import { closeWorld, openWorld } from './world.ts'

// One Postgres for all of them: it takes longer to start than they do.
beforeAll(() => openWorld())
afterAll(closeWorld)

policiesSuite()
attachSuite()
marksSuite()
