import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readVariables, toVarsFile, type Variables } from './variables.ts'

const fileIn = (folder: string): string => join(folder, 'generated/seed.vars')

/** What `npm run seed` needs of a running stack. */
export type SeedAccess = { systemUrl: string; proxyUrl: string | undefined; keyPepper: string; origin: string }

/**
 * Leaves what `npm run seed` needs in the state folder, for the user alone: ports and passwords are this run's own.
 * @returns takes it away again
 */
export async function openForSeed(folder: string, access: SeedAccess): Promise<() => Promise<void>> {
  const { systemUrl, proxyUrl, keyPepper, origin } = access
  const file = fileIn(folder)
  const variables = {
    DATABASE_SYSTEM_URL: systemUrl,
    ...(proxyUrl !== undefined && { NEON_PROXY_URL: proxyUrl }),
    KEY_PEPPER: keyPepper,
    JWT_ISSUER: origin,
  }
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await writeFile(file, toVarsFile(variables), { mode: 0o600 })
  return () => rm(file, { force: true })
}

/** The variables that a stack left there; empty when none runs. */
export const seedVariables = (folder: string): Promise<Variables> => readVariables(fileIn(folder), {})
