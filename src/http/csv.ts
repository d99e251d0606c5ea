/** What a spreadsheet would take for a formula: https://owasp.org/www-community/attacks/CSV_Injection */
const FORMULA = /^[=+\-@\t\r\n]/
const QUOTED = /[",\r\n]/

function cell(value: string | number | null): string {
  if (value === null) return ''
  const text = String(value)
  const plain = FORMULA.test(text) ? `'${text}` : text
  return QUOTED.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}

/** A line of CSV (RFC 4180). A text that a spreadsheet would run gets a quote before it. */
export const csvLine = (values: readonly (string | number | null)[]): string => `${values.map(cell).join(',')}\r\n`
