/**
 * Issuers that sign for everybody who has an account with them, and the claims that tell whose account it is. By host;
 * what each claim means is in the issuer's own documentation of its tokens.
 */
const tenantClaims: Readonly<Record<string, readonly string[]>> = {
  'token.actions.githubusercontent.com': [
    'sub',
    'repository',
    'repository_id',
    'repository_owner',
    'repository_owner_id',
    'enterprise',
    'enterprise_id',
  ],
  'gitlab.com': ['sub', 'project_path', 'project_id', 'namespace_path', 'namespace_id'],
  'agent.buildkite.com': ['sub', 'organization_slug', 'organization_id'],
  'app.terraform.io': ['sub', 'terraform_organization_id', 'terraform_organization_name', 'terraform_workspace_id'],
  'accounts.google.com': ['sub', 'hd', 'email'],
  'login.microsoftonline.com': ['sub', 'oid', 'tid'],
  'sts.windows.net': ['sub', 'oid', 'tid'],
  'appleid.apple.com': ['sub', 'email'],
  'slack.com': ['sub', 'https://slack.com/team_id'],
  'www.linkedin.com': ['sub', 'email'],
}

/** The claims of which one must be required; undefined for an issuer that is not known to be shared. */
export const tenantClaimsOf = (issuer: string): readonly string[] | undefined => {
  const host = URL.parse(issuer)?.hostname
  return host !== undefined && Object.hasOwn(tenantClaims, host) ? tenantClaims[host] : undefined
}

/**
 * Whether a condition leaves one owner: an exact value, or a beginning that ends after the owner's name, since whoever
 * likes may take a name that only begins like yours (`repo:acme/*`, but neither `repo:*` nor `acme*`).
 */
const isNarrow = (value: string): boolean => !value.endsWith('*') || value.slice(0, -1).includes('/')

/** Whether conditions keep other people's accounts of a shared issuer out. */
export const keepsOthersOut = (issuer: string, required: Readonly<Record<string, string>>): boolean => {
  const claims = tenantClaimsOf(issuer)
  return claims === undefined || claims.some((name) => Object.hasOwn(required, name) && isNarrow(required[name] ?? ''))
}
