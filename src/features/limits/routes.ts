import { resource } from '../../http/resource.ts'
import { del, get, post, type Route } from '../../http/route.ts'
import { applyPreset, createLimit, deleteLimit, patchLimit, replaceLimit } from './changes.ts'
import { currentLimits, wouldHaveRefused } from './current.ts'
import { listedPresets } from './presets.ts'
import { listLimits, readLimit, viewOf } from './rows.ts'
import {
  AppliedPreset,
  ApplyPreset,
  CreateLimit,
  CurrentLimits,
  CurrentQuery,
  LimitDetail,
  LimitParams,
  LimitRule,
  LimitsQuery,
  LimitView,
  PatchLimit,
  Presets,
} from './schema.ts'

const limit = resource({ at: '/api/v1/limits', area: 'governance', params: LimitParams, view: LimitView, viewOf })

export const routes: readonly Route[] = [
  limit.list({ summary: 'List limits', query: LimitsQuery, run: listLimits }),

  limit.create({
    summary: 'Create a limit',
    description:
      'It holds from the next call on. All limits of a key, its person and its organisation apply at once: the ' +
      'strictest decides. Requests by seconds are counted by token buckets or sliding windows, tokens by sliding ' +
      'windows, both by days and months in fixed windows. A limit of a provider takes its models out of the choice, ' +
      'and refuses where nothing else is left. A subject has at most 20 limits, all providers together 50.',
    body: CreateLimit,
    run: createLimit,
  }),

  get(
    '/api/v1/limits/current',
    {
      summary: 'Show where limits stand now',
      description:
        'Those that bind the caller, whatever their credential is for; with governance:read and a subject, those that ' +
        'bind that one. Concurrency is counted where calls are held, so it is named here without a count.',
      scope: 'credential',
      query: CurrentQuery,
      response: CurrentLimits,
    },
    (ctx, { query }) => currentLimits(ctx, query),
  ),

  get(
    '/api/v1/limits/presets',
    { summary: 'List the presets', scope: 'governance:read', response: Presets },
    async () => ({ object: 'list' as const, data: listedPresets() }),
  ),

  post(
    '/api/v1/limits/presets/apply',
    {
      summary: 'Give a subject the limits of a preset',
      description:
        'They replace those that it has from a preset. Limits that were made for it stay. Providers have `standard` only.',
      scope: 'governance:write',
      body: ApplyPreset,
      response: AppliedPreset,
    },
    async (ctx, { body }) => ({ object: 'list' as const, data: (await applyPreset(ctx, body)).map(viewOf) }),
  ),

  get(
    '/api/v1/limits/:id',
    { summary: 'Get a limit', scope: 'governance:read', params: LimitParams, response: LimitDetail },
    async (ctx, { params }) => {
      const row = await readLimit(ctx, params.id)
      return { ...viewOf(row), would_have_refused: await wouldHaveRefused(ctx, row) }
    },
  ),

  limit.replace({
    summary: 'Replace what a limit allows',
    description: 'Fields that are left out get their defaults. Its subject stays. It holds from the next call on.',
    body: LimitRule,
    run: replaceLimit,
  }),

  limit.change({
    summary: 'Change what a limit allows',
    description: 'What is absent stays as it is. It holds from the next call on.',
    body: PatchLimit,
    run: patchLimit,
  }),

  del(
    '/api/v1/limits/:id',
    { summary: 'Delete a limit', scope: 'governance:write', params: LimitParams },
    async (ctx, { params }) => {
      await deleteLimit(ctx, params.id)
      return undefined
    },
  ),
]
