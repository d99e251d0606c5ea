const words: Readonly<Record<string, readonly string[]>> = {
  en: ['the', 'and', 'is', 'of', 'to', 'in', 'this', 'that', 'you', 'are', 'not', 'hello'],
  de: ['der', 'die', 'das', 'und', 'ist', 'nicht', 'ein', 'eine', 'ich', 'sie', 'mit', 'hallo'],
  fr: ['le', 'la', 'les', 'et', 'est', 'une', 'je', 'vous', 'pas', 'dans', 'bonjour'],
  es: ['el', 'los', 'las', 'y', 'es', 'una', 'que', 'por', 'con', 'hola', 'buenos'],
  it: ['il', 'gli', 'e', 'che', 'di', 'non', 'una', 'sono', 'con', 'ciao', 'buongiorno'],
}

/** The language whose commonest words a text has most of; English where it has none. */
export function languageOf(text: string): string {
  const counted = new Set(text.toLowerCase().match(/\p{L}+/gu) ?? [])
  let best = { code: 'en', hits: 0 }
  for (const [code, common] of Object.entries(words)) {
    const hits = common.filter((word) => counted.has(word)).length
    if (hits > best.hits) best = { code, hits }
  }
  return best.code
}
