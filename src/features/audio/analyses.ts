import type * as z from 'zod'
import type { Ctx } from '../../core/context.ts'
import { type Classification, classified } from './classify.ts'
import { type Facts, summaryOf } from './facts.ts'
import { categories, detected, emotions, genres, type Probability, vocalLabels } from './labels.ts'
import type { ClassifyBody, ClassifyView, EmotionBody, EmotionView, MusicBody, MusicView } from './schema.ts'
import { namedSound } from './sound-input.ts'

/** What was found, under the names of an enumeration: the classifier was asked for no others. */
function namedIn<const L extends string>(labels: readonly L[], found: readonly Probability[]) {
  return found.flatMap(({ label, confidence }) => {
    const name = labels.find((one) => one === label)
    return name === undefined ? [] : [{ name, confidence }]
  })
}

const percent = (share: number): string => `${Math.round(share * 100)} %`
const tenth = (value: number): string => String(Math.round(value * 10) / 10)

const foundFacts = (what: string, found: readonly Probability[]): Facts =>
  detected(found).map(({ label, confidence }) => `${what} ${label}: ${percent(confidence)}.`)

function measuredFacts({ measures }: Classification): Facts {
  if (!measures) return []
  const { duration_ms, loudness_lufs, speech_share, prosody } = measures
  return [
    `The recording is ${tenth(duration_ms / 1000)} seconds long.`,
    ...(typeof loudness_lufs === 'number' ? [`Its loudness is ${tenth(loudness_lufs)} LUFS.`] : []),
    `Somebody speaks for ${percent(speech_share)} of it.`,
    ...(typeof prosody?.pitch_mean_hz === 'number'
      ? [`The mean pitch of the voice is ${Math.round(prosody.pitch_mean_hz)} Hz.`]
      : []),
  ]
}

const common = ({ runId, model, found }: Classification) => ({
  id: runId,
  confidence: found[0]?.confidence ?? 0,
  confidence_source: 'model' as const,
  model,
})

const emotionsOf = (found: readonly Probability[]) =>
  namedIn(emotions, detected(found)).map(({ name: emotion, confidence }) => ({ emotion, confidence }))

export async function emotionOf(ctx: Ctx, body: EmotionBody): Promise<z.input<typeof EmotionView>> {
  const { per_segment: perSegment, model_name: modelName } = body
  const given = await namedSound(ctx, body)
  const result = await classified(ctx, { given, modelName, name: 'analyze_emotion', labels: emotions, perSegment })
  const facts = [...foundFacts('Emotion', result.found), ...measuredFacts(result)]
  const summary = await summaryOf(ctx, facts, { about: 'the emotion in a recording', maxTokens: 600 })
  const found = emotionsOf(result.found)
  const segments = result.segments?.flatMap(({ start_ms, end_ms, found }) =>
    found.length > 0
      ? [{ start_ms: Math.round(start_ms), end_ms: Math.round(end_ms), detected_emotions: emotionsOf(found) }]
      : [],
  )
  return {
    ...common(result),
    object: 'audio.emotion',
    detected_emotions: found,
    dominant_emotion: found[0]?.emotion ?? 'neutral',
    ...(perSegment && { segments: segments ?? [] }),
    method: 'classifier',
    emotion_analysis: summary.text,
    analysis_source: summary.source,
  }
}

export async function categoriesOf(ctx: Ctx, body: ClassifyBody): Promise<z.input<typeof ClassifyView>> {
  const labels = body.categories ? [...new Set(body.categories)] : categories
  const given = await namedSound(ctx, body)
  const result = await classified(ctx, { given, modelName: body.model_name, name: 'classify', labels })
  const facts = [...foundFacts('Category', result.found), ...measuredFacts(result)]
  const summary = await summaryOf(ctx, facts, { about: 'what a recording is', maxTokens: 500 })
  return {
    ...common(result),
    object: 'audio.classification',
    detected_categories: detected(result.found).map(({ label: category, confidence }) => ({ category, confidence })),
    classification: summary.text,
    analysis_source: summary.source,
  }
}

export async function musicOf(ctx: Ctx, body: MusicBody): Promise<z.input<typeof MusicView>> {
  const given = await namedSound(ctx, body)
  const wanted = { given, modelName: body.model_name, name: 'analyze_music', labels: genres, also: vocalLabels }
  const result = await classified(ctx, wanted)
  const { measures } = result
  const singing = result.also.find(({ label }) => label === 'singing')?.confidence
  const vocals = singing === undefined ? null : { present: singing >= 0.5, confidence: Math.max(singing, 1 - singing) }
  const facts = [
    ...foundFacts('Genre', result.found),
    ...(typeof measures?.tempo_bpm === 'number'
      ? [`The tempo is ${Math.round(measures.tempo_bpm)} beats per minute.`]
      : []),
    ...(measures?.key ? [`The key is ${measures.key}.`] : []),
    ...(vocals ? [`${vocals.present ? 'Somebody sings' : 'Nobody sings'} in it: ${percent(vocals.confidence)}.`] : []),
    ...measuredFacts(result),
  ]
  const summary = await summaryOf(ctx, facts, { about: 'a piece of music', maxTokens: 700 })
  return {
    ...common(result),
    object: 'audio.music',
    detected_genres: namedIn(genres, detected(result.found)).map(({ name: genre, confidence }) => ({
      genre,
      confidence,
    })),
    tempo_bpm: measures?.tempo_bpm ?? null,
    key: measures?.key ?? null,
    loudness_lufs: measures?.loudness_lufs ?? null,
    vocals,
    music_analysis: summary.text,
    analysis_source: summary.source,
  }
}
