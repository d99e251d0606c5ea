import type { TestProject } from 'vitest/node'
import { openSnapshots } from '../postgres-copies.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where the first file that needs a migrated Postgres leaves a copy for the others of this run. */
    snapshotFolder: string
    /** Whether files follow each other in one process: see `vitest.config.ts`. */
    sharesProcess?: boolean
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { folder, close } = await openSnapshots()
  project.provide('snapshotFolder', folder)
  return close
}
