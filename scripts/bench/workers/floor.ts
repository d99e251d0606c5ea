import { Redis } from '@upstash/redis/cloudflare'
import { Hono } from 'hono'
import type { VendorEnv } from './bare.ts'
import type { FloorHold, FloorSettlement } from './floor-ledger.ts'

type Ledger = { hold(hold: FloorHold): Promise<boolean>; settle(settlement: FloorSettlement): Promise<boolean> }
type Env = VendorEnv & {
  LEDGER: { getByName(name: string): Ledger }
  UPSTASH_REDIS_REST_URL: string
  UPSTASH_REDIS_REST_TOKEN: string
  /** SHA-1 of the script that stands in for admission's. */
  SCRIPT_SHA: string
}

const ORG = 'org_00000000000000000000000000'
/** As many timers as the gateway has, but on a busy machine it has no other way to go. */
const REDIS_TIMEOUT_MS = 10_000

// As many keys and arguments, of the same lengths, as admission sends for a key with both limits and a hard budget.
const keys = [
  `key:${'0'.repeat(64)}`,
  `${ORG}:rl:pol_00000000000000000000000000:requests`,
  `${ORG}:rl:pol_00000000000000000000000000:tokens:29000001`,
  `${ORG}:rl:pol_00000000000000000000000000:tokens:29000000`,
  'tgt:openai/gpt-4o',
  `${ORG}:open`,
]
const limits = ['r', '100000000', '100000000', '1', 't', '1000000000', '128', '2']
const facts = {
  org_id: ORG,
  key_id: 'key_00000000000000000000000000',
  operation: 'chat',
  provider: 'openai',
  model: 'gpt-4o',
  price_id: 'openai/gpt-4o@2024-10-02',
  prices_hash: '0'.repeat(16),
}
const budgets = [{ id: 'bud_00000000000000000000000000', window: 'total', limitNanoUsd: 1e15 }]
const counts = {
  status: 'ok',
  prompt_tokens: 64,
  cached_tokens: 0,
  cache_write_tokens: 0,
  completion_tokens: 16,
  reasoning_tokens: 0,
  cost_nanos: 320_000,
  estimated: false,
  attempts: 1,
  latency_ms: 5,
  ttft_ms: null,
  error_code: null,
  stream: false,
}

/** What goes with a row: the request, the decision and what was measured, as many bytes as the gateway's. */
const beside = (request_id: string) => ({
  request: {
    request_id,
    org_id: ORG,
    key_id: facts.key_id,
    user_id: null,
    method: 'POST',
    path: '/v1/chat/completions',
    status_code: 200,
    error_code: null,
    ip: null,
    user_agent: null,
    client_request_id: null,
    response_time_ms: 28,
    bytes_in: 299,
    bytes_out: 635,
    created_at: 1_795_333_364,
  },
  decision: {
    id: 'dec_00000000000000000000000000',
    org_id: ORG,
    request_id,
    key_id: facts.key_id,
    user_id: null,
    asked_model: 'gpt-4o',
    strategy: 'explicit',
    candidates: [{ target: 'openai/gpt-4o', reason: 'explicit_choice' }],
    excluded: [],
    attempts: [{ target: 'openai/gpt-4o', outcome: 'ok', duration_ms: 5 }],
    chosen: 'openai/gpt-4o',
    outcome: 'ok',
    cache: 'off',
    is_stream: false,
    policy_version: '0'.repeat(16),
    prices_version: facts.prices_hash,
    created_at: 1_795_333_364,
    propensity: 1,
    relaxed: [],
    routing_policy_id: null,
    routing_policy_version: null,
    task_type: 'text_generation',
    complexity: null,
    experiment: null,
    inputs: { strategy: 'explicit', options: [{ id: 'openai/gpt-4o' }], most: 1 },
  },
  measured: [{ id: 'openai/gpt-4o', ok: true, latencyMs: 5, outputTokens: 16, taskType: 'text_generation' }],
})

let client: Redis | undefined
const redisOf = (env: Env): Redis => {
  client ??= new Redis({
    url: env.UPSTASH_REDIS_REST_URL,
    token: env.UPSTASH_REDIS_REST_TOKEN,
    enableTelemetry: false,
    automaticDeserialization: false,
    responseEncoding: false,
    enableAutoPipelining: false,
    retry: false,
    signal: () => AbortSignal.timeout(REDIS_TIMEOUT_MS),
  })
  return client
}

const forward = (env: Env, body: BodyInit | null) =>
  fetch(`${env.VENDOR_URL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${env.VENDOR_KEY}` },
    body,
  })

async function drain(stream: ReadableStream<Uint8Array>): Promise<void> {
  const reader = stream.getReader()
  while (!(await reader.read()).done);
}

const app = new Hono<{ Bindings: Env }>()

app.post('/v1/chat/completions', async (c) => {
  const { env, executionCtx } = c
  const request_id = crypto.randomUUID()
  const now = Date.now()
  const open = JSON.stringify({
    amountNanoUsd: 1_000_000,
    deadlineMs: now,
    budgets,
    facts: { ...facts, request_id, run_id: null, user_id: null, agent_id: null },
  })
  const args = ['0'.repeat(16), String(now), String(now % 60_000), '2', '1', '0', request_id, open, ...limits]
  await Promise.all([
    redisOf(env).evalsha(env.SCRIPT_SHA, keys, args),
    env.LEDGER.getByName(ORG).hold({ request_id, open }),
  ])
  const response = await forward(env, c.req.raw.body)
  const row = { ...facts, ...counts, id: `led_${request_id}`, request_id, created_at: Math.floor(now / 1000) }
  const rowText = JSON.stringify({ ...row, ...beside(request_id) })
  const correctionsText = JSON.stringify([{ key: keys[2] ?? '', delta: -48 }])
  const { cost_nanos } = counts
  executionCtx.waitUntil(
    env.LEDGER.getByName(ORG).settle({ request_id, cost_nanos, rowText, correctionsText, countersText: '[]', budgets }),
  )
  return response
})

/** The price of looking at a stream while it passes: one JS reader on the other side of a tee. */
app.post('/tee', async (c) => {
  const response = await forward(c.env, c.req.raw.body)
  if (!response.body) return response
  const [caller, reader] = response.body.tee()
  c.executionCtx.waitUntil(drain(reader))
  return new Response(caller, response)
})

/** The least that a stream through JavaScript costs: read and written again, with nothing in between. */
app.post('/pump', async (c) => {
  const response = await forward(c.env, c.req.raw.body)
  if (!response.body) return response
  const reader = response.body.getReader()
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read()
        if (done) controller.close()
        else controller.enqueue(value)
      },
    },
    { highWaterMark: 0 },
  )
  return new Response(body, response)
})

/** The same calls to Redis, the ledger and the vendor that the gateway makes, with nothing decided in between. */
export const worker = app
