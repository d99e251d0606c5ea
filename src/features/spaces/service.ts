export {
  indexSettings,
  isIndexed,
  type NearestFilter,
  type NearestWish,
  type Neighbour,
  nearest,
  nearestRows,
} from './nearest.ts'
export {
  defaultSpace,
  type Modality,
  readSpace,
  type Space,
  type SpaceWish,
  spaceFor,
  spacesOf,
  spaceWithoutModel,
} from './spaces.ts'
export {
  deleteVectors,
  fitting,
  insertVectors,
  type OwnedVector,
  type OwnerKind,
  removeVectors,
  storeVectors,
  vectorsOf,
} from './store.ts'
export {
  DEFAULT_TEXT_MODEL,
  type EmbeddedTexts,
  embedFor,
  embedInto,
  embedIntoSpace,
  type TextsWish,
  type TextVectors,
  textSpaceOf,
} from './texts.ts'
export { cosine, meanVector, unitVector } from './vectors.ts'
