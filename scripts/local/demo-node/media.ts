export type Media =
  | { kind: 'PNG' | 'JPEG' | 'WebP'; width: number; height: number }
  | { kind: 'WAV' | 'MP3'; byteLength: number }

const pngSignature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

/** What the bytes are, judged by the bytes alone; undefined for any other kind. */
export function sniffMedia(bytes: Buffer): Media | undefined {
  if (bytes.length >= 24 && bytes.subarray(0, 8).equals(pngSignature)) {
    return { kind: 'PNG', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) }
  }
  if (bytes.length > 4 && bytes[0] === 0xff && bytes[1] === 0xd8) return sniffJpeg(bytes)
  if (bytes.length >= 12 && bytes.toString('latin1', 0, 4) === 'RIFF') return sniffRiff(bytes)
  return isMp3(bytes) ? { kind: 'MP3', byteLength: bytes.length } : undefined
}

function isMp3(bytes: Buffer): boolean {
  if (bytes.length < 4) return false
  if (bytes.toString('latin1', 0, 3) === 'ID3') return true
  // MPEG audio frame sync with layer III.
  return bytes[0] === 0xff && ((bytes[1] ?? 0) & 0xe6) === 0xe2
}

function sniffRiff(bytes: Buffer): Media | undefined {
  const form = bytes.toString('latin1', 8, 12)
  if (form === 'WAVE') return { kind: 'WAV', byteLength: bytes.length }
  if (form !== 'WEBP' || bytes.length < 30) return undefined
  const chunk = bytes.toString('latin1', 12, 16)
  if (chunk === 'VP8X') {
    return { kind: 'WebP', width: bytes.readUIntLE(24, 3) + 1, height: bytes.readUIntLE(27, 3) + 1 }
  }
  if (chunk === 'VP8L') {
    const bits = bytes.readUInt32LE(21)
    return { kind: 'WebP', width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 }
  }
  if (chunk !== 'VP8 ') return undefined
  return { kind: 'WebP', width: bytes.readUInt16LE(26) & 0x3fff, height: bytes.readUInt16LE(28) & 0x3fff }
}

function sniffJpeg(bytes: Buffer): Media | undefined {
  let offset = 2
  while (offset + 9 < bytes.length && bytes[offset] === 0xff) {
    const marker = bytes[offset + 1] ?? 0
    // SOF0..SOF15 carry the size; C4, C8 and CC in that range are tables.
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      return { kind: 'JPEG', width: bytes.readUInt16BE(offset + 7), height: bytes.readUInt16BE(offset + 5) }
    }
    offset += 2 + bytes.readUInt16BE(offset + 2)
  }
  return undefined
}

export function describeMedia(media: Media): string {
  return 'width' in media
    ? `a ${media.kind} image of ${media.width} × ${media.height} pixels`
    : `a ${media.kind} recording of ${media.byteLength} bytes`
}

const base64Alphabet = /[A-Za-z0-9+/]/

/** Decodes padded standard base64 (line breaks allowed); on bad input, the offset of the first illegal byte. */
export function decodeBase64(text: string): Buffer | { illegalAt: number } {
  let digits = 0
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index)
    if (character === '\n' || character === '\r') continue
    if (character === '=') return closePadding(text, index, digits)
    if (!base64Alphabet.test(character)) return { illegalAt: index }
    digits += 1
  }
  return digits % 4 === 0 ? Buffer.from(text, 'base64') : { illegalAt: text.length }
}

function closePadding(text: string, at: number, digits: number): Buffer | { illegalAt: number } {
  const missing = (4 - (digits % 4)) % 4
  const tail = text.slice(at).replace(/[\r\n]/g, '')
  if (missing !== 1 && missing !== 2) return { illegalAt: at }
  return tail === '='.repeat(missing) ? Buffer.from(text, 'base64') : { illegalAt: at }
}
