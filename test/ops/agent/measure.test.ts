import { describe, expect, it } from 'vitest'
import { loudnessOf } from '../../../ops/node/agent/loudness.ts'
import { analyse } from '../../../ops/node/agent/measure.ts'
import { parseWav } from '../../../ops/node/agent/sound.ts'
import { noise, silence, soundFrom, tone, type Wave, wavOf } from './sounds.ts'

describe('loudness by BS.1770', () => {
  it.each([48_000, 44_100, 16_000])(
    'is -3.01 LUFS for a 997 Hz sine at full scale in one channel at %i Hz',
    (sampleRate) => {
      expect(loudnessOf(soundFrom(tone(997), { sampleRate }))).toBeCloseTo(-3.01, 1)
    },
  )

  it('is twice the power with the same in two channels', () => {
    expect(loudnessOf(soundFrom(tone(997), { channels: 2 }))).toBeCloseTo(0, 1)
  })

  it('falls with the level: -23 dBFS in two channels is -23 LUFS', () => {
    expect(loudnessOf(soundFrom(tone(1000, 10 ** (-23 / 20)), { channels: 2 }))).toBeCloseTo(-23, 1)
  })

  it('does not count pauses', () => {
    const halves: Wave = (seconds) => (seconds < 5 ? tone(997)(seconds) : 0)
    expect(Math.abs(loudnessOf(soundFrom(halves, { seconds: 10 })) + 3.01)).toBeLessThan(0.2)
  })

  it('does not count what is more than 10 LU below the rest', () => {
    const steps: Wave = (seconds) => tone(997, seconds < 5 ? 0.5 : 0.5 * 10 ** (-20 / 20))(seconds)
    expect(Math.abs(loudnessOf(soundFrom(steps, { seconds: 10 })) + 9.03)).toBeLessThan(0.2)
  })
})

it('finds 120 beats a minute in a click track', () => {
  const click: Wave = (seconds) => (seconds % 0.5 < 0.02 ? tone(1000, 0.8)(seconds) : 0)
  const bpm = analyse(soundFrom(click, { seconds: 10, sampleRate: 16_000 })).measures.tempo_bpm ?? 0
  expect(Math.abs(bpm - 120)).toBeLessThanOrEqual(2)
})

it('finds 90 beats a minute at another rate', () => {
  const click: Wave = (seconds) => (seconds % (60 / 90) < 0.02 ? tone(700, 0.5)(seconds) : 0)
  const bpm = analyse(soundFrom(click, { seconds: 12, sampleRate: 44_100 })).measures.tempo_bpm ?? 0
  expect(Math.abs(bpm - 90)).toBeLessThanOrEqual(2)
})

const chords = (roots: readonly (readonly number[])[]): Wave => {
  const hz = (note: number) => 440 * 2 ** ((note - 69) / 12)
  return (seconds) => {
    const notes = roots[Math.floor(seconds) % roots.length] ?? []
    return notes.reduce((sum, note) => sum + 0.2 * Math.sin(2 * Math.PI * hz(note) * seconds), 0)
  }
}

it('hears C major in its cadence, and A minor in its own', () => {
  const major = chords([
    [60, 64, 67],
    [65, 69, 72],
    [67, 71, 74],
    [60, 64, 67],
  ])
  const minor = chords([
    [57, 60, 64],
    [62, 65, 69],
    [64, 68, 71],
    [57, 60, 64],
  ])
  expect(analyse(soundFrom(major, { seconds: 8, sampleRate: 22_050 })).measures.key).toBe('C major')
  expect(analyse(soundFrom(minor, { seconds: 8, sampleRate: 22_050 })).measures.key).toBe('A minor')
})

it('measures nothing in silence', () => {
  expect(analyse(soundFrom(silence, { sampleRate: 16_000 })).measures).toEqual({
    duration_ms: 5000,
    sample_rate: 16_000,
    channels: 1,
    speech_share: 0,
    loudness_lufs: -70,
    tempo_bpm: null,
    key: null,
    prosody: { pitch_mean_hz: null, pitch_range_hz: null, energy_db: -120, pauses_per_minute: 0 },
  })
})

it('takes noise for no speech', () => {
  const { measures, segments } = analyse(soundFrom(noise(0.3), { sampleRate: 16_000 }))
  expect(measures.speech_share).toBeLessThan(0.02)
  expect(segments).toHaveLength(0)
})

/** Harmonics that fall off, as a throat makes them. */
const voice =
  (hz: number): Wave =>
  (seconds) =>
    [1, 2, 3, 4].reduce((sum, harmonic) => sum + tone(hz * harmonic, 0.2 / harmonic)(seconds), 0)

it('measures pitch, pauses and the share of a voice', () => {
  const speaking: Wave = (seconds) => (seconds % 2 < 1.5 ? voice(150)(seconds) : 0)
  const { measures, segments } = analyse(soundFrom(speaking, { seconds: 12, sampleRate: 16_000 }))
  expect(Math.abs((measures.prosody.pitch_mean_hz ?? 0) - 150)).toBeLessThan(3)
  expect(measures.prosody.pitch_range_hz).toBeLessThan(5)
  expect(Math.abs(measures.speech_share - 0.75)).toBeLessThan(0.05)
  expect(segments).toHaveLength(6)
  expect(measures.prosody.pauses_per_minute).toBe(25)
})

it('tells two voices apart by their pitch', () => {
  const two: Wave = (seconds) => (seconds < 2 ? voice(110)(seconds) : seconds < 3 ? 0 : voice(220)(seconds))
  const { segments } = analyse(soundFrom(two, { seconds: 5, sampleRate: 24_000 }))
  expect(segments.map(({ pitchHz }) => Math.round((pitchHz ?? 0) / 10))).toEqual([11, 22])
})

it('reads WAV, and nothing else', () => {
  const sound = soundFrom(tone(440, 0.5), { seconds: 1, sampleRate: 8000, channels: 2 })
  const read = parseWav(wavOf(sound))
  expect([read?.sampleRate, read?.channels.length, read?.channels[0]?.length]).toEqual([8000, 2, 8000])
  expect(Math.max(...(read?.channels[1] ?? []))).toBeCloseTo(0.5, 2)
  expect(parseWav(new Uint8Array(100))).toBeUndefined()
  expect(parseWav(wavOf(sound).subarray(0, 20))).toBeUndefined()
})

it('reads as far as a cut file goes', () => {
  const whole = wavOf(soundFrom(tone(440, 0.5), { seconds: 1, sampleRate: 8000 }))
  expect(parseWav(whole.subarray(0, 44 + 8000))?.channels[0]?.length).toBe(4000)
})
