import { expect, it } from 'vitest'
import type { LedgerBooks, LedgerRow } from '../../../src/core/ledger.ts'
import { createMemory } from '../../../src/core/memory.ts'
import { costNanoUsd, findPrice, modelOf } from '../../../src/features/catalog/service.ts'
import { type Sent, startGateway } from '../../support/gateway.ts'
import { count } from '../../support/lane.ts'
import { scriptedBody } from '../../support/scripted-body.ts'
import { budgetOf } from './calls.ts'
import { ledgersOver, ledgerWorld } from './world.ts'

const CALLS = count(600, 100_000)
const AT_ONCE = 16
const budget = budgetOf(Number.MAX_SAFE_INTEGER)
const models = ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'gpt-4-turbo', 'gpt-3.5-turbo', 'o4-mini'] as const
const EMBEDDING = 'text-embedding-3-small'

type Counts = { prompt: number; cached: number; completion: number; reasoning: number }

/** What the vendor billed for a call in whole, by arithmetic that shares nothing with the product's. */
type Bill = Counts & { model: string; nanoUsd: bigint }

function billOf(model: string, counts: Counts): Bill {
  const prices = modelOf('openai', model)?.price?.base
  if (!prices) throw new Error(`no price for ${model}`)
  const total =
    BigInt(counts.prompt - counts.cached) * BigInt(prices.input) +
    BigInt(counts.cached) * BigInt(prices.cachedInput) +
    BigInt(counts.completion) * BigInt(prices.output)
  return { ...counts, model, nanoUsd: total / 1_000_000n + (total % 1_000_000n > 0n ? 1n : 0n) }
}

const kinds = ['whole', 'stream', 'stream', 'embedding', 'refused', 'cut', 'left', 'whole'] as const

/** The same call for the same number, spread over kinds, models and counts. */
function callOf(at: number) {
  const kind = kinds[(at * 7) % kinds.length] ?? 'whole'
  const model = kind === 'embedding' ? EMBEDDING : (models[(at * 5) % models.length] ?? 'gpt-4o')
  const prompt = 1 + ((at * 7919) % 4000)
  const completion = kind === 'embedding' ? 0 : (at * 104_729) % 1500
  const counts = { prompt, cached: at % 3 === 0 ? (at * 31) % (prompt + 1) : 0, completion, reasoning: completion >> 2 }
  return { kind, model, counts: kind === 'embedding' ? { ...counts, cached: 0 } : counts }
}

const usageOf = ({ prompt, cached, completion, reasoning }: Counts) => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  prompt_tokens_details: { cached_tokens: cached },
  completion_tokens_details: { reasoning_tokens: reasoning },
})

/** A vendor that writes a bill for whatever it answers in whole. */
function vendorWith(bills: Map<string, Bill>) {
  return ({ body, signal }: Sent): Response => {
    const marker = String(body.user)
    const { kind, model, counts } = callOf(Number(marker))
    if (kind === 'refused') return Response.json({ error: { message: 'no', type: 'x' } }, { status: 400 })
    if (kind !== 'cut' && kind !== 'left') bills.set(marker, billOf(model, counts))
    const usage = usageOf(counts)
    if (kind === 'embedding') {
      const data = [{ object: 'embedding', index: 0, embedding: [0.5] }]
      return Response.json({ object: 'list', data, model, usage })
    }
    const head = { id: 'c', created: 1, model }
    if (kind === 'whole') {
      const choices = [{ index: 0, message: { role: 'assistant', content: 'Yes.' }, finish_reason: 'stop' }]
      return Response.json({ ...head, object: 'chat.completion', choices, usage })
    }
    const chunk = (choices: unknown[], more: object = {}) =>
      `data: ${JSON.stringify({ ...head, object: 'chat.completion.chunk', choices, ...more })}\n\n`
    const words = Array.from({ length: 4 }, () => chunk([{ index: 0, delta: { content: 'word ' } }]))
    if (kind === 'cut') return scriptedBody(words, { end: 'reset', signal }).response
    if (kind === 'left') return scriptedBody(words, { end: 'hang', signal }).response
    const end = [chunk([{ index: 0, delta: {}, finish_reason: 'stop' }]), chunk([], { usage }), 'data: [DONE]\n\n']
    return scriptedBody([...words, ...end], { signal }).response
  }
}

const total = (rows: readonly LedgerRow[]) => rows.reduce((sum, { cost_nanos }) => sum + BigInt(cost_nanos), 0n)

