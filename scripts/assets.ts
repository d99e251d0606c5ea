// Copies the files that the release serves as static assets into .build/assets; they are never part of the bundle.
import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const target = join(import.meta.dirname, '../.build/assets/docs')
const reference = fileURLToPath(import.meta.resolve('@scalar/api-reference'))

mkdirSync(target, { recursive: true })
copyFileSync(join(dirname(reference), 'browser/standalone.js'), join(target, 'scalar.js'))
console.log(`${target}/scalar.js`)
