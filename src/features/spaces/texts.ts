import type { Ctx } from '../../core/context.ts'
import { AppError } from '../../core/errors.ts'
import type { Priority } from '../../core/routing.ts'
import { embedTexts } from '../calls/service.ts'
import { defaultSpace, type Modality, type Space, spaceFor, spacesOf, spaceWithoutModel } from './spaces.ts'
import { fitting } from './store.ts'
import { badVector } from './vectors.ts'

/** What texts are embedded with where nobody names a model and there is no space yet. */
export const DEFAULT_TEXT_MODEL = 'nomic-embed-text'
/** A node is given no more texts in one call. */
const TEXTS_PER_CALL = 64
/** Calls of one piece of work that are under way at once. */
const CALLS_AT_ONCE = 10

export type TextsWish = {
  texts: readonly string[]
  /** As a caller would name it; without it the default space's, or else `DEFAULT_TEXT_MODEL`. */
  modelName?: string | undefined
  /** `text` unless said. `caption`: of texts that describe pictures. */
  modality?: Exclude<Modality, 'image'> | undefined
  priority?: Priority | undefined
}

/** Vectors in the order of their texts, all of one space; they are as long as the model made them. */
export type EmbeddedTexts = { space: Space; vectors: number[][]; promptTokens: number | undefined }

/**
 * Embeds texts into the space of the model that is asked for, which is made when these are its first. At least one text.
 * Throws as `embedFor`.
 */
export async function embedIntoSpace(ctx: Ctx, wish: TextsWish): Promise<EmbeddedTexts> {
  const { modality = 'text' } = wish
  const { space: known, model, vectors, promptTokens } = await embedFor(ctx, wish)
  const space = known ?? (await spaceFor(ctx, { model, dimensions: vectors[0]?.length ?? 0, modality }))
  return { space, vectors, promptTokens }
}

/** Vectors that are kept nowhere, of one length; `space` is the one of their model, where it was looked for. */
export type TextVectors = Omit<EmbeddedTexts, 'space'> & { space: Space | undefined; model: string }

/**
 * Embeds texts with the model that is asked for. At least one text. Throws 503 `no_capable_model` where there is no such
 * model any more, or none at all, 404 for a name that nobody knows, and 502 `model_output_invalid` for vectors of the
 * wrong size.
 */
export async function embedFor(ctx: Ctx, wish: TextsWish): Promise<TextVectors> {
  const { texts, modelName, modality = 'text', priority } = wish
  if (modelName === undefined) {
    const space = await defaultSpace(ctx, modality)
    if (space) return { space, model: space.model, ...(await embedInto(ctx, space, texts, priority)) }
  }
  const answer = await embedAll(ctx, { model: modelName ?? DEFAULT_TEXT_MODEL, texts, priority }).catch((error) => {
    throw modelName === undefined ? asMissing(error) : error
  })
  const dimensions = answer.vectors[0]?.length ?? 0
  const odd = answer.vectors.find((vector) => vector.length !== dimensions)
  if (dimensions === 0 || odd) {
    throw badVector(`The vectors of '${answer.model}' are of no length, or of several.`, {
      expected: dimensions,
      got: odd?.length ?? 0,
    })
  }
  return { space: undefined, ...answer }
}

/** Embeds texts with the model of a space. Throws 503 `no_capable_model` that names the space when its model is gone. */
export async function embedInto(
  ctx: Ctx,
  space: Space,
  texts: readonly string[],
  priority?: Priority,
): Promise<Omit<EmbeddedTexts, 'space'>> {
  const answer = await embedAll(ctx, { model: space.model, texts, priority }).catch((error) => {
    throw isWithoutModel(error) ? spaceWithoutModel(space, error) : error
  })
  // A fallback's vectors are of another space.
  if (answer.model !== space.model) throw spaceWithoutModel(space)
  for (const vector of answer.vectors) fitting(space, vector)
  return { vectors: answer.vectors, promptTokens: answer.promptTokens }
}

/**
 * The space of texts that a search is in: the one of the named model, or the default one. Undefined where nothing was
 * ever put into one.
 */
export async function textSpaceOf(ctx: Ctx, modelName?: string): Promise<Space | undefined> {
  const spaces = await spacesOf(ctx, 'text')
  if (modelName === undefined) return spaces.find(({ isDefault }) => isDefault)
  return spaces.find(({ model }) => namesOf(model).includes(modelName))
}

/** `ollama/nomic-embed-text:latest` is also called by its parts. */
function namesOf(target: string): string[] {
  const model = target.slice(target.indexOf('/') + 1)
  return [target, model].flatMap((name) =>
    name.endsWith(':latest') ? [name, name.slice(0, -':latest'.length)] : [name],
  )
}

type Wish = { model: string; texts: readonly string[]; priority: Priority | undefined }
type Answer = Awaited<ReturnType<typeof embedTexts>>

/** The first call alone settles whose vectors they are; the others follow, some at a time. */
async function embedAll(ctx: Ctx, { model, texts, priority }: Wish): Promise<Answer> {
  const batches: string[][] = []
  for (let at = 0; at < texts.length; at += TEXTS_PER_CALL) batches.push(texts.slice(at, at + TEXTS_PER_CALL))
  const ask = (of: string, batch: string[]) =>
    embedTexts(ctx, { model: of, texts: batch, ...(priority !== undefined && { priority }) })
  const [first = [], ...rest] = batches
  const answers = [await ask(model, first)]
  const target = answers[0]?.model ?? model
  for (let at = 0; at < rest.length; at += CALLS_AT_ONCE) {
    answers.push(...(await Promise.all(rest.slice(at, at + CALLS_AT_ONCE).map((batch) => ask(target, batch)))))
  }
  if (answers.some((answer) => answer.model !== target)) {
    throw badVector('The texts were embedded by more than one model, whose vectors cannot be compared.')
  }
  return {
    vectors: answers.flatMap(({ vectors }) => vectors),
    model: target,
    promptTokens: answers.reduce<number | undefined>(
      (sum, { promptTokens }) => (sum === undefined || promptTokens === undefined ? undefined : sum + promptTokens),
      0,
    ),
  }
}

const isWithoutModel = (error: unknown): boolean =>
  error instanceof AppError && (error.code === 'model_not_found' || error.code === 'no_capable_model')

/** The model is of nobody's asking: what is missing is one that can do it. */
const asMissing = (error: unknown): unknown =>
  isWithoutModel(error)
    ? new AppError('no_capable_model', 'No configured model makes vectors of texts.', {
        details: { capability: 'embedding', model: DEFAULT_TEXT_MODEL },
        cause: error,
      })
    : error
