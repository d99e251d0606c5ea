import { describe, expect, it } from 'vitest'
import { fusedScore } from '../../../src/features/semantic/fusion.ts'
import { LANGUAGES, languageOf } from '../../../src/features/semantic/language.ts'
import { simhashDistance, simhashOf } from '../../../src/features/semantic/simhash.ts'

describe('the language of a text', () => {
  it.each([
    ['english', 'This is the house that was built for people who have no other place to be.'],
    ['german', 'Das ist ein Haus, das für Menschen gebaut wurde, die nicht wissen, wo sie wohnen werden.'],
    ['french', 'Cette maison est pour les gens qui ne sont pas dans une autre ville avec leur famille.'],
    ['spanish', 'Esta casa es para las personas que no tienen otra, pero también para los que viven en el campo.'],
    ['italian', 'Questa casa è per le persone che non hanno una città, ma anche per quelle della campagna.'],
    ['portuguese', 'Esta casa não é para as pessoas que têm uma outra, mas também foi feita pelo povo.'],
    ['dutch', 'Dit is een huis dat voor mensen is gebouwd die niet weten waar ze zijn of met wie.'],
    ['russian', 'Это дом, который был построен для людей.'],
    ['greek', 'Αυτό είναι το σπίτι των ανθρώπων.'],
    ['arabic', 'هذا هو البيت الذي بني للناس'],
    ['hindi', 'यह वह घर है जो लोगों के लिए बनाया गया था'],
    ['tamil', 'இது மக்களுக்காக கட்டப்பட்ட வீடு'],
    ['simple', 'これは人々のために建てられた家です。'],
    ['simple', '这是为人们建造的房子。'],
    ['simple', 'บ้านหลังนี้สร้างขึ้นเพื่อผู้คน'],
    ['simple', 'zzyzx qwfp plugh'],
    ['simple', '12345 67890'],
    ['simple', ''],
  ])('is taken for %s: %s', (language, text) => {
    expect(languageOf(text)).toBe(language)
    expect(LANGUAGES).toContain(language)
  })
})

describe('the simhash of a text', () => {
  const words = Array.from({ length: 200 }, (_, at) => `word${(at * 7919) % 997}`)

  it('differs in few bits from that of a near copy, and in many from another text’s', () => {
    const copy = words.map((word, at) => (at % 33 === 0 ? `changed${at}` : word))
    const other = words.map((word) => `${word}x`)
    expect(simhashDistance(simhashOf(words.join(' ')), simhashOf(copy.join(' ')))).toBeLessThanOrEqual(8)
    expect(simhashDistance(simhashOf(words.join(' ')), simhashOf(other.join(' ')))).toBeGreaterThan(16)
  })

  it('does not heed case, marks and order', () => {
    expect(simhashOf('One, two: THREE!')).toBe(simhashOf('three two one'))
    expect(simhashOf('')).toBe('0000000000000000')
    expect(simhashDistance('ffffffffffffffff', '0000000000000000')).toBe(64)
  })
})

describe('fused places', () => {
  it('are worth the more the higher they are, and most in both lists', () => {
    expect(fusedScore({ near: 1, word: 1 })).toBe(1)
    expect(fusedScore({ near: 1, word: undefined })).toBe(0.5)
    expect(fusedScore({ near: 10, word: 10 })).toBeGreaterThan(fusedScore({ near: 1, word: undefined }))
    expect(fusedScore({ near: undefined, word: undefined })).toBe(0)
  })
})
