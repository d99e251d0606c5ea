import { createHash } from 'node:crypto'
import { splitAtLinks } from './links.ts'
import type { StoredMail } from './store.ts'

const REFRESH_SECONDS = 3

const style = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
article { border-top: 1px solid #8886; padding: 1rem 0 }
h2 { font-size: 1.05rem; margin: 0 }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .75rem; margin: .25rem 0; opacity: .75 }
dd { margin: 0; overflow-wrap: anywhere }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: inherit; margin: .75rem 0 0 }
details pre { font: 13px/1.4 ui-monospace, monospace }
`

/** Nothing runs and nothing is loaded: a mail carries what strangers typed. */
export const pageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': [
    "default-src 'none'",
    `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? '')

/** Every mail, newest first; looks for new ones by itself. */
export function listPage(mails: readonly StoredMail[]): string {
  const count = mails.length === 1 ? '1 mail' : `${mails.length} mails`
  const body = mails.length === 0 ? '<p>No mail yet. What Helix sends appears here.</p>' : mails.map(article).join('\n')
  return page({
    title: `Mailbox (${mails.length})`,
    head: `<meta http-equiv="refresh" content="${REFRESH_SECONDS}">`,
    body: `<h1>Mailbox</h1>\n<p>${count}, newest first. Nothing of this leaves the machine.</p>\n${body}`,
  })
}

/** One mail, which stays as it is while it is read. */
export function mailPage(mail: StoredMail): string {
  const source =
    mail.html === undefined
      ? ''
      : `\n<details open><summary>HTML source</summary><pre>${escapeHtml(mail.html)}</pre></details>`
  const body = `<p><a href="/">All mails</a></p>\n${article(mail)}${source}`
  return page({ title: mail.subject, head: '', body })
}

function article(mail: StoredMail): string {
  const received = new Date(mail.receivedAtMs).toISOString()
  return `<article>
<h2><a href="/messages/${encodeURIComponent(mail.id)}">${escapeHtml(mail.subject)}</a></h2>
<dl><dt>To</dt><dd>${escapeHtml(mail.to.join(', '))}</dd><dt>From</dt><dd>${escapeHtml(mail.from)}</dd>
<dt>Received</dt><dd><time datetime="${received}">${received.slice(0, 19).replace('T', ' ')} UTC</time></dd></dl>
<pre>${withLinks(mail.text)}</pre>
</article>`
}

const withLinks = (text: string): string =>
  splitAtLinks(text)
    .map((piece) => {
      const shown = escapeHtml(piece.text)
      return piece.kind === 'text' ? shown : `<a href="${shown}" target="_blank" rel="noopener noreferrer">${shown}</a>`
    })
    .join('')

const page = ({ title, head, body }: { title: string; head: string; body: string }): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title>
${head}<style>${style}</style>
</head>
<body>
${body}
</body>
</html>
`
