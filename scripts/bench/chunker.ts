import { type ChunkOptions, chunkText } from '../../src/features/semantic/chunker.ts'

/** How fast texts are cut, in megabytes of UTF-8 a second: `node scripts/bench/chunker.ts`. */

const options: ChunkOptions = { size: 1000, overlap: 200, unit: 'char' }
const CHARACTERS = 1_000_000
const ROUNDS = 5

const kinds: Readonly<Record<string, string>> = {
  english: 'The quick brown fox jumps over the lazy dog, and then it sleeps until noon. ',
  'no spaces': 'abcdefghij',
  russian: 'Съешь ещё этих мягких французских булок, да выпей чаю. ',
  japanese: '漢字仮名交じり文、とても長い文章です。',
  hindi: 'यह एक बहुत लंबा वाक्य है जो कभी समाप्त नहीं होता ',
  thai: 'ภาษาไทยไม่มีช่องว่างระหว่างคำ',
  'words and emoji': 'A family 👨‍👩‍👧‍👦 from 🇩🇪 and 🇫🇷 is here. ',
  'emoji alone': '👨‍👩‍👧‍👦',
  'skin tones': '👍🏽👩🏿‍💻❤️',
  flags: '🇩🇪🇫🇷',
  'combining marks': 'a\u0301\u0302',
}

for (const [kind, unit] of Object.entries(kinds)) {
  const text = unit.repeat(Math.ceil(CHARACTERS / unit.length))
  const bytes = Buffer.byteLength(text)
  const rates = Array.from({ length: ROUNDS }, () => {
    const start = performance.now()
    chunkText(text, options)
    return bytes / 1000 / (performance.now() - start)
  }).sort((one, other) => one - other)
  console.log(`${kind.padEnd(16)} ${(rates[ROUNDS >> 1] ?? 0).toFixed(0).padStart(6)} MB/s`)
}
