/** What the rest of the program needs to have texts embedded. */
export { askVectors, type Bounds, type Embedded, embedded } from './embed.ts'
export { MAX_INPUTS } from './schema.ts'
