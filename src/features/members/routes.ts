import { addressOf } from '../../http/credential.ts'
import { PageQuery, toPage } from '../../http/page.ts'
import { del, get, patch, post } from '../../http/route.ts'
import { acceptInvitation } from './accept.ts'
import { invite, listInvitations, withdrawInvitation } from './invite.ts'
import { createOrg, deleteOrg, findOrg, listOwnOrgs, patchOrg } from './org.ts'
import { changeActive, changeRole, findPerson, leave, listPeople, removeMember } from './people.ts'
import {
  Acceptance,
  Accepted,
  Invitation,
  InvitationPath,
  Invitations,
  Invite,
  Member,
  MemberPatch,
  MemberPath,
  Members,
  NewOrgBody,
  Org,
  OrgDeletion,
  OrgPatch,
  OwnOrgs,
  User,
  UserPatch,
  UserPath,
  Users,
} from './schema.ts'

const orgRoutes = [
  get('/api/v1/org', { summary: 'Get the organisation', scope: 'org:read', response: Org }, findOrg),

  patch(
    '/api/v1/org',
    { summary: 'Change the organisation', scope: 'org:write', body: OrgPatch, response: Org },
    (ctx, { body }) => patchOrg(ctx, body),
  ),

  del(
    '/api/v1/org',
    {
      summary: 'Delete the organisation',
      description: 'For its owners. Every session and key in it ends at once.',
      scope: 'owner',
      query: OrgDeletion,
    },
    (ctx, { query }) => deleteOrg(ctx, query.confirm),
  ),

  post(
    '/api/v1/orgs',
    {
      summary: 'Create an organisation',
      description: 'The caller becomes its owner. Where registration is closed, for operators only.',
      scope: 'user',
      body: NewOrgBody,
      response: Org,
      status: 201,
    },
    (ctx, { body }) => createOrg(ctx, body.name),
  ),

  get(
    '/api/v1/orgs',
    {
      summary: 'List own organisations',
      description: 'All of them at once, the oldest membership first.',
      scope: 'user',
      response: OwnOrgs,
    },
    async (ctx) => {
      const rows = (await listOwnOrgs(ctx)).map(({ orgId, orgName, orgSlug, plan, role, isLive }) => ({
        id: orgId,
        name: orgName,
        slug: orgSlug,
        plan,
        role,
        is_active: isLive,
      }))
      return toPage(rows, rows.length)
    },
  ),
]

const memberRoutes = [
  get(
    '/api/v1/members',
    { summary: 'List members', scope: 'members:read', query: PageQuery, response: Members },
    async (ctx, { query }) => toPage(await listPeople(ctx, query), query.limit),
  ),

  post(
    '/api/v1/members/invite',
    {
      summary: 'Invite an address',
      description:
        'The mail leaves before this answers. An earlier invitation of the same address ends. Nobody invites to a role above their own.',
      scope: 'members:write',
      body: Invite,
      response: Invitation,
      status: 201,
    },
    (ctx, { body }) => invite(ctx, body),
  ),

  get(
    '/api/v1/members/invitations',
    { summary: 'List open invitations', scope: 'members:read', query: PageQuery, response: Invitations },
    async (ctx, { query }) => toPage(await listInvitations(ctx, query), query.limit),
  ),

  del(
    '/api/v1/members/invitations/:id',
    { summary: 'Withdraw an invitation', scope: 'members:write', params: InvitationPath },
    (ctx, { params }) => withdrawInvitation(ctx, params.id),
  ),

  del(
    '/api/v1/members/me',
    {
      summary: 'Leave the organisation',
      description: 'Ends the sessions and keys that the caller has in it.',
      scope: 'user',
    },
    leave,
  ),

  patch(
    '/api/v1/members/:user_id',
    {
      summary: "Change a member's role",
      description: 'Holds from the next call on, for their sessions and keys. The last owner stays one (409).',
      scope: 'members:write',
      params: MemberPath,
      body: MemberPatch,
      response: Member,
    },
    (ctx, { params, body }) => changeRole(ctx, params.user_id, body.role),
  ),

  del(
    '/api/v1/members/:user_id',
    {
      summary: 'Remove a member',
      description: 'Ends the sessions and keys that they have in the organisation.',
      scope: 'members:write',
      params: MemberPath,
    },
    (ctx, { params }) => removeMember(ctx, params.user_id),
  ),
]

const userRoutes = [
  get(
    '/api/v1/users',
    { summary: 'List people', scope: 'members:read', query: PageQuery, response: Users },
    async (ctx, { query }) => toPage(await listPeople(ctx, query), query.limit),
  ),

  get(
    '/api/v1/users/:id',
    { summary: 'Get a person', scope: 'members:read', params: UserPath, response: User },
    (ctx, { params }) => findPerson(ctx, params.id),
  ),

  patch(
    '/api/v1/users/:id',
    {
      summary: 'Deactivate or reactivate a person here',
      description: 'Deactivation ends their sessions and keys in this organisation; reactivation restores neither.',
      scope: 'members:write',
      params: UserPath,
      body: UserPatch,
      response: User,
    },
    (ctx, { params, body }) => changeActive(ctx, params.id, body.is_active),
  ),
]

const acceptRoute = post(
  '/api/v1/invitations/accept',
  {
    summary: 'Accept an invitation',
    description:
      'With a username and a password for a new account, or, if an account has the invited address, with those of that account. Answers with a session.',
    scope: 'public',
    body: Acceptance,
    response: Accepted,
    status: 201,
  },
  (ctx, { body }, request) =>
    acceptInvitation(ctx, { ...body, ip: addressOf(request), userAgent: request.headers.get('user-agent') }),
)

export const routes = [...orgRoutes, ...memberRoutes, ...userRoutes, acceptRoute]
