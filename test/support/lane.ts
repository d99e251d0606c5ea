/** Whether every case is wanted (`npm run test:full`) and not a seeded sample of them. */
export const full = (): boolean => process.env.HELIX_LANE === 'full'

/** How many cases of a kind to run: a few by default, all of them in the full lane. */
export const count = (small: number, all: number): number => (full() ? all : small)
