import { bestOf } from './majority.ts'

/** The answer that is sure enough, the surest of several; undefined where one has to ask on. */
export function sureEnough(confidences: readonly (number | null)[], threshold: number): number | undefined {
  const sure = confidences.flatMap((confidence, at) => (confidence !== null && confidence >= threshold ? [at] : []))
  return bestOf(
    sure,
    confidences.map((confidence) => confidence ?? 0),
  )
}
