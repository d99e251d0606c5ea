import { del, get, post, put, type Route } from '../../http/route.ts'
import { receive } from './receive.ts'
import { insertUpload, readUpload, removeUpload, viewOf } from './rows.ts'
import { CreateUpload, UploadParams, UploadView } from './schema.ts'

export const routes: readonly Route[] = [
  post(
    '/api/v1/uploads',
    {
      summary: 'Announce a file',
      description:
        'For what is too large for a body: up to 100 MB. Send its bytes to `upload_url`, and name the upload where a file ' +
        'is wanted. It is gone after a day.',
      scope: 'credential',
      body: CreateUpload,
      response: UploadView,
      status: 201,
    },
    async (ctx, { body }) => viewOf(await insertUpload(ctx, body)),
  ),

  put(
    '/api/v1/uploads/:id/content',
    {
      summary: 'Send the bytes of a file',
      description: 'As they are, with `content-length`, once. What breaks off is not there, and may be sent again.',
      scope: 'credential',
      params: UploadParams,
      rawBody: true,
      response: UploadView,
    },
    async (ctx, { params }, request) => viewOf(await receive(ctx, params.id, request)),
  ),

  get(
    '/api/v1/uploads/:id',
    {
      summary: 'Get an upload',
      scope: 'credential',
      params: UploadParams,
      response: UploadView,
    },
    async (ctx, { params }) => viewOf(await readUpload(ctx, params.id)),
  ),

  del(
    '/api/v1/uploads/:id',
    {
      summary: 'Remove an upload',
      description: 'With its bytes, at once.',
      scope: 'credential',
      params: UploadParams,
    },
    async (ctx, { params }) => {
      await removeUpload(ctx, params.id)
      return undefined
    },
  ),
]
