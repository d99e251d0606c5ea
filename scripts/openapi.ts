// Prints the OpenAPI document of every route: node scripts/openapi.ts > openapi.json
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadDocument } from '../src/features/docs/document.ts'

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8'))
console.log(JSON.stringify(await loadDocument(version), null, 2))
