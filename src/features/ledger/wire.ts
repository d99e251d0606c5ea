import type { HoldRequest, SettledCall, Settlement } from '../../core/ledger.ts'
import { settledCallOf } from './settled-call.ts'

// Between two deployments, and after one was taken back, a gateway of the release before asks this one's objects: it
// sends what it asks as it is.

/** What an object is asked to hold. */
export const holdRequestOf = (sent: string | HoldRequest): HoldRequest =>
  typeof sent === 'string' ? JSON.parse(sent) : sent

/** What an object is asked to settle. */
export const settledCallsOf = (sent: readonly SettledCall[] | Settlement): readonly SettledCall[] =>
  'row' in sent ? [settledCallOf(sent)] : sent
