/** A model of the speech server or of the agent; `task` is a pipeline tag of Hugging Face. */
export type OfferedModel = { id: string; task: string; language?: readonly string[] }

const spokenLanguages = ['en', 'de', 'fr', 'es', 'it']

export const speechModels: readonly OfferedModel[] = [
  { id: 'demo/whisper-large-v3', task: 'automatic-speech-recognition', language: spokenLanguages },
  { id: 'demo/whisper-small', task: 'automatic-speech-recognition', language: spokenLanguages },
  { id: 'demo/kokoro-82m', task: 'text-to-speech', language: spokenLanguages },
]

export const agentModels: readonly OfferedModel[] = [
  { id: 'demo/clip-hash', task: 'zero-shot-image-classification' },
  { id: 'demo/sound-classifier', task: 'audio-classification' },
  { id: 'demo/pitch-diarizer', task: 'speaker-diarization' },
  { id: 'demo/word-ranker', task: 'text-ranking' },
]

/** Which of the models a node has beside Ollama's; all of them where nothing is said. */
export type Offer = { speech?: readonly OfferedModel[]; agent?: readonly OfferedModel[] }

export type Offered = { speech: readonly OfferedModel[]; agent: readonly OfferedModel[] }

export type Voice = { id: string; name: string; language: string; gender: 'female' | 'male' }

/** What a voice is known by here is its pitch. */
export const voices: readonly (Voice & { pitchHz: number })[] = [
  { id: 'demo_ada', name: 'demo_ada', language: 'en', gender: 'female', pitchHz: 210 },
  { id: 'demo_eva', name: 'demo_eva', language: 'de', gender: 'female', pitchHz: 260 },
  { id: 'demo_ben', name: 'demo_ben', language: 'en', gender: 'male', pitchHz: 110 },
  { id: 'demo_luc', name: 'demo_luc', language: 'fr', gender: 'male', pitchHz: 140 },
]

/** The names that clients of OpenAI know, as speech servers take them too. */
const knownNames = ['alloy', 'ash', 'ballad', 'coral', 'echo', 'fable', 'onyx', 'nova', 'sage', 'shimmer', 'verse']

export function pitchOfVoice(name: string): number | undefined {
  const voice = voices.find(({ id }) => id === name)
  if (voice) return voice.pitchHz
  const place = knownNames.indexOf(name)
  return place < 0 ? undefined : 100 + place * 15
}
