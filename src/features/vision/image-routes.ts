import { resource } from '../../http/resource.ts'
import { post, type Route } from '../../http/route.ts'
import {
  ChangeBody,
  ImageParams,
  ImagesQuery,
  ImageView,
  IndexBody,
  IndexView,
  SearchBody,
  SearchView,
} from './images-schema.ts'
import { change, index } from './indexing.ts'
import { MAX_INDEXED_BYTES, MAX_SHOWN_BYTES } from './limits.ts'
import { listImages, readImage, removeImage, viewOf } from './rows.ts'
import { searchSimilar } from './similar.ts'

const images = resource({
  at: '/api/v1/vision/images',
  area: 'vision',
  params: ImageParams,
  view: ImageView,
  viewOf,
})

const search = {
  summary: 'Find pictures that are alike',
  description:
    'Like a picture, like words, or like both (half and half). Each result says by what it was compared: pictures ' +
    'themselves, or their captions.',
  scope: 'vision:write',
  body: SearchBody,
  multipart: { maxBytes: MAX_SHOWN_BYTES },
  response: SearchView,
} as const

/** Pictures that can be found again. */
export const imageRoutes: readonly Route[] = [
  post('/api/v1/vision/search-similar', search, (ctx, { body }) => searchSimilar(ctx, body)),

  post('/api/v1/vision/search', { ...search, summary: 'Find pictures that are alike (short name)' }, (ctx, { body }) =>
    searchSimilar(ctx, body),
  ),

  post(
    '/api/v1/vision/images',
    {
      summary: 'Take a picture into the index',
      description:
        'Up to 50 MB, and 10,000 for an organisation. The same file is answered with the picture that is there (200). ' +
        'It is kept without what tells of its making, unless `store` is false.',
      scope: 'vision:write',
      body: IndexBody,
      multipart: { maxBytes: MAX_INDEXED_BYTES },
      response: IndexView,
      status: 201,
    },
    async (ctx, { body }) => {
      const { view, isNew } = await index(ctx, body)
      return isNew ? view : Response.json(view)
    },
  ),

  images.list({
    summary: 'List indexed pictures',
    query: ImagesQuery,
    run: listImages,
  }),

  images.read({ summary: 'Get an indexed picture', description: 'What is known of it.', run: readImage }),

  images.change({
    summary: 'Change what is told of a picture',
    description: 'One that is found by its caption moves with it.',
    body: ChangeBody,
    run: change,
  }),

  images.remove({
    summary: 'Remove a picture from the index',
    description: 'With its bytes and its vectors, at once.',
    run: removeImage,
  }),
]
