export const speechFormats = ['mp3', 'opus', 'aac', 'flac', 'wav', 'pcm'] as const
export type SpeechFormat = (typeof speechFormats)[number]

export const speechTypes: Readonly<Record<SpeechFormat, string>> = {
  mp3: 'audio/mpeg',
  opus: 'audio/opus',
  aac: 'audio/aac',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/pcm',
}

/**
 * Whether files of a format, made one after another, can be one: samples without a container can, and frames of MP3 and
 * AAC that stand for themselves. Ogg and FLAC tell at their beginning what their end will be.
 */
export const isJoinable = (format: SpeechFormat): boolean => format !== 'opus' && format !== 'flac'

/** Takes the bytes of one piece after another, and gives what belongs into the one file. */
export type Joiner = {
  /** Of the piece at hand. */
  take(bytes: Uint8Array): Uint8Array[]
  /** The piece is over. */
  next(): Uint8Array[]
}

export function createJoiner(format: SpeechFormat): Joiner {
  if (format === 'wav') return headless(wavStart)
  return format === 'mp3' ? headless(mp3Start) : { take: (bytes) => [bytes], next: () => [] }
}

/** Where the samples of a piece begin, and what stands before them in the whole; undefined while more must be read. */
type Start = (bytes: Buffer, isFirst: boolean, isEnd: boolean) => { at: number; before?: Uint8Array } | undefined

/** No header is longer, but for a picture in an ID3 tag, which no server of speech writes. */
const MOST_HEADER = 256 * 1024

function headless(startOf: Start): Joiner {
  let head: Buffer[] | undefined = []
  let isFirst = true
  const pass = (isEnd: boolean): Uint8Array[] => {
    const bytes = Buffer.concat(head ?? [])
    const start = startOf(bytes, isFirst, isEnd || bytes.length > MOST_HEADER)
    if (!start) return []
    head = undefined
    const rest = bytes.subarray(start.at)
    return [...(start.before ? [start.before] : []), ...(rest.length > 0 ? [rest] : [])]
  }
  return {
    take: (bytes) => {
      if (!head) return [bytes]
      head.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
      return pass(false)
    },
    next: () => {
      const left = head ? pass(true) : []
      head = []
      isFirst = false
      return left
    },
  }
}

/** A length that nobody knows yet, as every reader of streamed WAV understands it. */
const UNKNOWN = 0xffffffff

/** The first header, with no length; none of the others. */
const wavStart: Start = (bytes, isFirst, isEnd) => {
  let at = 12
  while (at + 8 <= bytes.length) {
    const length = bytes.readUInt32LE(at + 4)
    if (bytes.toString('latin1', at, at + 4) === 'data') {
      if (!isFirst) return { at: at + 8 }
      const before = Buffer.from(bytes.subarray(0, at + 8))
      before.writeUInt32LE(UNKNOWN, 4)
      before.writeUInt32LE(UNKNOWN, at + 4)
      return { at: at + 8, before }
    }
    at += 8 + length + (length % 2)
  }
  return isEnd ? { at: isFirst ? 0 : bytes.length } : undefined
}

/**
 * Behind the tag, of which only the first is kept, and behind a first frame that tells how many there are: that would be
 * true of one piece and not of the whole.
 */
const mp3Start: Start = (bytes, isFirst, isEnd) => {
  const tag = tagLength(bytes)
  if (tag === undefined || bytes.length < tag + MOST_FRAME) {
    if (!isEnd) return undefined
    if (tag === undefined) return { at: 0 }
  }
  const end = tag + countFrameLength(bytes.subarray(tag, tag + MOST_FRAME))
  return { at: end, ...(isFirst && tag > 0 && { before: bytes.subarray(0, tag) }) }
}

/** Of an ID3v2 tag, 0 where there is none; undefined while that cannot be told. */
function tagLength(bytes: Buffer): number | undefined {
  if (bytes.length < 10) return undefined
  if (bytes.toString('latin1', 0, 3) !== 'ID3') return 0
  const [a = 0, b = 0, c = 0, d = 0] = bytes.subarray(6, 10)
  return 10 + ((a << 21) | (b << 14) | (c << 7) | d)
}

const MOST_FRAME = 1441
const BITRATES_1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320]
const BITRATES_2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]
const RATES = [44_100, 48_000, 32_000]

/** Of a frame of layer III that holds nothing but figures of the whole; 0 where the first frame is one like the others. */
function countFrameLength(bytes: Buffer): number {
  const [first = 0, second = 0, third = 0] = bytes
  if (first !== 0xff || (second & 0xe6) !== 0xe2) return 0
  const version = (second >> 3) & 3
  const rate = (RATES[(third >> 2) & 3] ?? 0) >> (version === 3 ? 0 : version === 2 ? 1 : 2)
  const kbps = (version === 3 ? BITRATES_1 : BITRATES_2)[third >> 4] ?? 0
  if (rate === 0 || kbps === 0) return 0
  const length = Math.floor(((version === 3 ? 144 : 72) * kbps * 1000) / rate) + ((third >> 1) & 1)
  const words = bytes.toString('latin1', 4, Math.min(length, 48))
  return /Xing|Info|VBRI/.test(words) ? length : 0
}
