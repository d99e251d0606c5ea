// Writes docs/compatibility.md: node --disable-warning=ExperimentalWarning scripts/compatibility.ts
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compatibilityDocument } from '../test/conformance/compatibility/document.ts'
import { startWorld } from '../test/conformance/world.ts'

const file = join(import.meta.dirname, '../docs/compatibility.md')
writeFileSync(file, await compatibilityDocument(await startWorld()))
