import type { Ctx, Deps } from '../../core/context.ts'
import type { ChatBody, ChatMessage } from '../../core/models.ts'
import { within } from '../../core/within.ts'
import { open, type Place, SealError } from '../encryption/service.ts'
import { keyOf } from './keys.ts'
import { remember, remembered } from './memory.ts'
import { isSigned, writtenIn } from './message.ts'
import { signAgain, signedFrom } from './signed.ts'
import { sealedAt } from './vault.ts'

/** A conversation as its caller sent it; `texts` tells whether texts may be signed, or calls of tools alone. */
export type History = { orgId: string; messages: readonly ChatMessage[]; texts: boolean }

/** A message with what was signed of it; `isNew` where Redis had to tell this isolate. */
export type Recalled = { position: number; by: string; message: ChatMessage; bytes: number; isNew: boolean }

/** So many of a conversation's last messages are looked up, at the most. */
const MAX_LOOKED_UP = 128
/** Where there are more, the first one moves on by so many at once: vendors cache a prompt by its beginning. */
const STEP = 32
/** What takes longer to open is not waited for. */
const OPEN_WITHIN_MS = 1000

/**
 * What may be signed of a conversation: the keys that Redis has to be asked for, newest first, and the bytes of what is
 * in memory. Nothing is computed for a conversation in which no model has called or, with `texts`, said anything.
 */
export async function lookUp(
  world: Pick<Deps, 'memory' | 'now'>,
  history: History,
): Promise<{ keys: string[]; bytes: number }> {
  const found = { keys: [] as string[], bytes: 0 }
  for (const { key } of await unsigned(history)) {
    const known = remembered(world, key)
    if (known) found.bytes += known.bytes
    else found.keys.push(key)
  }
  found.keys.reverse()
  return found
}

type World = Pick<Ctx, 'memory' | 'now' | 'log' | 'db' | 'settings' | 'admission' | 'defer'>

/** The messages that can be signed again, with what is in memory and what admission brought along. */
export async function recall(ctx: World, history: History): Promise<Recalled[]> {
  const places = await unsigned(history)
  const opened = await openAll(
    ctx,
    history.orgId,
    places.map(({ key }) => key),
  )
  const recalled = await Promise.all(
    places.map(async ({ key, position, message }): Promise<Recalled[]> => {
      const known = remembered(ctx, key)
      const signed = known && signedFrom(known.text)
      const again = signed && (await signAgain(message, signed))
      if (!known || !signed || !again) return []
      return [{ position, by: signed.by, message: again, bytes: known.bytes, isNew: opened.has(key) }]
    }),
  )
  return recalled.flat()
}

/** The body with the messages that `by` has signed. */
export function withRecalled(body: ChatBody, recalled: readonly Recalled[], by: string): ChatBody {
  const own = new Map(recalled.flatMap((one) => (one.by === by ? [[one.position, one.message] as const] : [])))
  if (own.size === 0) return body
  return { ...body, messages: body.messages.map((message, position) => own.get(position) ?? message) }
}

type Unsigned = { position: number; message: ChatMessage; key: string }

async function unsigned({ orgId, messages, texts }: History): Promise<Unsigned[]> {
  const places = messages.flatMap((message, position) => {
    if (message.role !== 'assistant') return []
    const written = writtenIn(message)
    const isOf = written.calls.length > 0 || (texts && written.text !== '')
    return isOf && !isSigned(written) ? [{ position, message, written }] : []
  })
  const over = Math.max(0, Math.ceil((places.length - MAX_LOOKED_UP) / STEP) * STEP)
  const keyed = await Promise.all(
    places.slice(over).map(async ({ position, message, written }) => ({
      position,
      message,
      key: await keyOf(orgId, written, messages[position - 1]),
    })),
  )
  return keyed.flatMap(({ key, ...place }) => (key === undefined ? [] : [{ ...place, key }]))
}

/** Opens what admission brought along, into memory; tells which keys it has opened in time. */
async function openAll(ctx: World, orgId: string, keys: readonly string[]): Promise<ReadonlySet<string>> {
  const { vault } = ctx.admission
  const opened = new Set<string>()
  // One after the other: the first reads a data key that the others then find in memory.
  const openEach = async (): Promise<void> => {
    for (const key of keys) {
      const sealed = vault?.get(key)
      const text = sealed === undefined ? undefined : await openOne(ctx, sealedAt(orgId, key), sealed)
      if (text === undefined) continue
      remember(ctx, key, { text, bytes: Buffer.byteLength(text) })
      opened.add(key)
    }
  }
  if (!keys.some((key) => vault?.has(key))) return opened
  const work = openEach().catch((cause: unknown) => {
    ctx.log.warn('signatures_not_opened', { org_id: orgId, cause })
  })
  ctx.defer(work)
  await within(work, OPEN_WITHIN_MS)
  return new Set(opened)
}

/** Undefined for what does not open, because its key was destroyed since. */
async function openOne(ctx: World, place: Place, sealed: string): Promise<string | undefined> {
  try {
    return await open(ctx, place, sealed)
  } catch (error) {
    if (error instanceof SealError) return undefined
    throw error
  }
}
