import type { Policy } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { asksJudge, type EnsembleSettings } from '../ensembles/service.ts'
import { isAuto, isOutOfUse, listTargets, type Target, targetsFor, type Wanted } from '../routing/service.ts'
import type { Asked } from './request.ts'

/** Beside those that are to be asked, so many that can take the place of one that is out. */
const SPARE_MEMBERS = 2
/** Of a model that nobody has an opinion of, 0 to 10. */
const UNKNOWN_QUALITY = 5

/** Who may answer together, the most wanted first, and who judges. */
export type Panel = {
  candidates: readonly Target[]
  /** There where the strategy asks one. */
  judge: Target | undefined
  /** A name of a model that leads nowhere, and the field that it came in. */
  missing: { name: string; param: string; forbidden: boolean } | undefined
}

type World = Pick<Deps, 'providers' | 'memory' | 'now'>
type Caller = Pick<Policy, 'allowedModels' | 'mode' | 'marks'>

/** From this isolate's memory alone. */
export function panelFor(world: World, policy: Caller, { asked, settings }: Wish): Panel {
  const named = settings.members
    ? namedMembers(world, policy, { asked, names: settings.members })
    : { candidates: chosenMembers(world, policy, { asked, settings }), missing: undefined }
  const judge = asksJudge(settings) ? judgeFor(world, policy, { asked, settings }, named.candidates) : undefined
  return { ...named, missing: named.missing ?? judge?.missing, judge: judge?.target }
}

type Wish = { asked: Pick<Asked, 'wanted'>; settings: EnsembleSettings }

/** Each name once, at a provider that no earlier one has where there is a choice; the same name twice asks it twice. */
function namedMembers(
  world: World,
  policy: Caller,
  { asked, names }: { asked: Pick<Asked, 'wanted'>; names: readonly string[] },
): Pick<Panel, 'candidates' | 'missing'> {
  const candidates: Target[] = []
  let missing: Panel['missing']
  for (const name of names) {
    const { targets, forbidden } = targetsFor(world, policy, of(asked, name))
    const fresh = targets.find(({ provider }) => !candidates.some((other) => other.provider === provider))
    const target = fresh ?? targets[0]
    if (target) candidates.push(target)
    else missing ??= { name, param: 'ensemble_config.members', forbidden }
  }
  return { candidates, missing }
}

const of = ({ wanted }: Pick<Asked, 'wanted'>, model: string): Wanted => ({
  model,
  provider: wanted.provider,
  kind: wanted.kind,
  needs: wanted.needs,
})

/**
 * The model that was asked for, then what every other provider has for `auto`, preferred ones and better ones first,
 * then further models of the same providers.
 */
function chosenMembers(world: World, policy: Caller, { asked, settings }: Wish): Target[] {
  const { model, provider: only } = asked.wanted
  const wanted = settings.most + SPARE_MEMBERS
  const asNamed = isAuto(model) ? [] : targetsFor(world, policy, of(asked, model)).targets.slice(0, 1)
  const general = [...world.providers.keys()]
    .filter((name) => only === undefined || name === only)
    .flatMap((provider) => targetsFor(world, policy, { ...of(asked, 'auto'), provider }).targets.slice(0, 1))
  const found = unique([...asNamed, ...byPreference(general, settings)]).filter(isFirstOfProvider)
  if (found.length >= settings.most) return found.slice(0, wanted)
  const others = listTargets(world, policy).filter((target) => isUsable(target, asked) && target.entry?.prior)
  return unique([...found, ...byPreference(others, settings)]).slice(0, wanted)
}

const unique = (targets: readonly Target[]): Target[] => [
  ...new Map(targets.map((target) => [target.id, target])).values(),
]

const isFirstOfProvider = (target: Target, at: number, all: readonly Target[]): boolean =>
  all.findIndex(({ provider }) => provider === target.provider) === at

function isUsable({ entry, provider, price }: Target, { wanted }: Pick<Asked, 'wanted'>): boolean {
  if (wanted.provider !== undefined && provider.name !== wanted.provider) return false
  if (entry?.kind !== wanted.kind || entry.deprecated || !price) return false
  return (wanted.needs ?? []).every((need) => entry.capabilities.includes(need))
}

/** In the order in which their providers are preferred; among the others the better ones first. */
function byPreference(targets: readonly Target[], { preferred }: EnsembleSettings): Target[] {
  const rank = ({ provider }: Target): number => {
    const at = preferred.indexOf(provider.name)
    return at === -1 ? preferred.length : at
  }
  return targets.toSorted((one, other) => rank(one) - rank(other) || qualityOf(other) - qualityOf(one))
}

const qualityOf = ({ entry }: Target): number => entry?.prior?.quality ?? UNKNOWN_QUALITY

/** The judge that was named, or the best of the members; none where it is out of use. */
function judgeFor(
  world: World,
  policy: Caller,
  { asked, settings }: Wish,
  members: readonly Target[],
): Pick<Panel, 'missing'> & { target: Target | undefined } {
  if (settings.judge === undefined) {
    const usable = members.filter((member) => !isOutOfUse(world, policy, member)).slice(0, settings.most)
    const [best] = usable.toSorted((one, other) => qualityOf(other) - qualityOf(one))
    return { target: best, missing: undefined }
  }
  // A judge reads words, wherever it is.
  const wanted = { model: settings.judge, kind: asked.wanted.kind }
  const { targets, forbidden } = targetsFor(world, policy, wanted)
  const missing = { name: settings.judge, param: 'ensemble_config.judge_model', forbidden }
  const usable = targets.filter((target) => !isOutOfUse(world, policy, target, settings.judge))
  return { target: usable[0], missing: targets[0] ? undefined : missing }
}
