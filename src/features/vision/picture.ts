import type { Ctx } from '../../core/context.ts'
import { AppError, ofField, unfit } from '../../core/errors.ts'
import { type FilePart, releaseFiles } from '../../http/multipart.ts'
import { dataUrlOf, type Image, imageFormats, imageOf } from '../media/service.ts'
import { openUpload } from '../uploads/service.ts'
import { fetchPicture } from './remote.ts'

/** Where a picture comes from: one of the four. */
export type PictureSource = {
  file?: FilePart | undefined
  image_url?: string | undefined
  image_base64?: string | undefined
  upload_id?: string | undefined
}

/** A picture that somebody sent, known by its bytes. */
export type Picture = {
  image: Image
  /** As it came. */
  bytes: Uint8Array
  /** They are told when the bytes are gone. */
  sizeBytes: number
  /** In hexadecimal. */
  sha256: string
  filename: string | undefined
  /** What its sender said it is, where that is wrong. */
  declaredType: string | undefined
}

type Sent = { bytes: Uint8Array; filename?: string | undefined; type?: string | undefined }

/** Which fields of a source there are. */
export const sourceFields = ['file', 'image_url', 'image_base64', 'upload_id'] as const

/**
 * Reads a picture. Throws 415 for what is none of the five formats, 422 `undecodable_image` and `too_long` as `imageOf`,
 * 413 for more than `maxBytes`, 404 for an unknown upload, and what `fetchPicture` throws.
 */
export async function readPicture(ctx: Ctx, source: PictureSource, maxBytes: number): Promise<Picture> {
  const sent = await bytesOf(ctx, source, maxBytes)
  if (sent.bytes.length > maxBytes) throw tooLarge(maxBytes)
  const image = looked(sent.bytes, source)
  const declared = sent.type?.split(';')[0]?.trim().toLowerCase()
  return {
    image,
    bytes: sent.bytes,
    sizeBytes: sent.bytes.length,
    sha256: await sha256Of(sent.bytes),
    filename: sent.filename,
    declaredType: declared === image.mime ? undefined : declared,
  }
}

/** What picture it is; a refusal names the field that it came in. */
function looked(bytes: Uint8Array, source: PictureSource): Image {
  const found = bytes.length === 0 ? ' This file is empty.' : ''
  const message = `A picture is one of these by its bytes: ${imageFormats.join(', ')}.${found}`
  const field = sourceFields.find((name) => source[name] !== undefined) ?? 'file'
  try {
    const image = imageOf(bytes)
    if (image) return image
    throw new AppError('unsupported_media_type', message)
  } catch (error) {
    throw ofField(error, field)
  }
}

/** The bytes of a source, not looked at yet. */
export async function bytesOf(ctx: Ctx, source: PictureSource, maxBytes: number): Promise<Sent> {
  const { file, image_url: url, image_base64: base64, upload_id: uploadId } = source
  if (file) return file
  if (url !== undefined) return fetchPicture(ctx, { url, maxBytes, field: 'image_url' })
  if (base64 !== undefined) return decoded(base64)
  if (uploadId === undefined) throw unfit('file', 'is missing')
  const upload = await openUpload(ctx, uploadId)
  if (upload.sizeBytes > maxBytes) throw tooLarge(maxBytes)
  return { bytes: await upload.bytes(), filename: upload.filename, type: upload.mime }
}

const tooLarge = (maxBytes: number): AppError =>
  new AppError('payload_too_large', `A picture may have ${maxBytes / 1024 / 1024} MB here.`)

const DATA_URL = /^data:([\w.+-]+\/[\w.+-]+)?(?:;[\w.=+-]+)*;base64,/i
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}\s*$/

/** Base64, or a `data:` URL of it. */
function decoded(text: string): Sent {
  const [head = '', type] = DATA_URL.exec(text.slice(0, 200)) ?? []
  const digits = text.slice(head.length)
  if (!BASE64.test(digits)) throw unfit('image_base64', 'is not base64')
  return { bytes: Buffer.from(digits, 'base64'), type }
}

/** The picture as models get it, without what tells of its making. */
export const shownAs = ({ bytes, image }: Pick<Picture, 'bytes' | 'image'>): string => dataUrlOf(bytes, image)

/** The same in base64. */
export function shownBase64(picture: Pick<Picture, 'bytes' | 'image'>): string {
  const url = shownAs(picture)
  return url.slice(url.indexOf(',') + 1)
}

/** Gives back the memory of a large picture that is shown already, and that of the body that it came in. */
export const release = ({ bytes }: Pick<Picture, 'bytes'>): void =>
  releaseFiles([{ filename: undefined, type: undefined, bytes }])

async function sha256Of(bytes: Uint8Array): Promise<string> {
  // A view of a body is not the body: the digest is of the view alone.
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)).toString('hex')
}

/** What is told of a picture beside an answer about it. */
export const metadataOf = ({ image, sha256, sizeBytes, declaredType }: Picture) => ({
  width: image.width,
  height: image.height,
  format: image.format,
  frames: image.frames,
  size_bytes: sizeBytes,
  sha256,
  scaled: false,
  ...(declaredType !== undefined && { declared_type: declaredType }),
})
