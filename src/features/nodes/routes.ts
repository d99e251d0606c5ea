import type { Ctx } from '../../core/context.ts'
import { resource } from '../../http/resource.ts'
import { get, post, type Route } from '../../http/route.ts'
import { createNode, deleteNode, drainNode, patchNode, replaceNode } from './changes.ts'
import { listNodes, readKnown } from './rows.ts'
import { DrainNode, LoadView, NodeBody, NodeParams, NodesQuery, NodeView, PatchNode, StateView } from './schema.ts'
import type { NodeRow } from './spec.ts'
import { loadView, type Seen, seen, stateView, viewOf } from './state.ts'

const node = resource({ at: '/api/v1/nodes', area: 'node', params: NodeParams, view: NodeView, viewOf })

/** What is shown after a change: with what its watch says, which may be reached anew by now. */
const shown = async (ctx: Ctx, { id }: NodeRow): Promise<Seen> => seen(ctx, await readKnown(ctx, id))

export const routes: readonly Route[] = [
  node.list({
    summary: 'List nodes',
    description:
      'GPU machines of the organisation’s own, and the one of the installation, if any, that everybody shares.',
    query: NodesQuery,
    run: async (ctx, query) => Promise.all((await listNodes(ctx, query)).map((known) => seen(ctx, known))),
  }),

  node.create({
    summary: 'Register a node',
    description:
      'It is asked through its tunnel for its version, and its speech server and agent for what they have, before it is ' +
      'stored: 422 names the address that did not answer as it should. Calls of this organisation alone reach it, from ' +
      'the next one on. 409 where a provider or a vendor has its name. At most 20 for an organisation.',
    body: NodeBody,
    run: async (ctx, body) => shown(ctx, await createNode(ctx, body)),
  }),

  node.read({ summary: 'Show a node', run: async (ctx, id) => seen(ctx, await readKnown(ctx, id)) }),

  node.replace({
    summary: 'Replace a node',
    description:
      'Fields that are left out get their defaults; its credential stays unless another, or null, is given. Another ' +
      'address asks for it again, and is asked as when the node was registered. 403 for the node that everybody shares.',
    body: NodeBody,
    run: async (ctx, id, body) => shown(ctx, await replaceNode(ctx, id, body)),
  }),

  node.change({
    summary: 'Change a node',
    description:
      'What is absent stays as it is, also of `limits`. Another address asks for the credential again. 403 for the node ' +
      'that everybody shares.',
    body: PatchNode,
    run: async (ctx, id, body) => shown(ctx, await patchNode(ctx, id, body)),
  }),

  node.remove({
    summary: 'Delete a node',
    description: 'The next call does not reach it any more, and its credential is gone at once.',
    run: deleteNode,
  }),

  post(
    '/api/v1/nodes/:id/check',
    {
      summary: 'Look at a node now',
      description: 'Whatever was seen of it before. A credential that was put aside is tried again.',
      scope: 'node:write',
      params: NodeParams,
      response: StateView,
    },
    async (ctx, { params }) => {
      const known = await readKnown(ctx, params.id)
      const found = await seen(ctx, known, { maxAgeMs: 0 })
      if (found.state.health === 'healthy') ctx.memory.cooldowns.delete(params.id)
      return stateView(found)
    },
  ),

  post(
    '/api/v1/nodes/:id/drain',
    {
      summary: 'Drain a node',
      description:
        'It takes no new work from the next call on; what runs may end. `drain: false` puts it to work again. 403 for ' +
        'the node that everybody shares.',
      scope: 'node:write',
      params: NodeParams,
      body: DrainNode,
      response: NodeView,
    },
    async (ctx, { params, body }) => viewOf(await shown(ctx, await drainNode(ctx, params.id, body.drain))),
  ),

  get(
    '/api/v1/nodes/:id/load',
    {
      summary: 'Show the load of a node',
      description: 'Calls inside and waiting, the models in the memory of its cards, and that memory.',
      scope: 'node:read',
      params: NodeParams,
      response: LoadView,
    },
    async (ctx, { params }) => loadView(await seen(ctx, await readKnown(ctx, params.id))),
  ),
]
