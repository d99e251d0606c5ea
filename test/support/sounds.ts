type Piece = Uint8Array | string | readonly number[]

/** Pieces in a row; a text is Latin-1. */
export const joined = (...pieces: readonly Piece[]): Uint8Array =>
  new Uint8Array(
    Buffer.concat(
      pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : Buffer.from(piece))),
    ),
  )

const bigEndian = (value: number, length: number) =>
  Array.from({ length }, (_none, index) => Math.floor(value / 256 ** (length - 1 - index)) % 256)
const littleEndian = (value: number, length: number) => bigEndian(value, length).reverse()
export const repeated = (piece: Uint8Array, times: number) => joined(...Array.from({ length: times }, () => piece))

/** 128 kbit/s at 44,100 Hz: 417 bytes and 1152 samples a frame. */
const mp3Frame = joined([0xff, 0xfb, 0x90, 0], new Uint8Array(413))
export const id3 = joined('ID3', [4, 0, 0, 0, 0, 1, 0], new Uint8Array(128))
export const mp3 = (frames: number, front: Uint8Array = new Uint8Array()) => joined(front, repeated(mp3Frame, frames))

/** A first frame that tells how many follow. */
export function mp3WithCount(frames: number): Uint8Array {
  const first = mp3Frame.slice()
  first.set(joined('Xing', bigEndian(1, 4), bigEndian(frames, 4)), 36)
  return joined(first, repeated(mp3Frame, 3))
}

/** 16 bits, mono, 8,000 Hz. */
export function wav(samples: number, told = samples * 2): Uint8Array {
  const format = joined(
    littleEndian(1, 2),
    littleEndian(1, 2),
    littleEndian(8000, 4),
    littleEndian(16_000, 4),
    [2, 0, 16, 0],
  )
  const chunks = joined(
    'WAVE',
    'fmt ',
    littleEndian(16, 4),
    format,
    'data',
    littleEndian(told, 4),
    new Uint8Array(samples * 2),
  )
  return joined('RIFF', littleEndian(chunks.length, 4), chunks)
}

/** 16,000 Hz; the frames behind the header are of no interest here. */
export function flac(samples: number): Uint8Array {
  const info = joined(
    [16, 0, 16, 0],
    new Uint8Array(6),
    bigEndian(16_000 * 16, 3),
    [0xf0],
    bigEndian(samples, 4),
    new Uint8Array(16),
  )
  return joined('fLaC', [0x80, 0, 0, 34], info, [0xff, 0xf8, 0, 0])
}

/** A frame of so many bytes with blocks of 1024 samples, at 44,100 Hz or the rate of that index. */
export function adts(bytes: number, { blocks = 1, rateIndex = 4 } = {}): Uint8Array {
  const front = [0xff, 0xf1, 0x40 | (rateIndex << 2), 0x80 | (bytes >> 11)]
  return joined(front, bigEndian(((bytes & 0x7ff) << 5) | 0x1f, 2), [0xfc | (blocks - 1)], new Uint8Array(bytes - 7))
}

/** 44,100 Hz, 100 bytes and 1024 samples a frame. */
export const aac = (frames: number): Uint8Array => repeated(adts(100), frames)

function oggPage(
  packet: Uint8Array,
  { flags, position, serial = 7 }: { flags: number; position: number; serial?: number },
) {
  const head = [...littleEndian(position, 8), ...littleEndian(serial, 4), ...littleEndian(0, 4), 0, 0, 0, 0]
  return joined('OggS', [0, flags], head, [1, packet.length], packet)
}

const opusHead = joined('OpusHead', [1, 1], littleEndian(312, 2), littleEndian(48_000, 4), [0, 0, 0])
const vorbisHead = joined('\x01vorbis', littleEndian(0, 4), [1], littleEndian(44_100, 4), new Uint8Array(14))
const theoraHead = joined('\x80theora', new Uint8Array(34))

/** With so many bytes between its pages. */
export function ogg(codec: 'opus' | 'vorbis' | 'theora', samples: number, gapBytes = 0): Uint8Array {
  const head = { opus: opusHead, vorbis: vorbisHead, theora: theoraHead }[codec]
  return joined(
    oggPage(head, { flags: 2, position: 0 }),
    oggPage(new Uint8Array(20), { flags: 0, position: Math.floor(samples / 2) }),
    new Uint8Array(gapBytes),
    oggPage(new Uint8Array(20), { flags: 4, position: samples }),
  )
}

const element = (id: readonly number[], ...pieces: readonly Piece[]) => {
  const data = joined(...pieces)
  return joined(id, [0x40 | (data.length >> 8), data.length & 255], data)
}

function floatBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setFloat64(0, value)
  return bytes
}

type Webm = { durationMs?: number; trackTypes?: readonly number[]; docType?: string }

/** As a browser records it: the segment's length is not known. */
export function webm({ durationMs, trackTypes = [2], docType = 'webm' }: Webm = {}): Uint8Array {
  const head = element([0x1a, 0x45, 0xdf, 0xa3], element([0x42, 0x86], [1]), element([0x42, 0x82], docType))
  const scale = element([0x2a, 0xd7, 0xb1], bigEndian(1_000_000, 3))
  const duration = durationMs === undefined ? [] : element([0x44, 0x89], floatBytes(durationMs))
  const info = element([0x15, 0x49, 0xa9, 0x66], scale, duration)
  const entries = trackTypes.map((type) => element([0xae], element([0xd7], [1]), element([0x83], [type])))
  const tracks = element([0x16, 0x54, 0xae, 0x6b], ...entries)
  const cluster = element([0x1f, 0x43, 0xb6, 0x75], new Uint8Array(40))
  return joined(head, [0x18, 0x53, 0x80, 0x67, 0x01], new Uint8Array(7).fill(0xff), info, tracks, cluster)
}

const box = (type: string, ...pieces: readonly Piece[]) => {
  const data = joined(...pieces)
  return joined(bigEndian(data.length + 8, 4), type, data)
}

type Mp4 = { brand?: string; handlers?: readonly string[]; seconds?: number; dataBytes?: number }

/** A timescale of 1,000; the index behind the samples, as cameras write it. */
export function mp4({ brand = 'M4A ', handlers = ['soun'], seconds = 2, dataBytes = 64 }: Mp4 = {}): Uint8Array {
  const tracks = handlers.map((handler) =>
    box(
      'trak',
      box(
        'mdia',
        box('mdhd', new Uint8Array(12), bigEndian(1000, 4), bigEndian(seconds * 1000, 4), new Uint8Array(4)),
        box('hdlr', new Uint8Array(8), handler, new Uint8Array(13)),
      ),
    ),
  )
  return joined(
    box('ftyp', brand, new Uint8Array(4), brand),
    box('mdat', new Uint8Array(dataBytes)),
    box('moov', box('mvhd', new Uint8Array(100)), ...tracks),
  )
}
