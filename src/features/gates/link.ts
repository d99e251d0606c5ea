import type { WatchTarget } from '../../core/gate.ts'
import type { NodeLink } from '../../core/node.ts'
import { type AccountDeps, createAccount } from '../providers/service.ts'

/** How a node is reached, its credential opened by the first that is asked of it; undefined for what is no node (any more). */
export function linkTo(
  deps: AccountDeps & { shared: NodeLink | undefined },
  target: WatchTarget,
): NodeLink | undefined {
  if (target === 'shared') return deps.shared
  const { orgId, account: spec, dataKeys } = target
  return createAccount(deps, { orgId, spec, dataKeys }).node
}
