import type { Ctx } from '../../core/context.ts'
import { NO_USAGE } from '../ledger/service.ts'
import { type Answered, bookAnswered } from './panel.ts'
import { errorFacts, type RelayEnd } from './relay.ts'
import type { Booked } from './rendering.ts'

/** Whose answer it is, and how to end the work for them. */
export type PanelCaller = { signal: AbortSignal; leave: () => void; end: () => void }

/** What all calls of a panel counted and cost together. */
export function bookedOf(answered: Answered | undefined): Booked {
  if (!answered) return { usage: NO_USAGE, estimated: true, costNanoUsd: 0 }
  const { result, total } = answered
  const calls = [...result.members.flatMap((member) => member.calls), ...result.helpers]
  const estimated = calls.some(({ ending }) => ending.estimated)
  return { usage: total.usage, estimated, costNanoUsd: total.costNanoUsd }
}

type Streamed = {
  answering: Promise<Answered>
  how: RelayEnd
  bytesOut: number
  /** Unix milliseconds. */
  firstContentMs?: number | undefined
}

/** Books a panel once its stream has ended. One that gave no answer was booked when that was found out. */
export async function bookStreamed(ctx: Ctx, { answering, how, bytesOut, firstContentMs }: Streamed): Promise<void> {
  const answered = await answering.catch(() => undefined)
  if (!answered) return
  const failed = typeof how === 'object' ? errorFacts(how.failed).code : undefined
  const status = how === 'left' ? 'aborted' : failed === undefined ? 'ok' : 'error'
  await bookAnswered(ctx, answered, { status, errorCode: failed, bytesOut, firstContentMs })
}
