import { get, put, type Route } from '../../http/route.ts'
import { readConfig, saveConfig } from './config.ts'
import { EnsembleConfigView, EnsembleStatus, SaidEnsemble } from './schema.ts'
import { ensembleStatus } from './status.ts'

export const routes: readonly Route[] = [
  get(
    '/api/v1/ensemble/config',
    {
      summary: 'Get how several models answer together',
      description: 'What the organisation has said for calls that say nothing themselves.',
      scope: 'routing:read',
      response: EnsembleConfigView,
    },
    (ctx) => readConfig(ctx),
  ),

  put(
    '/api/v1/ensemble/config',
    {
      summary: 'Say how several models answer together',
      description:
        'It holds from the next call on, field by field, for calls of `/v1/ensemble/completions` and those with an ' +
        '`ensemble_config` of their own, as far as they leave the field out. It makes no other call one of several models. Models that no provider serves are refused; an empty object puts everything back.',
      scope: 'routing:write',
      body: SaidEnsemble,
      response: EnsembleConfigView,
    },
    (ctx, { body }) => saveConfig(ctx, body),
  ),

  get(
    '/api/v1/admin/ensemble/status',
    {
      summary: 'Show what ensembles came to',
      description: 'Of the whole installation, in the last 24 hours.',
      scope: 'operator',
      response: EnsembleStatus,
    },
    (ctx) => ensembleStatus(ctx),
  ),
]
