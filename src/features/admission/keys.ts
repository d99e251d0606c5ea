/**
 * Every Redis key of admission, beside the records of credentials (`features/records/service.ts`), what limits count
 * (`features/limits/windows.ts`) and whom no credential vouches for (`strangers-script.ts`).
 *
 * <org>:open               hash  calls that hold money, by request id; an hour after the last
 * brk:<vendor/model>       string  until when the breaker is open, Unix ms; as long as it is open. An account that an
 *                          organisation has itself goes by its id in place of the vendor
 * fig:<provider/model>     hash  what was measured of a target, for planning: `f` its figures, `o:<task>` the output to expect
 * hist:<provider/model>    hash  the histograms behind them; both two weeks after the last call
 */
export const redisKeys = {
  open: (orgId: string) => `${orgId}:open`,
  breaker: (target: string) => `brk:${target}`,
  figures: (target: string) => `fig:${target}`,
  histograms: (target: string) => `hist:${target}`,
}
