import { nightlyTests } from './nightly.ts'
import { rotationTests } from './rotation.ts'
import { storedTests } from './stored.ts'
import { valueTests } from './values.ts'
import { useWorld } from './world.ts'

// One database for all of them: starting it takes longer than any of them.
const world = useWorld()

valueTests(world)
rotationTests(world)
nightlyTests(world)
storedTests(world)
