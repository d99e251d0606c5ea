import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { AppError } from '../../../src/core/errors.ts'
import { dataUrlOf, imageOf, strippedImage, strippedPieces } from '../../../src/features/media/service.ts'
import { bmpOf, pixelsOf, pngChunk, pngOf } from '../../support/pictures.ts'
import { joined } from '../../support/sounds.ts'

const fixture = (name: string) =>
  new Uint8Array(readFileSync(`${import.meta.dirname}/../../support/fixtures/pictures/${name}`))

const outcomeOf = (bytes: Uint8Array): unknown => {
  try {
    return imageOf(bytes)?.format
  } catch (error) {
    return error instanceof AppError ? error.code : error
  }
}

const pixels = pixelsOf('house', 48, 32)
const png = pngOf(pixels, 48)
const bmp = bmpOf(pixels, 48)

const wide = (width: number, height: number) => {
  const file = pngOf(pixels, 48)
  const header = joined(file.subarray(16, 29))
  new DataView(header.buffer).setUint32(0, width)
  new DataView(header.buffer).setUint32(4, height)
  return joined(file.subarray(0, 8), pngChunk('IHDR', header), file.subarray(33))
}

describe('a picture', () => {
  it.each([
    ['house.jpg', fixture('house.jpg'), { format: 'jpeg', mime: 'image/jpeg', width: 256, height: 256, frames: 1 }],
    ['house-small.jpg', fixture('house-small.jpg'), { format: 'jpeg', width: 144, height: 144 }],
    ['turned.jpg', fixture('turned.jpg'), { format: 'jpeg', width: 32, height: 48 }],
    ['house.gif', fixture('house.gif'), { format: 'gif', mime: 'image/gif', width: 128, height: 128, frames: 1 }],
    ['moving.gif', fixture('moving.gif'), { format: 'gif', width: 32, height: 32, frames: 3 }],
    ['lossy.webp', fixture('lossy.webp'), { format: 'webp', mime: 'image/webp', width: 48, height: 32, frames: 1 }],
    ['lossless.webp', fixture('lossless.webp'), { format: 'webp', width: 48, height: 32, frames: 1 }],
    ['described.webp', fixture('described.webp'), { format: 'webp', width: 48, height: 32, frames: 1 }],
    ['moving.webp', fixture('moving.webp'), { format: 'webp', width: 32, height: 32, frames: 3 }],
    ['a PNG', png, { format: 'png', mime: 'image/png', width: 48, height: 32, frames: 1 }],
    ['a BMP', bmp, { format: 'bmp', mime: 'image/bmp', width: 48, height: 32, frames: 1 }],
    ['a BMP from its top', bmpOf(pixels, 48, true), { format: 'bmp', width: 48, height: 32 }],
  ])('is known by its bytes: %s', (_name, bytes, seen) => {
    expect(imageOf(bytes)).toMatchObject(seen)
  })

  it.each<[string, Uint8Array | string]>([
    ['nothing', ''],
    ['a text', 'a picture of a house'],
    ['a text that begins as a BMP does', 'BMW builds cars, among other things, and has done so since 1928.'],
    ['HTML', '<!doctype html><img src="a.png">'],
    ['a PDF', '%PDF-1.7\n'],
    ['a PDF with a picture in it', joined('%PDF-1.7\n', png)],
    ['SVG', '<svg xmlns="http://www.w3.org/2000/svg"/>'],
    ['a sound of the same container', joined('RIFF', [4, 0, 0, 0], 'WAVE')],
    ['a TIFF', joined('II', [42, 0, 8, 0, 0, 0])],
    ['the beginning of a signature', png.subarray(0, 7)],
  ])('is not %s', (_what, content) => {
    expect(outcomeOf(typeof content === 'string' ? joined(content) : content)).toBeUndefined()
  })

  it.each<[string, Uint8Array]>([
    ['a JPEG and then a text', joined([0xff, 0xd8, 0xff], 'hello')],
    ['a GIF and then a text', joined('GIF89a is a kind of picture')],
    ['a PNG and then a text', joined(png.subarray(0, 8), 'hello, this is a text and no picture')],
    ['a PNG whose header is damaged', joined(png.subarray(0, 18), [1], png.subarray(19))],
    ['a PNG without pixels', joined(png.subarray(0, 33), pngChunk('IEND', ''))],
    ['a PNG of no width', wide(0, 10)],
    ['a WebP without a frame', joined('RIFF', [4, 0, 0, 0], 'WEBP')],
  ])('is broken: %s', (_what, bytes) => {
    expect(outcomeOf(bytes)).toBe('undecodable_image')
  })

  it('is broken where it is in more parts than any memory could list', () => {
    const times = (part: Uint8Array | number[], parts: number) => {
      const filled = new Uint8Array(part.length * parts)
      for (let at = 0; at < parts; at++) filled.set(part, at * part.length)
      return filled
    }
    const [jpeg, gif, webp] = [fixture('house-small.jpg'), fixture('house.gif'), fixture('lossy.webp')]
    const inRiff = (file: Uint8Array) => {
      new DataView(file.buffer).setUint32(4, file.length - 8, true)
      return file
    }
    const cases: [name: string, of: (parts: number) => Uint8Array][] = [
      ['jpeg', (parts) => joined(jpeg.subarray(0, 2), times([0xff, 0xfe, 0, 2], parts), jpeg.subarray(2))],
      ['png', (parts) => joined(png.subarray(0, 33), times(pngChunk('tEXt', ''), parts), png.subarray(33))],
      ['gif', (parts) => joined(gif.subarray(0, -1), times([0x21, 0xfe, 0], parts), [0x3b])],
      ['webp', (parts) => inRiff(joined(webp, times([0x58, 0x58, 0x58, 0x58, 0, 0, 0, 0], parts)))],
    ]
    for (const [format, of] of cases) {
      expect(outcomeOf(of(90_000)), format).toBe(format)
      expect(outcomeOf(of(100_001)), format).toBe('undecodable_image')
    }
  })

  it('may have 50 megapixels and not one row more', () => {
    expect(imageOf(wide(10_000, 5000))).toMatchObject({ width: 10_000, height: 5000 })
    expect(outcomeOf(wide(10_000, 5001))).toBe('too_long')
    expect(() => imageOf(wide(10_000, 5001))).toThrow(/50 megapixels; this one has 10000 × 5001/)
  })

  it.each([
    ['jpeg', fixture('turned.jpg'), 3, 0],
    ['progressive', fixture('house-small.jpg'), 3, 0],
    ['png', png, 8, 0],
    // The trailer of one byte is no loss.
    ['gif', fixture('house.gif'), 6, 1],
    ['webp', fixture('described.webp'), 12, 0],
    ['bmp', bmp.subarray(0, 5000), 54, 0],
  ])('that is cut off anywhere is broken: %s', (_format, bytes, signature, spare) => {
    for (let end = 0; end < bytes.length - spare; end++) {
      const outcome = outcomeOf(bytes.subarray(0, end))
      expect(outcome, `at ${end}`).toBe(end < signature ? undefined : 'undecodable_image')
    }
  })
})