/** Compared as text: a matcher for each of a hundred thousand rows takes longer than the calls. */
function checkBilled(row: LedgerRow | undefined, bill: Bill): void {
  const ours = [row?.model, row?.prompt_tokens, row?.cached_tokens, row?.completion_tokens, row?.reasoning_tokens]
  const theirs = [bill.model, bill.prompt, bill.cached, bill.completion, bill.reasoning]
  if (`${ours},${row?.cost_nanos},${row?.estimated}` === `${theirs},${bill.nanoUsd},false`) return
  throw new Error(`${row?.request_id}: ${ours} at ${row?.cost_nanos} is not ${theirs} at ${bill.nanoUsd}`)
}

/** What its counts cost by the price that it names. */
function checkRecomputed(row: LedgerRow): void {
  const price = findPrice(row.price_id)
  const usage = {
    prompt: row.prompt_tokens,
    cached: row.cached_tokens,
    cacheWrite: row.cache_write_tokens,
    completion: row.completion_tokens,
    reasoning: row.reasoning_tokens,
  }
  if (!price || costNanoUsd(price, usage) !== row.cost_nanos) throw new Error(`${row.id} is not computed again`)
}

type Gateway = Awaited<ReturnType<typeof startGateway>>

/** Makes a call and gives back its request id. */
async function make(gateway: Gateway, at: number): Promise<string> {
  const { kind, model } = callOf(at)
  const chat = {
    model,
    messages: [{ role: 'user', content: 'Hello' }],
    max_completion_tokens: 1500,
    stream: kind === 'stream' || kind === 'cut' || kind === 'left',
    user: String(at),
  }
  const response = await (kind === 'embedding'
    ? gateway.call('/v1/embeddings', { model, input: 'Hello', user: String(at) })
    : gateway.chat(chat))
  if (kind === 'left') {
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
  } else await response.text()
  return response.headers.get('x-request-id') ?? ''
}

it(
  'comes to what the vendor billed, row by row and in sum, and so do the books, though all is settled twice',
  async () => {
    const world = ledgerWorld()
    const twice: LedgerBooks = {
      ...world.ledger,
      settle: async (calls) => {
        const areFirst = await world.ledger.settle(calls)
        expect(await world.ledger.settle(calls)).toEqual(calls.map(() => false))
        return areFirst
      },
    }
    const bills = new Map<string, Bill>()
    const gateway = await startGateway({
      policy: { orgId: 'org_1', budgets: [budget] },
      now: () => world.state.nowMs,
      deps: {
        ledgerOf: ledgersOver(
          () => twice,
          () => world.state.nowMs,
        ),
        // What ends at about the same time is settled together.
        memory: createMemory(),
      },
      upstream: vendorWith(bills),
    })
    const markerOf = new Map<string, string>()
    for (let first = 0; first < CALLS; first += AT_ONCE) {
      const numbers = Array.from({ length: Math.min(AT_ONCE, CALLS - first) }, (_unused, at) => first + at)
      await Promise.all(numbers.map(async (at) => markerOf.set(await make(gateway, at), String(at))))
      await gateway.rows()
      gateway.heal()
      if (first % (AT_ONCE * 8) === 0) await world.pass(1000)
    }
    await world.pass(60_000)

    const rows = [...world.state.rows.values()]
    expect(rows).toHaveLength(CALLS)
    rows.forEach(checkRecomputed)
    const rowOf = new Map(rows.map((row) => [markerOf.get(row.request_id), row]))
    expect(bills.size).toBeGreaterThan(CALLS / 2)
    let billedNanoUsd = 0n
    for (const [marker, bill] of bills) {
      checkBilled(rowOf.get(marker), bill)
      billedNanoUsd += bill.nanoUsd
    }
    const kindOf = ({ request_id }: LedgerRow) => callOf(Number(markerOf.get(request_id))).kind
    expect(total(rows.filter((row) => bills.has(markerOf.get(row.request_id) ?? '')))).toBe(billedNanoUsd)
    expect(total(rows.filter((row) => kindOf(row) === 'refused'))).toBe(0n)
    // Who was cut off pays for what came, by our own count.
    const ours = rows.filter((row) => kindOf(row) === 'cut' || kindOf(row) === 'left')
    expect(ours.filter((row) => !row.estimated || row.cost_nanos === 0)).toEqual([])
    const [spend] = await world.ledger.spend([budget])
    expect(spend).toEqual({ id: budget.id, settledNanoUsd: Number(total(rows)), heldNanoUsd: 0 })
    expect(world.state.alarmMs).toBeUndefined()
  },
  count(60_000, 900_000),
)
