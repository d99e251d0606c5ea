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
export { behindTags, longSoundOf, type RangedFile, type WavPlaces, wavPlaces } from './long-sound.ts'
export { type FramePlace, frameWithin } from './mpeg.ts'
export { hammingDistance, perceptualHash } from './perceptual-hash.ts'
export { type Sound, type SoundFormat, soundFormats, soundOf } from './sound.ts'
