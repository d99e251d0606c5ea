import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hammingDistance, imageOf, perceptualHash } from '../../../src/features/media/service.ts'
import { count } from '../../support/lane.ts'
import { bmpOf, type PictureName, pictureNames, pixelsOf, pngOf } from '../../support/pictures.ts'

const fixture = (name: string) =>
  new Uint8Array(readFileSync(`${import.meta.dirname}/../../support/fixtures/pictures/${name}`))

async function hashOf(bytes: Uint8Array): Promise<string | undefined> {
  const image = imageOf(bytes)
  return image && perceptualHash(bytes, image)
}

/** The same picture, saved in other ways and sizes. */
const copies: Readonly<Record<string, (name: PictureName) => Uint8Array>> = {
  'a PNG': (name) => pngOf(pixelsOf(name, 128), 128),
  'a PNG of filtered rows': (name) => pngOf(pixelsOf(name, 90), 90, { filter: 4 }),
  'a PNG of other filters, 16 bits and transparency': (name) =>
    pngOf(pixelsOf(name, 110), 110, { colour: 6, depth: 16, filter: 3 }),
  'a grey PNG': (name) => pngOf(pixelsOf(name, 128), 128, { colour: 0, filter: 1 }),
  'a PNG of half the height': (name) => pngOf(pixelsOf(name, 128, 64), 128, { colour: 4, filter: 2 }),
  'a JPEG': (name) => fixture(`${name}.jpg`),
  'a small progressive JPEG': (name) => fixture(`${name}-small.jpg`),
  'a GIF': (name) => fixture(`${name}.gif`),
  'a BMP': (name) => bmpOf(pixelsOf(name, 100), 100),
  'a BMP from its top': (name) => bmpOf(pixelsOf(name, 133), 133, true),
}

describe('the hash of what is seen', () => {
  it('is nearly the same for a copy and far from it for another picture', async () => {
    const hashes: { name: PictureName; hash: string; kind: string }[] = []
    for (const name of pictureNames) {
      for (const [kind, make] of Object.entries(copies)) {
        const hash = await hashOf(make(name))
        expect(hash, `${kind} of ${name}`).toMatch(/^[0-9a-f]{16}$/)
        hashes.push({ name, hash: hash ?? '', kind })
      }
    }
    for (const left of hashes) {
      for (const right of hashes) {
        const distance = hammingDistance(left.hash, right.hash)
        const pair = `${left.kind} of ${left.name}, ${right.kind} of ${right.name}`
        if (left.name === right.name) expect(distance, pair).toBeLessThanOrEqual(4)
        else expect(distance, pair).toBeGreaterThan(10)
      }
    }
  })

  it('is there for pictures of any size', async () => {
    for (const [width, height] of [
      [1, 1],
      [1, 40],
      [7, 3],
      [31, 33],
      [1000, 2],
    ] as const) {
      expect(await hashOf(pngOf(pixelsOf('rings', width, height), width))).toMatch(/^[0-9a-f]{16}$/)
    }
    expect(await hashOf(fixture('turned.jpg'))).toMatch(/^[0-9a-f]{16}$/)
    expect(await hashOf(fixture('grey.jpg'))).toMatch(/^[0-9a-f]{16}$/)
  })

  it('is not there where the pixels cannot be read here', async () => {
    expect(await hashOf(fixture('lossy.webp'))).toBeUndefined()
    expect(await hashOf(pngOf(pixelsOf('house', 64), 64, { interlaced: true }))).toBeUndefined()
    const damaged = pngOf(pixelsOf('house', 64), 64)
    damaged.fill(0x55, 60, 120)
    expect(await hashOf(damaged)).toBeUndefined()
  })

  it('is a hash or nothing, whatever bytes are changed', async () => {
    const files = [
      fixture('house.jpg'),
      fixture('house-small.jpg'),
      fixture('house.gif'),
      pngOf(pixelsOf('house', 40), 40),
      bmpOf(pixelsOf('house', 20), 20),
    ]
    const formats = ['jpeg', 'jpeg', 'gif', 'png', 'bmp'] as const
    const change = fc.tuple(fc.nat(), fc.nat(255))
    await fc.assert(
      fc.asyncProperty(fc.nat(4), fc.array(change, { minLength: 1, maxLength: 8 }), async (which, changes) => {
        const file = files[which]?.slice() ?? new Uint8Array()
        for (const [at, value] of changes) file[at % file.length] = value
        const hash = await perceptualHash(file, { format: formats[which] ?? 'png' })
        expect(hash ?? '0123456789abcdef').toMatch(/^[0-9a-f]{16}$/)
      }),
      { numRuns: count(150, 3000) },
    )
  })
})

describe('a distance', () => {
  it('counts the bits that differ', () => {
    expect(hammingDistance('0000000000000000', '0000000000000000')).toBe(0)
    expect(hammingDistance('ffffffffffffffff', '0000000000000000')).toBe(64)
    expect(hammingDistance('8000000000000001', '0000000000000003')).toBe(2)
  })
})
