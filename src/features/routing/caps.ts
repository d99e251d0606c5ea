import type { Option, PlanCaps, PlanInputs } from './plan.ts'

export type CapName = 'latency' | 'quality' | 'cost'

/** The order in which caps of a class are given up where nothing keeps them all. */
const GIVEN_UP: readonly CapName[] = ['latency', 'quality', 'cost']

const hardReasons = { latency: 'over_max_latency', quality: 'below_min_quality', cost: 'over_max_cost' } as const
const softReasons = { latency: 'over_class_latency', quality: 'below_class_quality', cost: 'over_class_cost' } as const
/** More than the built-in list lets a target cost, whatever the class. */
const OVER_LIST = 'over_list_cost'

type Fitting = {
  options: readonly Option[]
  excluded: readonly { id: string; reason: string }[]
  relaxed: readonly CapName[]
}

const NONE: readonly CapName[] = []

/** The options within the caps: the request's without mercy, those of its class as long as anything keeps them. */
export function keepCaps(open: readonly Option[], given: Pick<PlanInputs, 'hard' | 'soft' | 'most_in_all'>): Fitting {
  const { hard, soft, most_in_all: mostInAll } = given
  if (!hard && !soft && !open.some(({ dear }) => dear)) return { options: open, excluded: [], relaxed: [] }
  const excluded: { id: string; reason: string }[] = []
  const within = open.filter((option) => {
    const [broken] = hard ? brokenBy(option, hard) : NONE
    if (broken) excluded.push({ id: option.id, reason: hardReasons[broken] })
    return broken === undefined
  })
  const relaxed = relaxation(within, soft)
  const options = within.filter((option) => {
    const broken = brokenSoftly(option, soft).find((cap) => !relaxed.includes(cap))
    if (broken) {
      const isOfList =
        broken === 'cost' && mostInAll !== undefined && !(soft && brokenBy(option, soft).includes('cost'))
      excluded.push({ id: option.id, reason: isOfList ? OVER_LIST : softReasons[broken] })
    }
    return broken === undefined
  })
  return { options, excluded, relaxed }
}

/** As few caps as it takes for one of the options to keep the others, in their order. */
function relaxation(options: readonly Option[], soft: PlanCaps | undefined): CapName[] {
  const wanted = options.filter(({ spare }) => !spare)
  const broken = wanted.map((option) => brokenSoftly(option, soft))
  const relaxed: CapName[] = []
  for (const cap of GIVEN_UP) {
    if (broken.length === 0 || broken.some((caps) => caps.every((one) => relaxed.includes(one)))) break
    if (broken.some((caps) => caps.includes(cap))) relaxed.push(cap)
  }
  return relaxed
}

function brokenSoftly(option: Option, soft: PlanCaps | undefined): readonly CapName[] {
  if (option.spare) return NONE
  const broken = soft ? brokenBy(option, soft) : NONE
  return option.dear && !broken.includes('cost') ? [...broken, 'cost'] : broken
}

/** Caps that an option does not keep; what nobody knows keeps none. */
export function brokenBy(option: Option, caps: PlanCaps): readonly CapName[] {
  const { max_cost_nanos: cost, max_latency_ms: latency, min_quality: quality } = caps
  const broken: CapName[] = []
  if (latency !== undefined && !(option.latency_ms !== undefined && option.latency_ms <= latency))
    broken.push('latency')
  if (quality !== undefined && !(option.quality !== undefined && option.quality >= quality)) broken.push('quality')
  if (cost !== undefined && !(option.cost_nanos !== undefined && option.cost_nanos <= cost)) broken.push('cost')
  return broken
}
