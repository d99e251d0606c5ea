import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import { keyVersionOf, open, SealError, seal } from '../encryption/service.ts'
import { nodeCredentialPlace } from '../providers/service.ts'
import type { Credential } from './schema.ts'
import type { NodeRow } from './spec.ts'

/** Of a shorter secret the end would give too much away. */
const LEAST_SHOWN = 16

export type Sealed = Pick<NodeRow, 'credential' | 'dek_version' | 'credential_hint'>

export const noCredential: Sealed = { credential: null, dek_version: null, credential_hint: null }

/** What is stored of a credential. Throws `DependencyError('postgres')`. */
export async function sealedCredential(ctx: Ctx, id: string, credential: Credential): Promise<Sealed> {
  const sealed = await seal(ctx, nodeCredentialPlace(ctx.caller.orgId, id), textOf(credential))
  return { credential: sealed, dek_version: keyVersionOf(sealed), credential_hint: hintOf(credential) }
}

/** As it is sealed, and as the way to the node reads it. */
export const textOf = (credential: Credential): string => JSON.stringify(credential)

function hintOf(credential: Credential): string {
  const secret = credential.type === 'bearer' ? credential.token : credential.client_secret
  return secret.length < LEAST_SHOWN ? credential.type : `${credential.type} …${secret.slice(-4)}`
}

/** The stored credential as a text; undefined where there is none. Throws 409 for one that cannot be read. */
export async function openedCredential(ctx: Ctx, { id, credential }: NodeRow): Promise<string | undefined> {
  if (credential === null) return undefined
  try {
    return await open(ctx, nodeCredentialPlace(ctx.caller.orgId, id), credential)
  } catch (error) {
    if (!(error instanceof SealError)) throw error
    throw new AppError('conflict', 'The credential of the node cannot be read: give it again.')
  }
}
