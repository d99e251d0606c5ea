import type { Ctx } from '../../core/context.ts'
import type { RotationState } from './rotation.ts'
import type { AccessClaims } from './shape.ts'
import type { Grant, MintDeps, Minted, Minter, VerifyDeps } from './token.ts'

export type { RotationState } from './rotation.ts'
export { type AccessClaims, type Audience, looksLikeAccessToken } from './shape.ts'
export type { Grant, Minted, Minter } from './token.ts'

// Loaded by the first token: an isolate that serves keys of the API needs none of it.
const load = () => import('./token.ts')

/**
 * Signs an access token for 30 minutes. The installation's signing keys are made and rotated on the way.
 * Throws `DependencyError('postgres')`, and `SealError` when the key cannot be unsealed.
 */
export async function mintAccessToken(deps: MintDeps, grant: Grant): Promise<Minted> {
  return (await openMint(deps))(grant)
}

/** The same in two steps, for those who change something in between that a failure must not follow. */
export async function openMint(deps: MintDeps): Promise<Minter> {
  return (await load()).createMinter(deps)
}

/**
 * What an access token of this installation says, or undefined for everything that is none: forged, expired, of another
 * issuer, signed with a revoked key. Whether its session still lives is not in it.
 * Throws `DependencyError('postgres')` when the keys cannot be read and it could be one.
 */
export async function verifyAccessToken(deps: VerifyDeps, token: string): Promise<AccessClaims | undefined> {
  return (await load()).verify(deps, token)
}

/**
 * An operator's rotation out of turn. Without `revoke` the next key is published now and signs a day later; asked for
 * again, it changes nothing. With `revoke` a key may have leaked: all keys end at once, and with them every access
 * token there is; a new one signs from now on, and sessions go on with their refresh tokens.
 * Audited in the caller's organisation. Throws `DependencyError('postgres')`.
 */
export async function rotateSigningKeys(ctx: Ctx, { revoke }: { revoke: boolean }): Promise<RotationState> {
  const { publishNext, revokeAll } = await import('./rotation.ts')
  return revoke ? revokeAll(ctx) : publishNext(ctx)
}
