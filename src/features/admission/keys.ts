/**
 * Every Redis key of admission, beside the records of credentials (`features/records/service.ts`), what limits count
 * (`features/limits/windows.ts`) and whom no credential vouches for (`strangers-script.ts`).
 *
 * <org>:open               hash  calls that hold money, by request id; an hour after the last
 * tgt:<provider/model>     hash  what stands in the way of a target: `u` until when it is open (Unix ms, kept while it is
 *                          half open), `k` how often in a row it was opened, `g` good probes, `p1` to `p3` until when
 *                          the places of those who try it are taken, `c` until when it is cooling, `q` refusals for
 *                          want of capacity in a row, `f` failures in a row, `w0` to `w5` calls and failures of the last
 *                          minute, ten seconds each; ten minutes longer than it matters. An account that an
 *                          organisation has itself goes by its id in place of the provider
 * breakers                 hash  breakers of the installation's own providers that have moved in the last day, a thousand
 *                          at most: until when each is open, 0 when it closed
 * busy:<provider/model>    hash  calls under way, `count:at` by isolate; 20 seconds after the last that told of any
 * <org>:turn:<policy>      string  calls that took turns under a routing policy (`auto` without one)
 * fig:<provider/model>     hash  what was measured of a target, for planning: `f` its figures, `o:<task>` the output to expect
 * hist:<provider/model>    hash  the histograms behind them; both two weeks after the last call
 */
export const redisKeys = {
  open: (orgId: string) => `${orgId}:open`,
  target: (id: string) => `tgt:${id}`,
  turn: (orgId: string, policyId: string) => `${orgId}:turn:${policyId}`,
  breakers: () => 'breakers',
  busy: (id: string) => `busy:${id}`,
  figures: (target: string) => `fig:${target}`,
  histograms: (target: string) => `hist:${target}`,
}
