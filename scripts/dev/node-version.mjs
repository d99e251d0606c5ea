// Runs before `npm run dev` and `npm test`. Plain JavaScript, because the Node that is too old must be able to read it.
import { fileURLToPath } from 'node:url'

export const required = '22.18'

/**
 * Whether this Node runs TypeScript without a flag: 22.18 and newer, but not the first releases of 23.
 * @param {string} version such as v22.18.0
 */
export function isNewEnough(version) {
  const [major = 0, minor = 0] = version.replace('v', '').split('.').map(Number)
  if (major === 22) return minor >= 18
  return major === 23 ? minor >= 6 : major > 23
}

if (process.argv[1] === fileURLToPath(import.meta.url) && !isNewEnough(process.version)) {
  console.error(
    `Helix needs Node ${required} or newer and this is ${process.version}: run "npm ci" again (it brings one along), or install a newer Node.`,
  )
  process.exit(1)
}
