import { toPage } from '../../http/page.ts'
import { resource } from '../../http/resource.ts'
import { get, post, put, type Route } from '../../http/route.ts'
import { createPolicy, deletePolicy, patchPolicy, replacePolicy, rollBack } from './changes.ts'
import { listMarks, readMark, setMark } from './marks.ts'
import { listPolicies, listVersions, readPolicy, versionView, viewOf } from './rows.ts'
import {
  Availability,
  AvailabilityPage,
  AvailabilityView,
  ModelParams,
  ModelsQuery,
  PatchPolicy,
  PoliciesQuery,
  PolicyBody,
  PolicyParams,
  PolicyView,
  RollBack,
  VersionPage,
} from './schema.ts'

const policy = resource({
  at: '/api/v1/routing/policies',
  area: 'routing',
  params: PolicyParams,
  view: PolicyView,
  viewOf,
})

const policies: readonly Route[] = [
  policy.list({ summary: 'List routing policies', query: PoliciesQuery, run: listPolicies }),

  policy.create({
    summary: 'Create a routing policy',
    description:
      'It governs those whom `attach` names from their next call on: `auto` always, and a model that was named by ' +
      'its fallbacks alone. 409 where another policy governs the same calls. At most a hundred.',
    body: PolicyBody,
    run: createPolicy,
  }),

  policy.read({ summary: 'Get a routing policy', run: readPolicy }),

  policy.replace({
    summary: 'Replace a routing policy',
    description: 'Fields that are left out get their defaults. Other rules than before are another version.',
    body: PolicyBody,
    run: replacePolicy,
  }),

  policy.change({
    summary: 'Change a routing policy',
    description:
      'A merge patch (RFC 7396): what is absent stays, also within objects, null takes away, a list replaces a list.',
    body: PatchPolicy,
    run: patchPolicy,
  }),

  policy.remove({
    summary: 'Delete a routing policy',
    description: 'Nobody’s calls go by it any more; decisions that name it stay.',
    run: deletePolicy,
  }),

  get(
    '/api/v1/routing/policies/:id/versions',
    {
      summary: 'List the versions of a routing policy',
      description: 'Everything that it ever said.',
      scope: 'routing:read',
      params: PolicyParams,
      query: PoliciesQuery,
      response: VersionPage,
    },
    async (ctx, { params, query }) => toPage((await listVersions(ctx, params.id, query)).map(versionView), query.limit),
  ),

  post(
    '/api/v1/routing/policies/:id/rollback',
    {
      summary: 'Roll a routing policy back',
      description:
        'Gives it the rules of an earlier version again, as a new version: what was said in between stays on record. ' +
        'Its name and whom it governs stay.',
      scope: 'routing:write',
      params: PolicyParams,
      body: RollBack,
      response: PolicyView,
    },
    async (ctx, { params, body }) => viewOf(await rollBack(ctx, params.id, body.version)),
  ),
]

const models: readonly Route[] = [
  get(
    '/api/v1/routing/models',
    {
      summary: 'List models that were marked',
      description: 'Those that somebody took out of use or put back, by name.',
      scope: 'routing:read',
      query: ModelsQuery,
      response: AvailabilityPage,
    },
    async (ctx, { query }) => toPage(await listMarks(ctx, query), query.limit),
  ),

  get(
    '/api/v1/routing/models/:model{.+}/availability',
    {
      summary: 'Tell whether a model is in use',
      description: 'By a name that a call may ask for it, or `provider/model`.',
      scope: 'routing:read',
      params: ModelParams,
      response: AvailabilityView,
    },
    (ctx, { params }) => readMark(ctx, params.model),
  ),

  put(
    '/api/v1/routing/models/:model{.+}/availability',
    {
      summary: 'Take a model out of use, or put it back',
      description:
        'For the whole organisation, from the next call on: a marked model is passed over as if it were down, and ' +
        'fallbacks answer where there are any. `provider/model` means that target, any other name the model whoever ' +
        'serves it.',
      scope: 'routing:write',
      params: ModelParams,
      body: Availability,
      response: AvailabilityView,
    },
    (ctx, { params, body }) => setMark(ctx, params.model, body),
  ),
]

export const routes: readonly Route[] = [...policies, ...models]
