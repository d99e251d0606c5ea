import type { Admission } from '../../../src/core/admission.ts'
import type { Ctx } from '../../../src/core/context.ts'
import { fakeAdmission } from '../../support/fake-deps.ts'
import { type Sent, startGateway, type TestGateway, type TestGatewayOptions } from '../../support/gateway.ts'

export const OUTER = 'req_outer'

/** A whole answer of a vendor. */
export const completion = (content: string, more: { finish?: string; logprobs?: unknown } = {}) =>
  Response.json({
    id: 'c1',
    object: 'chat.completion',
    created: 1,
    model: 'gpt-4o-mini',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content },
        finish_reason: more.finish ?? 'stop',
        logprobs: more.logprobs ?? null,
      },
    ],
    usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 },
  })

/** The same of a node. */
export const nodeAnswer = (content: string, more: Record<string, unknown> = {}) =>
  Response.json({
    model: 'llama3',
    message: { role: 'assistant', content },
    done: true,
    done_reason: 'stop',
    prompt_eval_count: 100,
    eval_count: 10,
    ...more,
  })

/** Says yes, whoever it is. */
export const yes = ({ to }: Sent) => (to === 'ollama' ? nodeAnswer('yes') : completion('yes'))

export type CallsWorld = TestGateway & {
  /** The view of a request that was admitted with nothing held; `signal` is its caller's. */
  ctx: (given?: Partial<Pick<Ctx, 'signal' | 'arrival' | 'defer'>>) => Ctx
}

/** A request inside the gateway of the other suites: real admission, routing, booking and adapters. */
export async function startCalls(options: TestGatewayOptions = {}): Promise<CallsWorld> {
  const gateway = await startGateway({ upstream: yes, ...options })
  const { deps, policy, defer } = gateway
  const admission: Admission = { ...fakeAdmission(), policy }
  const { orgId, keyId, kind, userId, role, scopes } = policy
  const caller = { orgId, keyId, kind, userId, role, scopes, ip: '192.0.2.1' }
  return {
    ...gateway,
    ctx: (given = {}) => ({
      ...deps,
      caller,
      admission,
      requestId: OUTER,
      signal: new AbortController().signal,
      startedMs: deps.now(),
      defer,
      ...given,
    }),
  }
}

/** Money enough for many calls. */
export const budget = { id: 'bud_1', window: 'total', limitNanoUsd: 1_000_000_000 } as const

export const question = (more: object = {}) => ({
  model: 'gpt-4o-mini',
  messages: [{ role: 'user', content: 'Is it?' }],
  maxTokens: 50,
  taskType: 'question_answering' as const,
  ...more,
})
