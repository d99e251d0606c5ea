import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where the first file that needs a migrated Postgres leaves a copy for the others of this run. */
    snapshotFolder: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'helix-snapshot-'))
  project.provide('snapshotFolder', folder)
  return () => rm(folder, { recursive: true, force: true })
}
