import { createHash } from 'node:crypto'
import { canonicalName } from './names.ts'
import type { Capability } from './types.ts'

/** A model as the node knows it. Sizes are those of the real weights; no weights exist here. */
export type ModelSpec = {
  /** Canonical, always with a tag. */
  name: string
  family: string
  parameterSize: string
  quantization: string
  parameterCount: number
  sizeBytes: number
  contextLength: number
  embeddingLength: number
  capabilities: readonly Capability[]
  parentModel: string
  system: string
  parameters: string
  template: string
  modifiedAtMs: number
}

export type Catalog = {
  /** Installed models, most recently modified first. */
  list(): ModelSpec[]
  /** Undefined when the (canonicalised, case-insensitive) name is not installed. */
  find(name: string): ModelSpec | undefined
  /** A model that `pull` can install. */
  findRemote(name: string): ModelSpec | undefined
  install(model: ModelSpec): void
  /** False when there was nothing to remove. */
  remove(name: string): boolean
}

type Row = [name: string, family: string, size: string, params: number, bytes: number, context: number, width: number]

const installed: [Row, Capability[]][] = [
  [
    ['llama3.2:3b', 'llama', '3.2B', 3_212_749_888, 2_019_393_189, 131_072, 3072],
    ['completion', 'tools'],
  ],
  [
    ['llama3.1:8b', 'llama', '8.0B', 8_030_261_312, 4_920_753_328, 131_072, 4096],
    ['completion', 'tools'],
  ],
  [
    ['qwen3:8b', 'qwen3', '8.2B', 8_190_735_360, 5_225_388_164, 40_960, 4096],
    ['completion', 'tools', 'thinking'],
  ],
  [
    ['llava:7b', 'llama', '7B', 7_241_732_096, 4_733_363_377, 32_768, 4096],
    ['completion', 'vision'],
  ],
  [['nomic-embed-text:latest', 'nomic-bert', '137M', 136_727_040, 274_302_450, 2_048, 768], ['embedding']],
  [
    ['gemma4:e2b', 'gemma4', '5.1B', 5_123_178_051, 7_162_405_886, 131_072, 1536],
    ['completion', 'vision', 'audio'],
  ],
]

const pullable: [Row, Capability[]][] = [
  [
    ['llama3.2:latest', 'llama', '3.2B', 3_212_749_888, 2_019_393_189, 131_072, 3072],
    ['completion', 'tools'],
  ],
  [
    ['llama3.2:1b', 'llama', '1.2B', 1_235_814_432, 1_321_098_329, 131_072, 2048],
    ['completion', 'tools'],
  ],
  [
    ['mistral:7b', 'llama', '7.2B', 7_248_023_552, 4_372_824_384, 32_768, 4096],
    ['completion', 'tools'],
  ],
  [
    ['qwen2.5-coder:7b', 'qwen2', '7.6B', 7_615_616_512, 4_683_087_519, 32_768, 3584],
    ['completion', 'tools', 'insert'],
  ],
  [['all-minilm:latest', 'bert', '23M', 22_565_376, 45_960_996, 256, 384], ['embedding']],
]

const baseModel: Omit<ModelSpec, 'name' | 'capabilities' | 'modifiedAtMs'> = {
  family: 'llama',
  parameterSize: '3.2B',
  quantization: 'Q4_K_M',
  parameterCount: 3_212_749_888,
  sizeBytes: 2_019_393_189,
  contextLength: 131_072,
  embeddingLength: 3072,
  parentModel: '',
  system: '',
  parameters: '',
  template: '{{ .Prompt }}',
}

/** A model with the shape of a small llama, for scripted and created names. */
export function genericModel(name: string, capabilities: readonly Capability[], modifiedAtMs: number): ModelSpec {
  return { ...baseModel, name, capabilities, modifiedAtMs }
}

function fromRow([row, capabilities]: [Row, Capability[]], modifiedAtMs: number): ModelSpec {
  const [name, family, parameterSize, parameterCount, sizeBytes, contextLength, embeddingLength] = row
  const quantization = capabilities.includes('embedding') ? 'F16' : 'Q4_K_M'
  const shape = { family, parameterSize, parameterCount, sizeBytes, contextLength, embeddingLength, quantization }
  return { ...baseModel, ...shape, name, capabilities, modifiedAtMs }
}

export function createCatalog(startedAtMs: number): Catalog {
  const models = new Map<string, ModelSpec>()
  const remote = new Map<string, ModelSpec>()
  const key = (name: string) => canonicalName(name)?.toLowerCase() ?? ''
  // One second apart, so that "most recently modified first" is a stable order.
  for (const [index, entry] of installed.entries()) {
    const model = fromRow(entry, startedAtMs - index * 1000)
    models.set(model.name, model)
    remote.set(model.name, model)
  }
  for (const entry of pullable) remote.set(entry[0][0], fromRow(entry, startedAtMs))

  return {
    list: () => [...models.values()].sort((left, right) => right.modifiedAtMs - left.modifiedAtMs),
    find: (name) => models.get(key(name)),
    findRemote: (name) => remote.get(key(name)) ?? models.get(key(name)),
    install: (model) => void models.set(key(model.name), model),
    remove: (name) => models.delete(key(name)),
  }
}

/** Hex SHA-256 that stands for a model's manifest or one of its layers. */
export function demoDigest(text: string): string {
  return createHash('sha256').update(`demo-node ${text}`).digest('hex')
}

export function modelDetails(model: ModelSpec) {
  return {
    parent_model: model.parentModel,
    format: 'gguf',
    family: model.family,
    families: [model.family],
    parameter_size: model.parameterSize,
    quantization_level: model.quantization,
  }
}
