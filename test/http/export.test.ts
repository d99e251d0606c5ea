import { expect, it } from 'vitest'
import { csvLine } from '../../src/http/export.ts'

it.each(['=1+1', '+1', '-1', '@sum', '\t=1', '\r=1', '\n=1'])('gives %j to no spreadsheet as a formula', (text) => {
  expect(csvLine([text]).replace(/^"/, '')).toMatch(/^'/)
})
