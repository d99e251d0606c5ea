import { and, eq, isNull } from 'drizzle-orm'
import type { Accounts } from '../../core/accounts.ts'
import type { Ctx } from '../../core/context.ts'
import { AppError, notFound } from '../../core/errors.ts'
import type { Provider } from '../../core/models.ts'
import { type NodeLink, SHARED_NODE_ID } from '../../core/node.ts'
import { dataKeys } from '../encryption/table.ts'
import type { NodesQuery } from './schema.ts'
import { dataKeysOf, type NodeRow } from './spec.ts'
import { nodes } from './table.ts'

/** A node of the organisation's own with the data key of its credential, or the one of the installation. */
export type Known =
  | { kind: 'own'; row: NodeRow; dataKeys: Accounts['dataKeys'] }
  | { kind: 'shared'; name: string; link: NodeLink }

/** Nodes of an organisation that were not deleted; one of them by its id. */
export const isLive = (orgId: string, id?: string) =>
  and(eq(nodes.org_id, orgId), isNull(nodes.deleted_at), id === undefined ? undefined : eq(nodes.id, id))

/** A node that the caller's organisation may change. Throws 404, and 403 for the installation's. */
export async function readOwn({ db, caller: { orgId } }: Pick<Ctx, 'db' | 'caller'>, id: string): Promise<NodeRow> {
  if (id === SHARED_NODE_ID) {
    throw new AppError(
      'permission_denied',
      'The node is everybody’s: the environment of the installation says what it is.',
    )
  }
  const [[row]] = await db.atomically(orgId, (query) => [query.select().from(nodes).where(isLive(orgId, id))])
  if (!row) throw notFound('node')
  return row
}

/** Throws 404. */
export async function readKnown(ctx: Ctx, id: string): Promise<Known> {
  if (id === SHARED_NODE_ID) {
    const shared = sharedOf(ctx)
    if (!shared) throw notFound('node')
    return shared
  }
  const [found] = await ownNodes(ctx, id)
  if (!found) throw notFound('node')
  return found
}

async function ownNodes({ db, caller: { orgId } }: Ctx, id?: string): Promise<Known[]> {
  const [rows, keys] = await db.atomically(orgId, (query) => [
    query.select().from(nodes).where(isLive(orgId, id)),
    query
      .select({ version: dataKeys.version, wrapped_dek: dataKeys.wrapped_dek })
      .from(dataKeys)
      .where(eq(dataKeys.org_id, orgId)),
  ])
  return rows.map((row) => ({ kind: 'own', row, dataKeys: dataKeysOf(row, keys) }))
}

const isShared = ({ node }: Provider): boolean => node?.isShared === true

function sharedOf({ providers }: Pick<Ctx, 'providers'>): Known | undefined {
  const provider = [...providers.values()].find(isShared)
  return provider?.node && { kind: 'shared', name: provider.name, link: provider.node }
}

export const idOf = (known: Known): string => (known.kind === 'own' ? known.row.id : known.link.id)

/** One more than asked for. There are so few that they are read at once. */
export async function listNodes(ctx: Ctx, { limit, after, order }: NodesQuery): Promise<Known[]> {
  const shared = sharedOf(ctx)
  const all = [...(await ownNodes(ctx)), ...(shared ? [shared] : [])]
  const sign = order === 'asc' ? 1 : -1
  const compare = (one: string, other: string): number => (one < other ? -sign : one > other ? sign : 0)
  return all
    .toSorted((one, other) => compare(idOf(one), idOf(other)))
    .filter((known) => after === undefined || compare(after, idOf(known)) < 0)
    .slice(0, limit + 1)
}
