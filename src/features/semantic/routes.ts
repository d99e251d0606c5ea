import type { Route } from '../../http/route.ts'
import { extractRoutes } from './routes-extract.ts'
import { graphRoutes } from './routes-graph.ts'
import { searchRoutes } from './routes-search.ts'

export const routes: readonly Route[] = [...searchRoutes, ...extractRoutes, ...graphRoutes]
