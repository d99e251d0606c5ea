import { resource } from '../../http/resource.ts'
import { get, post, type Route } from '../../http/route.ts'
import { entityView, listEntities, listRelations, readEntity, relationView } from './graph-lists.ts'
import { extractRelations } from './relations.ts'
import {
  EntitiesQuery,
  EntityParams,
  EntityView,
  EntityWithRelations,
  RelationsBody,
  RelationsQuery,
  RelationsView,
  RelationView,
} from './schema-graph.ts'

const shared = { area: 'semantic', params: EntityParams } as const
const entity = resource({ ...shared, at: '/api/v1/semantic/entities', view: EntityView, viewOf: entityView })
const relation = resource({ ...shared, at: '/api/v1/semantic/relations', view: RelationView, viewOf: relationView })

/** What texts tell of, and how that hangs together. */
export const graphRoutes: readonly Route[] = [
  post(
    '/api/v1/semantic/extract-relations',
    {
      summary: 'Extract entities and relations',
      description:
        'A model reads the text in windows of 2000 characters that overlap by 200; what it tells of them is put ' +
        'together, and kept beside what other texts told. A relation that no passage of the text states is dropped. ' +
        'With a source, what it stated before gives way.',
      scope: 'semantic:write',
      body: RelationsBody,
      response: RelationsView,
    },
    (ctx, { body }) => extractRelations(ctx, body),
  ),

  entity.list({ summary: 'List entities', query: EntitiesQuery, run: listEntities }),

  get(
    '/api/v1/semantic/entities/:id',
    {
      summary: 'Show an entity',
      description: 'With the relations that lead to it and from it.',
      scope: 'semantic:read',
      params: EntityParams,
      response: EntityWithRelations,
    },
    (ctx, { params: { id } }) => readEntity(ctx, id),
  ),

  relation.list({ summary: 'List relations', query: RelationsQuery, run: listRelations }),
]
