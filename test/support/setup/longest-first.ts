import { basename } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What the clock does in these, it does for every organisation that other files have left, as more of them do. */
const ofEveryOrganisation = ['jobs', 'routing-stats', 'encryption', 'responses', 'audio', 'long-work']

/** Files of the stack in the order of their beginnings: then those that take longest. One that is no more does no harm. */
const first = [
  ...ofEveryOrganisation,
  'tenancy',
  'dev',
  'store-faults',
  'money',
  'roles',
  'sdk',
  'truth',
  'hot-path',
  'requests',
  'overload',
  'decisions',
  'accounts-credentials',
]

const placeOf = ({ project, moduleId }: TestSpecification): number => {
  const place = project.name === 'stack' ? first.indexOf(basename(moduleId, '.test.ts')) : -1
  return place === -1 ? first.length : place
}

/**
 * What takes long begins early: where it came last, one core would wait for it at the end. Vitest knows the durations of
 * its last run, and on a clean clone only sizes, which say nothing here: short files may wait for a whole program.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const orderOf = ({ project }: TestSpecification) => project.config.sequence.groupOrder
    return sorted.sort((one, other) => orderOf(one) - orderOf(other) || placeOf(one) - placeOf(other))
  }
}
