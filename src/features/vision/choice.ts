import type { Ctx } from '../../core/context.ts'
import type { TaskType } from '../../core/tasks.ts'
import { selectModel } from '../node-models/service.ts'

/** A model that sees, and who stands in for it. */
export type Chosen = { model: string; fallbacks: readonly string[] }

/**
 * The model that looks at a picture: the one that was named, or the best there is. Throws 404 `model_not_found`, 400
 * `wrong_capability` and 503 `no_capable_model`.
 */
export async function chooseModel(ctx: Ctx, taskType: TaskType, modelName: string | undefined): Promise<Chosen> {
  const { model, fallbacks } = await selectModel(ctx, {
    taskType,
    capability: 'vision',
    ...(modelName !== undefined && { modelName }),
  })
  return { model, fallbacks }
}
