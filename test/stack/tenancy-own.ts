import { expect } from 'vitest'
import { type Entry, nameOf } from '../contract/route-table.ts'
import type { Planted } from '../support/canaries.ts'
import { full } from '../support/lane.ts'
import { person } from '../support/people.ts'
import { type Answer, callRoute, type RouteCall } from '../support/route-calls.ts'
import type { Stack } from '../support/stack.ts'
import { bodyOf, fill, idFieldsOf } from './tenancy-calls.ts'
import { foreignIn, idsAt, paramSetsOf } from './tenancy-probes.ts'

const METHODS = ['get', 'put', 'patch', 'post', 'delete']
/** What leaves nothing to call with. */
const LAST = ['POST /api/v1/auth/change-password', 'DELETE /api/v1/org']
const rankOf = (entry: Entry) => LAST.indexOf(nameOf(entry)) * METHODS.length + METHODS.indexOf(entry.route.method)
/** What takes something away comes after what needs it. */
export const inOrder = (entries: readonly Entry[]) => [...entries].sort((a, b) => rankOf(a) - rankOf(b))

/** Of calls that need not be answered, in the default lane. */
const FEW = 3

/**
 * Calls on rows of one's own: what is refused above is refused because of whose it is. The first answer to a route says
 * so; in the full lane each of its rows is asked for.
 */
export async function expectOwnCalls(
  stack: Stack,
  guarded: readonly Entry[],
  { mine, theirs }: { mine: Planted; theirs: Planted },
): Promise<void> {
  const faults: string[] = []
  const anyOwner = await anyOwnerOf(stack, mine)
  for (const entry of inOrder(guarded)) {
    const answers: Answer[] = []
    for (const call of ownCalls(entry, mine)) {
      answers.push(await (isOfAnyOwner(entry) ? anyOwner(call) : callRoute(stack, call)))
      if (!full() && isEnough(entry, answers)) break
    }
    const foreign = answers.flatMap((answer) => foreignIn(answer, theirs, undefined))
    if (foreign.length > 0) faults.push(`${nameOf(entry)} shows ${foreign.join(', ')}`)
    if (worksOnOwn(entry) && !answers.some(({ status }) => status < 300)) {
      faults.push(`${nameOf(entry)} answers ${answers.map(({ status, body }) => `${status} ${body}`).join(' · ')}`)
    }
  }
  expect(faults).toEqual([])
}

const isEnough = (entry: Entry, answers: readonly Answer[]): boolean =>
  answers.some(({ status }) => status < 300) || (!worksOnOwn(entry) && answers.length >= FEW)

/**
 * Models and the names of providers are nobody's, kept answers are in no table, and where the planted provider
 * and another node should be nothing answers. The vendor there does not answer in a form.
 */
const OF_NOBODY = [
  'DELETE /api/v1/cache/:key',
  'GET /v1/models/:model{.+}',
  'GET /api/v1/models/:name{.+}/stats',
  'POST /api/v1/models/select',
  'POST /api/v1/ollama/models/load',
  'POST /api/v1/ollama/models/unload',
  'DELETE /api/v1/ollama/models/:name{.+}',
  'POST /v1/audio/transcriptions',
  'POST /v1/audio/translations',
  'POST /v1/audio/speech',
  'POST /api/v1/audio/transcribe',
  'POST /api/v1/audio/identify-speakers',
  'POST /api/v1/audio/identify-speaker',
  'POST /api/v1/audio/analyze-emotion',
  'POST /api/v1/audio/classify',
  'POST /api/v1/audio/analyze-music',
  'GET /v1/providers/:name/health',
  'GET /api/v1/routing/models/:model{.+}/availability',
  'PUT /api/v1/routing/models/:model{.+}/availability',
  'POST /api/v1/routing/breakers/:target/reset',
  'POST /api/v1/providers/discover',
  'POST /api/v1/nodes',
  'POST /api/v1/semantic/classify',
  'POST /api/v1/semantic/extract-relations',
  'POST /api/v1/semantic/rerank',
  'POST /api/v1/vision/analyze',
  'POST /api/v1/vision/detect-objects',
  'POST /api/v1/vision/extract-text',
  'POST /api/v1/vision/ocr',
  'POST /api/v1/vision/batch/analyze',
  'POST /api/v1/vision/images',
]

/** Routes of the platform are not for owners. */
const worksOnOwn = (entry: Entry): boolean =>
  entry.route.spec.scope !== 'operator' && !OF_NOBODY.includes(nameOf(entry))

/** Calls that may end the session, or the membership, of whoever makes them. */
const isOfAnyOwner = (entry: Entry): boolean =>
  entry.route.method !== 'get' && !entry.route.spec.params && !LAST.includes(nameOf(entry))

/** Calls as another owner than the one whose rows are asked for, and as a new one when the last may no longer call. */
async function anyOwnerOf(stack: Stack, { orgId }: Planted): Promise<(call: RouteCall) => Promise<Answer>> {
  const fresh = async () => (await person(stack, { orgId })).accessToken
  let credential = await fresh()
  return async (call) => {
    const answer = await callRoute(stack, { ...call, credential })
    if (answer.status !== 401) return answer
    credential = await fresh()
    return callRoute(stack, { ...call, credential })
  }
}

function ownCalls(entry: Entry, mine: Planted): RouteCall[] {
  const { spec } = entry.route
  const { owner } = mine
  const own = mine.ids.filter((id) => ![owner.userId, owner.sessionId, owner.username].includes(id))
  const call = { entry, credential: owner.accessToken, body: bodyOf(entry), query: confirming(entry, mine) }
  if (spec.params) return paramSetsOf(entry, own).map((params) => ({ ...call, params }))
  const places = idFieldsOf(entry).filter(({ place }) => place === 'body')
  const filled = places.flatMap((field) =>
    idsAt(field, [...own, mine.apiKey], 0).map((id) => ({ ...call, body: fill(field, id, mine) })),
  )
  // A field that need not be there may name what no organisation here has any of.
  const isOptional = places.every(({ field }) => !/^(?!helix\.).*\./.test(field) && !(field in { ...call.body }))
  return isOptional ? [...filled, call] : filled
}

const confirming = (entry: Entry, { slug }: Planted): Record<string, string> =>
  nameOf(entry) === 'DELETE /api/v1/org' ? { confirm: slug } : {}
