import { toPage } from '../../http/page.ts'
import { get, patch, post } from '../../http/route.ts'
import { rotateSigningKeys } from '../signing/service.ts'
import { changeOrg, listOrgs } from './orgs.ts'
import {
  Org,
  OrgPatch,
  OrgPath,
  Orgs,
  Rotation,
  RotationState,
  Search,
  User,
  UserPatch,
  UserPath,
  Users,
} from './schema.ts'
import { changeUser, listUsers } from './users.ts'

export const routes = [
  get(
    '/api/v1/admin/orgs',
    { summary: 'List organisations of the installation', scope: 'operator', query: Search, response: Orgs },
    async (ctx, { query }) => toPage(await listOrgs(ctx, query), query.limit),
  ),

  patch(
    '/api/v1/admin/orgs/:id',
    {
      summary: 'Suspend an organisation, or change its plan',
      description: 'Suspension holds from the next call on, for every session and key in it, until it is taken back.',
      scope: 'operator',
      params: OrgPath,
      body: OrgPatch,
      response: Org,
    },
    (ctx, { params, body }) => changeOrg(ctx, params.id, body),
  ),

  get(
    '/api/v1/admin/users',
    { summary: 'List people of the installation', scope: 'operator', query: Search, response: Users },
    async (ctx, { query }) => toPage(await listUsers(ctx, query), query.limit),
  ),

  patch(
    '/api/v1/admin/users/:id',
    {
      summary: 'Deactivate a person, or make an operator',
      description:
        'A deactivation ends their sessions and lets their keys rest, in every organisation. The last operator stays one (409).',
      scope: 'operator',
      params: UserPath,
      body: UserPatch,
      response: User,
    },
    (ctx, { params, body }) => changeUser(ctx, params.id, body),
  ),

  post(
    '/api/v1/admin/signing-keys/rotate',
    {
      summary: 'Rotate the keys that sign access tokens',
      description: 'The next key is published now and signs a day later, unless the present ones are revoked.',
      scope: 'operator',
      body: Rotation,
      response: RotationState,
    },
    (ctx, { body }) => rotateSigningKeys(ctx, body),
  ),
]
