import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CapabilityEvidence, capabilitiesOf, isUnclear } from '../../src/core/capabilities.ts'
import { nodeCapabilities } from '../../src/core/node.ts'

const of = (given: Partial<CapabilityEvidence>) => capabilitiesOf({ name: 'm', server: 'ollama', ...given })

describe('what a model can do', () => {
  it('is what Ollama shows of it, before anything else', () => {
    const shown = ['completion', 'tools', 'vision', 'insert', 'thinking', 'constructor']
    expect(of({ shown, listed: ['embedding'], task: 'text-ranking', name: 'bge' })).toEqual({
      capabilities: ['completion', 'json', 'tools', 'vision', 'thinking'],
      source: 'show',
    })
    expect(of({ shown: ['embedding'], name: 'llama3' })).toEqual({ capabilities: ['embedding'], source: 'show' })
  })

  it('is told by what it is built of, where an older server says nothing', () => {
    const encoder = { 'general.architecture': 'nomic-bert', 'nomic-bert.context_length': 2048 }
    expect(of({ modelInfo: encoder })).toEqual({ capabilities: ['embedding'], source: 'show' })
    const seeing = { 'general.architecture': 'mllama', 'mllama.vision.block_count': 32 }
    expect(of({ modelInfo: seeing })).toEqual({ capabilities: ['completion', 'json', 'vision'], source: 'show' })
    const plain = { 'general.architecture': 'llama', 'llama.context_length': 8192 }
    expect(of({ modelInfo: plain, listed: ['completion'] })).toMatchObject({ source: 'list' })
  })

  it('is what the task says that a speech server or an agent lists it with', () => {
    const listed = (task: string, name = 'x', server: 'speech' | 'agent' = 'speech') => of({ task, name, server })
    const asr = 'automatic-speech-recognition'
    expect(listed(asr, 'Systran/faster-whisper-large-v3').capabilities).toEqual(['transcription', 'translation'])
    for (const name of ['Systran/faster-whisper-small.en', 'distil-whisper-large', 'whisper-turbo', 'parakeet']) {
      expect(listed(asr, name)).toEqual({ capabilities: ['transcription'], source: 'list' })
    }
    expect(listed('text-to-speech', 'kokoro').capabilities).toEqual(['speech'])
    expect(listed('speaker-diarization', 'pyannote', 'agent').capabilities).toEqual(['diarization'])
    expect(listed('audio-classification', 'ast', 'agent').capabilities).toEqual(['audio_classification'])
    expect(listed('zero-shot-image-classification', 'clip', 'agent').capabilities).toEqual(['image_embedding'])
    expect(listed('image-feature-extraction', 'dino', 'agent').capabilities).toEqual(['image_embedding'])
    expect(listed('text-ranking', 'any', 'agent').capabilities).toEqual(['rerank'])
  })

  it('is what it did when it was tried, even if that was nothing, before its name', () => {
    expect(of({ name: 'llava', probed: ['embedding'] })).toEqual({ capabilities: ['embedding'], source: 'probe' })
    expect(of({ name: 'llava', probed: [] })).toEqual({ capabilities: [], source: 'probe' })
    expect(of({ name: 'llava', probed: [], listed: ['completion'] })).toMatchObject({ source: 'list' })
  })

  it('is guessed from its name last', () => {
    const vision = [
      'llava:7b',
      'bakllava',
      'moondream:1.8b',
      'llama3.2-vision:11b',
      'vision-x',
      'org/clip-vit-b32',
      'blip2',
    ]
    for (const name of vision)
      expect(of({ name })).toEqual({ capabilities: ['completion', 'json', 'vision'], source: 'name' })
    const embedding = [
      'nomic-embed-text',
      'mxbai-embed-large',
      'all-minilm:l6-v2',
      'bge-m3',
      'text2vec-base',
      'sentence-transformers/x',
    ]
    for (const name of embedding) expect(of({ name })).toEqual({ capabilities: ['embedding'], source: 'name' })
    for (const name of ['whisper-large', 'wav2vec2-base', 'hubert-x', 'my-transcriber']) {
      expect(of({ name, server: 'speech' }).capabilities).toContain('transcription')
    }
    expect(of({ name: 'speaches-ai/Kokoro-82M', server: 'speech' }).capabilities).toEqual(['speech'])
    expect(of({ name: 'bge-reranker', server: 'agent' }).capabilities).toEqual(['rerank'])
  })

  it('is not seen in a word that only has the pattern inside', () => {
    for (const name of ['gravity:7b', 'activitypub', 'eclipse-7b', 'invite', 'television', 'revoiced', 'subgeneral']) {
      expect(of({ name })).toEqual({ capabilities: ['completion', 'json'], source: 'name' })
    }
  })

  it('comes of the first source that says something, has no word twice, and none that is unknown', () => {
    const said = fc.option(
      fc.array(fc.oneof(fc.constantFrom('completion', 'embedding', 'vision', 'insert', 'toString'), fc.string()), {
        maxLength: 5,
      }),
      { nil: undefined },
    )
    const evidence = fc.record({
      name: fc.string(),
      server: fc.constantFrom('ollama' as const, 'speech' as const, 'agent' as const),
      shown: said,
      modelInfo: fc.option(fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 }), { nil: undefined }),
      listed: said,
      task: fc.option(fc.oneof(fc.constantFrom('text-ranking', '__proto__', 'constructor'), fc.string()), {
        nil: undefined,
      }),
      probed: fc.option(fc.subarray([...nodeCapabilities]), { nil: undefined }),
    })
    const known = new Set<string>(nodeCapabilities)
    fc.assert(
      fc.property(evidence, (given) => {
        const { capabilities, source } = capabilitiesOf(given)
        expect(new Set(capabilities).size).toBe(capabilities.length)
        expect(capabilities.every((one) => known.has(one))).toBe(true)
        expect(isUnclear(given)).toBe(source === 'name')
        if (source === 'name') expect(given.probed).toBeUndefined()
        if (source !== 'probe')
          expect(capabilitiesOf({ ...given, probed: source === 'name' ? undefined : ['speech'] })).toEqual({
            capabilities,
            source,
          })
        expect(capabilitiesOf({ ...given, shown: ['embedding'] })).toEqual({
          capabilities: ['embedding'],
          source: 'show',
        })
      }),
      { seed: 7, numRuns: 300 },
    )
  })
})
