/** More marks upon one letter than any language has; FF9E and FF9F become marks. */
const MANY_MARKS = /([\p{M}\uff9e\uff9f]{30})[\p{M}\uff9e\uff9f]+/gu

/**
 * A text in NFKC, without marks beyond thirty upon one letter (the Stream-Safe Text Format of Unicode Standard Annex 15):
 * to put very many of them in order takes the square of their number.
 */
export const standardText = (text: string): string => text.replace(MANY_MARKS, '$1').normalize('NFKC')
