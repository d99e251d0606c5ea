import { PageQuery } from '../../http/page.ts'
import { del, get, patch, post } from '../../http/route.ts'
import { exchangeToken } from '../oidc/service.ts'
import { refreshSession } from '../sessions/service.ts'
import { changeMe, me, verifyEmail } from './account.ts'
import { clientOf } from './guard.ts'
import { endSession, listSessions, logout, logoutAll, switchOrg } from './own-sessions.ts'
import { changePassword, changePasswordOf, forgotPassword, resetPassword } from './password.ts'
import { bootstrap, register } from './register.ts'
import {
  ACCESS_TOKEN_TYPE,
  AdminChangePassword,
  Bootstrap,
  ChangePassword,
  Exchange,
  ExchangedPair,
  ForgotPassword,
  Me,
  MePatch,
  Refresh,
  Registration,
  ResetPassword,
  SessionPath,
  Sessions,
  SignedUp,
  SignIn,
  SignInForm,
  SwitchOrg,
  TokenPair,
  VerifyEmail,
} from './schema.ts'
import { signIn } from './sign-in.ts'

export const routes = [
  post(
    '/api/v1/auth/register',
    {
      summary: 'Make an account and sign in',
      description:
        'With an organisation of its own where registration is open, or with an invitation in the organisation that sent it.',
      scope: 'public',
      body: Registration,
      response: SignedUp,
      status: 201,
    },
    (ctx, { body }, request) => register(ctx, body, request),
  ),
  post(
    '/api/v1/auth/login',
    {
      summary: 'Sign in with a form',
      description: 'The password grant of OAuth 2. `username` may be the e-mail address.',
      scope: 'public',
      body: SignInForm,
      form: true,
      response: TokenPair,
    },
    (ctx, { body }, request) => signIn(ctx, body, request),
  ),
  post(
    '/api/v1/auth/login-json',
    { summary: 'Sign in with JSON', scope: 'public', body: SignIn, response: TokenPair },
    (ctx, { body }, request) => signIn(ctx, body, request),
  ),
  post(
    '/api/v1/auth/refresh',
    {
      summary: 'Exchange a refresh token for a new pair',
      description: 'A refresh token is for one use. One that comes a second time ends its session.',
      scope: 'public',
      body: Refresh,
      response: TokenPair,
    },
    (ctx, { body }) => refreshSession(ctx, body.refresh_token),
  ),
  post(
    '/api/v1/auth/exchange',
    {
      summary: 'Exchange a token of an external issuer for a pair of ours',
      description: 'RFC 8693, for issuers that an organisation trusts: a login of its own, or workloads of a CI.',
      scope: 'public',
      body: Exchange,
      form: true,
      response: ExchangedPair,
    },
    async (ctx, { body }, request) => {
      const { subject_token: subjectToken, org_id: orgId } = body
      const pair = await exchangeToken(ctx, { subjectToken, orgId, ...clientOf(request) })
      return { ...pair, issued_token_type: ACCESS_TOKEN_TYPE }
    },
  ),
  post(
    '/api/v1/auth/bootstrap',
    {
      summary: 'Make the first operator and organisation',
      description: 'With the token that `npm run seed` or `npm run dev` prints. 404 as soon as there is an operator.',
      scope: 'public',
      body: Bootstrap,
      response: SignedUp,
      status: 201,
    },
    (ctx, { body }, request) => bootstrap(ctx, body, request),
  ),
  post('/api/v1/auth/logout', { summary: 'End this session', scope: 'user' }, async (ctx) => {
    await logout(ctx)
    return undefined
  }),
  post('/api/v1/auth/logout-all', { summary: 'End every session of yours', scope: 'user' }, async (ctx) => {
    await logoutAll(ctx)
    return undefined
  }),
  get('/api/v1/auth/me', { summary: 'Tell who is signed in', scope: 'user', response: Me }, (ctx) => me(ctx)),
  patch(
    '/api/v1/auth/me',
    {
      summary: 'Change your name or address',
      description: 'A new address takes the place of the old one when the token that is mailed to it comes back.',
      scope: 'user',
      body: MePatch,
      response: Me,
    },
    (ctx, { body }) => changeMe(ctx, body),
  ),
  post(
    '/api/v1/auth/verify-email',
    { summary: 'Confirm an address by a mailed token', scope: 'public', body: VerifyEmail },
    async (ctx, { body }, request) => {
      await verifyEmail(ctx, body.token, request)
      return undefined
    },
  ),
  post(
    '/api/v1/auth/change-password',
    {
      summary: 'Change your password',
      description: 'Every other session of yours ends.',
      scope: 'user',
      body: ChangePassword,
    },
    async (ctx, { body }) => {
      await changePassword(ctx, body)
      return undefined
    },
  ),
  post(
    '/api/v1/auth/admin/change-password',
    {
      summary: "Change a member's password",
      description: 'Of someone who is in no other organisation; operators change anyone. Every session of theirs ends.',
      scope: 'org:write|operator',
      body: AdminChangePassword,
    },
    async (ctx, { body }) => {
      await changePasswordOf(ctx, body)
      return undefined
    },
  ),
  post(
    '/api/v1/auth/forgot-password',
    {
      summary: 'Ask for a mail that lets you set a new password',
      description: 'The answer is the same whether or not somebody has the address.',
      scope: 'public',
      body: ForgotPassword,
      status: 202,
    },
    async (ctx, { body }, request) => {
      await forgotPassword(ctx, body.email, request)
      return undefined
    },
  ),
  post(
    '/api/v1/auth/reset-password',
    { summary: 'Set a new password by a mailed token', scope: 'public', body: ResetPassword },
    async (ctx, { body }, request) => {
      await resetPassword(ctx, body, request)
      return undefined
    },
  ),
  post(
    '/api/v1/auth/switch-org',
    { summary: 'Open a session in another organisation of yours', scope: 'user', body: SwitchOrg, response: TokenPair },
    (ctx, { body }, request) => switchOrg(ctx, body.org_id, request),
  ),
  get(
    '/api/v1/auth/sessions',
    { summary: 'List your sessions', scope: 'user', query: PageQuery, response: Sessions },
    (ctx, { query }) => listSessions(ctx, query),
  ),
  del(
    '/api/v1/auth/sessions/:id',
    { summary: 'End a session of yours', scope: 'user', params: SessionPath },
    async (ctx, { params }) => {
      await endSession(ctx, params.id)
      return undefined
    },
  ),
]
