import type { Deps } from '../../core/context.ts'
import { type KeyDeps, keyForOpening, keyForSealing, wrapContextOf } from './data-keys.ts'
import { type KekSettings, kekIdIn, kekIdOf, unwrap, type WrapContext, wrap } from './keys.ts'
import {
  decodeText,
  encodeText,
  importDataKey,
  openBytes as openSealedBytes,
  openText,
  type Place,
  parseSealed,
  SealError,
  sealBytes as sealedBytes,
  sealText,
} from './seal.ts'

export type { KeyDeps } from './data-keys.ts'
export { type Place, SealError } from './seal.ts'

/** Where a value of the platform's own is stored, such as the private half of a signing key. */
export type PlatformPlace = Omit<Place, 'orgId'>

/**
 * Encrypts a value of an organisation under the organisation's own key, for one place only. Half a surrogate pair is
 * read back as U+FFFD. Throws `DependencyError('postgres')`, and `SealError` when that key is unreadable.
 */
export async function seal(deps: KeyDeps, place: Place, plaintext: string): Promise<string> {
  return sealText(await keyForSealing(deps, place.orgId), place, plaintext)
}

/**
 * What was sealed for this place. Throws `DependencyError('postgres')`, and `SealError` for everything that does not
 * open: damaged, of another place, or of a key that is gone.
 */
export async function open(deps: KeyDeps, place: Place, sealed: string): Promise<string> {
  const parsed = parseSealed(sealed)
  const { key } = await keyForOpening(deps, place.orgId, parsed.version)
  return openText(key, place, parsed)
}

/** Encrypts bytes as `seal` does a text, with its errors. */
export async function sealBytes(deps: KeyDeps, place: Place, bytes: Uint8Array): Promise<string> {
  return sealedBytes(await keyForSealing(deps, place.orgId), place, bytes)
}

/** The bytes that were sealed for this place. Throws as `open` does. */
export async function openBytes(deps: KeyDeps, place: Place, sealed: string): Promise<Uint8Array> {
  const parsed = parseSealed(sealed)
  const { key } = await keyForOpening(deps, place.orgId, parsed.version)
  return openSealedBytes(key, place, parsed)
}

/**
 * The same for a text that comes with the data keys of its organisation, each wrapped as it is stored: no store is asked.
 * Throws `SealError`.
 */
export async function openCarried(
  { settings }: { settings: KekSettings },
  place: Place,
  { sealed, dataKeys }: { sealed: string; dataKeys: readonly { version: number; wrapped: string }[] },
): Promise<string> {
  const parsed = parseSealed(sealed)
  const { version } = parsed
  const carried = dataKeys.find((one) => one.version === version)
  if (!carried) throw new SealError()
  const bytes = await unwrap(settings, wrapContextOf(place.orgId, version), carried.wrapped)
  return openText(await importDataKey(bytes), place, parsed)
}

/** The version of the data key that a text is sealed under. Throws `SealError` when it is no such text. */
export const keyVersionOf = (sealed: string): number => parseSealed(sealed).version

/**
 * Seals a value again that was read under an older key than new ones are sealed with, where it is stored and still the
 * same. For after the reply: a failure leaves it as it was, for the next reader or rotation.
 */
export async function renew(
  deps: KeyDeps & Pick<Deps, 'log'>,
  place: Place,
  read: { sealed: string; plaintext: string },
): Promise<void> {
  try {
    const key = await keyForSealing(deps, place.orgId)
    if (keyVersionOf(read.sealed) >= key.version) return
    // Loaded by the first value that is due: most never are.
    const { columnOf, replaceSealed } = await import('./rows.ts')
    const { orgId, rowId } = place
    const to = await sealText(key, place, read.plaintext)
    await replaceSealed(deps, { orgId, column: columnOf(place) }, [{ rowId, from: read.sealed, to }])
  } catch (cause) {
    deps.log.warn('value_not_sealed_again', { table: place.table, column: place.column, cause })
  }
}

/** Encrypts a value that belongs to no organisation. The text names the key-encryption key that opens it. */
export function sealForPlatform(
  { settings }: { settings: KekSettings },
  place: PlatformPlace,
  plaintext: string,
): Promise<string> {
  return wrap(settings, contextOf(place), encodeText(plaintext))
}

/** What was sealed for this place. Throws `SealError`. */
export async function openForPlatform(
  { settings }: { settings: KekSettings },
  place: PlatformPlace,
  sealed: string,
): Promise<string> {
  return decodeText(await unwrap(settings, contextOf(place), sealed))
}

/**
 * Whether a text of `sealForPlatform` is under another key-encryption key than the current one, and should be opened
 * and sealed again. Throws `SealError` when it is no such text.
 */
export async function needsRewrap({ settings }: { settings: KekSettings }, sealed: string): Promise<boolean> {
  return kekIdIn(sealed) !== (await kekIdOf(settings.kekCurrent))
}

const contextOf = ({ table, column, rowId }: PlatformPlace): WrapContext => ({
  purpose: 'platform',
  bound: [table, column, rowId],
})
