import { hashText } from './pieces.ts'

export type TokenLogprob = { token: string; logprob: number; bytes: number[] }
export type Logprob = TokenLogprob & { top_logprobs?: TokenLogprob[] }

const alternatives = 20

/** Between -0.5 and 0: the same token always has the same. */
function tokenLogprob(token: string): TokenLogprob {
  const logprob = -((hashText(token) % 1000) + 1) / 2000
  return { token, logprob, bytes: [...Buffer.from(token)] }
}

/** Made-up log probabilities, with as many likely tokens for each as asked. */
export function logprobsOf(tokens: readonly string[], top: number): Logprob[] {
  return tokens.map((token) => {
    const own = tokenLogprob(token)
    if (top === 0) return own
    const others = Array.from({ length: Math.min(top, alternatives) - 1 }, (_, index) => ({
      ...tokenLogprob(`${token}${index + 2}`),
      logprob: own.logprob - index - 1,
    }))
    return { ...own, top_logprobs: [own, ...others] }
  })
}
