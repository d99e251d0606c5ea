/** A change of a price by more than a fifth that somebody has looked up and found right. */
export type Approval = {
  /** `vendor/model`, by the vendor's own name. */
  model: string
  /** The new price as the catalog writes it, and as `refresh.ts` shows it; no other is approved by it. */
  price: string
  /** Who approved it, and on which day (`2026-11-21`). */
  by: string
  on: string
  /** Where the vendor says so. */
  source: string
}

/** They are of no use once the catalog has the price, and stay for whoever asks later. */
export const approvals: readonly Approval[] = []
