export {
  dataUrlOf,
  type Image,
  type ImageFormat,
  imageFormats,
  imageOf,
  MAX_MEGAPIXELS,
  strippedImage,
  strippedPieces,
} from './image.ts'
export { hammingDistance, perceptualHash } from './perceptual-hash.ts'
export { type Sound, type SoundFormat, soundFormats, soundOf } from './sound.ts'
