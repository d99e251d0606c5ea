import type { Pool } from '@neondatabase/serverless'
import { secondsOf } from '../src/core/clock.ts'
import { hashSecretToken, newSecretToken } from '../src/core/secret-token.ts'

const LIFE_SECONDS = 15 * 60

/**
 * A new token for `POST /api/v1/auth/bootstrap`, good for fifteen minutes and for one use; undefined when there is an
 * operator already. It is nowhere but in this answer, and ends every earlier one that was not used.
 */
export async function newBootstrapToken(pool: Pick<Pool, 'query'>): Promise<string | undefined> {
  const { rows } = await pool.query('select 1 from users where is_operator limit 1')
  if (rows.length > 0) return undefined
  const now = secondsOf(Date.now())
  const token = newSecretToken('hxb')
  await pool.query('delete from bootstrap_tokens where used_at is null')
  await pool.query('insert into bootstrap_tokens (token_hash, expires_at, created_at) values ($1, $2, $3)', [
    await hashSecretToken(token),
    now + LIFE_SECONDS,
    now,
  ])
  return token
}

/** The call that makes the first operator, to be pasted into a shell once the dots are filled in. */
export const bootstrapCurlOf = (origin: string, token: string): string => `curl ${origin}/api/v1/auth/bootstrap \\
  -H 'Content-Type: application/json' \\
  -d '${JSON.stringify({ token, username: 'admin', email: 'admin@example.com', password: '…', org_name: 'My team' })}'`