const told = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
const SECRETS = /Nobody Else|secret|GPS|http:\/\/ns\.adobe|Comment/

describe('a picture without what tells of its making', () => {
  const text = (type: string) => pngChunk(type, 'Comment\0Nobody Else')
  const described = pngOf(pixels, 48, {
    between: [...['tEXt', 'iTXt', 'zTXt', 'eXIf', 'tIME'].map(text), pngChunk('gAMA', '\0\0\xb1\x8f')],
  })
  const gif = fixture('moving.gif')
  const comment = joined([0x21, 0xfe, 11], 'Nobody Else', [0])
  const program = joined([0x21, 0xff, 11], 'XMP DataXMP', [6], 'secret', [0])
  const jpeg = fixture('turned.jpg')
  const xmp = 'http://ns.adobe.com/xap/1.0/\0secret'
  const segment = (marker: number, data: string) => joined([0xff, marker, 0, data.length + 2], data)
  const profile = segment(0xe2, 'ICC_PROFILE\0\x01\x01')

  const cases: [string, Uint8Array, Uint8Array][] = [
    [
      'jpeg',
      jpeg,
      joined(
        jpeg.subarray(0, 2),
        ...[
          segment(0xe1, xmp),
          segment(0xfe, 'secret'),
          segment(0xed, 'secret'),
          segment(0xe2, 'MPF\0secret'),
          profile,
        ],
        jpeg.subarray(2),
        'secret',
      ),
    ],
    ['png', png, joined(described, 'secret')],
    ['gif', gif, joined(gif.subarray(0, 13 + 24), comment, program, gif.subarray(13 + 24), 'secret')],
    ['webp', fixture('lossy.webp'), fixture('described.webp')],
    ['bmp', bmp, joined(bmp, 'secret')],
  ]

  it.each(cases)('shows the same and tells nothing: %s', (_format, plain, file) => {
    const image = imageOf(file)
    if (!image) throw new Error('no picture')
    expect(told(file)).toMatch(SECRETS)
    const stripped = strippedImage(file, image.format)
    expect(told(stripped)).not.toMatch(SECRETS)
    expect(imageOf(stripped)).toEqual(image)
    expect(strippedImage(stripped, image.format)).toEqual(stripped)
    const { width, height, frames } = imageOf(plain) ?? {}
    expect(image).toMatchObject({ width, height, frames })
  })

  it('keeps what changes the look: orientation, colours, a loop, gamma', () => {
    const [[, , jpegFile], [, , pngFile], [, , gifFile]] = cases as [
      (typeof cases)[0],
      (typeof cases)[0],
      (typeof cases)[0],
    ]
    const stripped = strippedImage(jpegFile, 'jpeg')
    expect(told(stripped)).toContain('ICC_PROFILE')
    expect(told(stripped)).toContain('Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06')
    expect(told(strippedImage(pngFile, 'png'))).toContain('gAMA')
    expect(told(strippedImage(gifFile, 'gif'))).toContain('NETSCAPE2.0')
  })

  it('is the same bytes where there was nothing to take away, and views of them where there was', () => {
    for (const [bytes, format] of [
      [png, 'png'],
      [bmp, 'bmp'],
      [fixture('house.jpg'), 'jpeg'],
    ] as const) {
      expect(strippedImage(bytes, format)).toBe(bytes)
    }
    const copied = strippedPieces(jpeg, 'jpeg').filter((piece) => piece.buffer !== jpeg.buffer)
    expect(copied.reduce((sum, piece) => sum + piece.length, 0)).toBeLessThan(100)
  })

  it('is a data URL of itself', () => {
    const [file = png] = cases.flatMap(([format, , bytes]) => (format === 'jpeg' ? [bytes] : []))
    for (const [bytes, format] of [
      [file, 'jpeg'],
      [png, 'png'],
      [gif, 'gif'],
      [fixture('described.webp'), 'webp'],
    ] as const) {
      const expected = Buffer.from(strippedImage(bytes, format)).toString('base64')
      expect(dataUrlOf(bytes, { format, mime: `image/${format}` })).toBe(`data:image/${format};base64,${expected}`)
    }
    const large = joined([0xff, 0xd8, 0xff, 0xda, 0, 2], new Uint8Array(7_000_001).fill(90), [0xff, 0xd9])
    expect(dataUrlOf(large, { format: 'jpeg', mime: '' }).slice(13)).toBe(Buffer.from(large).toString('base64'))
  })
})
