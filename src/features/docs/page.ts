import { type ErrorCode, errorCodes } from '../../core/errors.ts'
import { errorPages } from './error-pages.ts'

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character)

/** Everything the reference would fetch from other hosts is off; a key that is tried stays in the page's memory. */
const referenceSettings = {
  url: '/openapi.json',
  proxyUrl: '',
  withDefaultFonts: false,
  telemetry: false,
  persistAuth: false,
  hideClientButton: true,
  showDeveloperTools: 'never',
  agent: { disabled: true },
  mcp: { disabled: true },
}

/** The reference: no script of its own, so that its policy can refuse every inline one. */
export const referencePage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Helix API reference</title>
</head>
<body>
<noscript>This page needs JavaScript. The same document is at <a href="/openapi.json">/openapi.json</a>.</noscript>
<script id="api-reference" type="application/json" data-configuration="${escapeHtml(JSON.stringify(referenceSettings))}"></script>
<script src="/docs/scalar.js"></script>
</body>
</html>
`

const style =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem}' +
  'code{font-family:ui-monospace,monospace}dt{font-weight:600;margin-top:1rem}dd{margin:0}'

const page = (title: string, body: string) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`

const codes = Object.keys(errorPages).filter((code): code is ErrorCode => code in errorCodes)

export type ErrorPage = ReturnType<typeof errorPage>

/** What is to be known of one error code. */
export function errorPage(code: ErrorCode) {
  return { code, ...errorCodes[code], ...errorPages[code] }
}

/** Undefined when there is no such code. */
export const findErrorPage = (name: string): ErrorPage | undefined => {
  const code = codes.find((known) => known === name)
  return code && errorPage(code)
}

export const allErrorPages = (): ErrorPage[] => codes.map(errorPage)

export function errorListHtml(): string {
  const items = allErrorPages().map(({ code, status, cause }) => {
    return `<dt><a href="/docs/errors/${code}"><code>${code}</code></a> · ${status}</dt><dd>${escapeHtml(cause)}</dd>`
  })
  return page('Helix errors', `<h1>Errors</h1>\n<dl>\n${items.join('\n')}\n</dl>`)
}

export function errorHtml({ code, status, type, retryable, cause, remedy }: ErrorPage): string {
  const retry = retryable ? 'The same request may succeed later.' : 'The same request will fail again.'
  return page(
    code,
    `<h1><code>${code}</code></h1>
<p>Status ${status} · type <code>${escapeHtml(type)}</code>. ${retry}</p>
<h2>Cause</h2>
<p>${escapeHtml(cause)}</p>
<h2>Remedy</h2>
<p>${escapeHtml(remedy)}</p>
<p><a href="/docs/errors">All errors</a></p>`,
  )
}

async function hashOf(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return btoa(String.fromCharCode(...digest))
}

const BASE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** Policy of the error pages: one stylesheet, known by its hash, and nothing else. */
export const errorPolicy = async () => `${BASE_POLICY}; style-src 'sha256-${await hashOf(style)}'`

/**
 * Policy of the reference. Scripts come from this origin only; the components of the page write their styles while
 * they run, which no list of hashes can foresee.
 */
export const referencePolicy =
  `${BASE_POLICY}; script-src 'self'; style-src 'self' 'unsafe-inline'; ` +
  "connect-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:"
