const TOKEN_BYTES = 32

/**
 * A secret that is shown once: `<prefix>_` and 43 characters (base64url) of 32 random bytes. Only its hash is kept: so
 * many bits need no salt and no slow hash.
 */
export function newSecretToken(prefix: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES))
  return `${prefix}_${Buffer.from(bytes).toString('base64url')}`
}

/** SHA-256 in hex: the form in which a token of `newSecretToken` is stored and looked up. */
export async function hashSecretToken(token: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
  return Buffer.from(digest).toString('hex')
}
