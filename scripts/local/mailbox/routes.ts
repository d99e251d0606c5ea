import { randomUUID } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { failure, failureBody, isFailure } from './failure.ts'
import { createTokenCheck, idempotencyKeyOf, readMail } from './incoming.ts'
import { linksOf } from './links.ts'
import type { MailFile } from './mail-file.ts'
import { listPage, mailPage, pageHeaders } from './page.ts'
import { isTo, type MailStore, type StoredMail } from './store.ts'

/** A page of another site may make a name of its own lead here, but its requests then carry that name. */
const OWN_HOSTS = /^(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?$/i

export type Box = { store: MailStore; file: MailFile | undefined; token: string; log: (line: string) => void }

type Exchange = {
  box: Box
  checkToken: (request: IncomingMessage) => void
  request: IncomingMessage
  response: ServerResponse
  url: URL
}

/** Answers every request to the mailbox. */
export function createRoutes(box: Box): RequestListener {
  const checkToken = createTokenCheck(box.token)
  return async (request, response) => {
    try {
      if (!OWN_HOSTS.test(request.headers.host ?? '')) {
        throw failure(403, 'forbidden', 'This mailbox is only for this machine.')
      }
      const url = URL.parse(request.url ?? '/', 'http://localhost')
      if (url === null) throw failure(400, 'invalid_request', 'The path is not right.')
      await route({ box, checkToken, request, response, url })
    } catch (error) {
      if (response.headersSent || response.destroyed) return void response.destroy()
      const known = isFailure(error) ? error : failure(500, 'internal_server_error', sentenceOf(error))
      sendJson(response, known.status, failureBody(known))
    }
  }
}

const sentenceOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

async function route(exchange: Exchange): Promise<void> {
  const { box, request, response, url } = exchange
  const reads = request.method === 'GET' || request.method === 'HEAD'
  const [, id] = /^\/messages\/([^/]+)$/.exec(url.pathname) ?? []
  if (request.method === 'POST' && isPost(url.pathname)) return takeMail(exchange)
  if (reads && url.pathname === '/') return sendPage(response, listPage(box.store.messages()))
  if (reads && url.pathname === '/messages.json') return sendList(exchange)
  if (reads && id !== undefined) return sendMail(exchange, id)
  const allow = [
    ...(url.pathname === '/' || url.pathname === '/messages.json' || id !== undefined ? ['GET', 'HEAD'] : []),
    ...(isPost(url.pathname) ? ['POST'] : []),
  ]
  if (allow.length === 0) throw failure(404, 'not_found', 'There is nothing here.')
  response.setHeader('allow', allow.join(', '))
  throw failure(405, 'method_not_allowed', `Only ${allow.join(', ')} can be done here.`)
}

const isPost = (path: string): boolean => path === '/' || path === '/emails'

async function takeMail({ box, checkToken, request, response }: Exchange): Promise<void> {
  checkToken(request)
  const key = idempotencyKeyOf(request)
  const { html, ...mail } = await readMail(request)
  const content = JSON.stringify({ ...mail, html })
  const repeated = key === undefined ? undefined : box.store.repeated(key, content)
  if (repeated !== undefined) return sendJson(response, 200, { id: repeated })
  const stored: StoredMail = {
    id: randomUUID(),
    receivedAtMs: Date.now(),
    ...mail,
    ...(html !== undefined && { html }),
    links: linksOf(mail.text),
  }
  box.store.add(stored, key === undefined ? undefined : { key, content })
  box.log(lineAbout(stored))
  await box.file?.append(stored)
  sendJson(response, 200, { id: stored.id })
}

/** Without control characters: a subject must not be able to steer a terminal. */
function lineAbout({ to, subject, links: [link] }: StoredMail): string {
  const line = `mail to ${to.join(', ')}: ${subject}${link === undefined ? '' : ` ${link}`}`
  return line.replace(/\p{Cc}/gu, ' ')
}

function sendList({ box, response, url }: Exchange): void {
  const to = url.searchParams.get('to')
  const mails = box.store.messages().filter((mail) => to === null || isTo(mail, to))
  sendJson(response, 200, mails.map(toWire))
}

/** A page for a browser, JSON for everything else. */
function sendMail({ box, request, response }: Exchange, id: string): void {
  const mail = box.store.messages().find((one) => one.id === id)
  if (mail === undefined) throw failure(404, 'not_found', 'There is no such mail, or not any more.')
  response.setHeader('vary', 'accept')
  if (request.headers.accept?.includes('text/html')) sendPage(response, mailPage(mail))
  else sendJson(response, 200, toWire(mail))
}

const toWire = ({ receivedAtMs, ...mail }: StoredMail) => ({ ...mail, received_at: Math.floor(receivedAtMs / 1000) })

const commonHeaders = {
  'cache-control': 'no-store',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

const sendPage = (response: ServerResponse, html: string): void =>
  void response.writeHead(200, { ...commonHeaders, ...pageHeaders }).end(html)

const sendJson = (response: ServerResponse, status: number, body: unknown): void =>
  void response
    .writeHead(status, { ...commonHeaders, 'content-type': 'application/json; charset=utf-8' })
    .end(JSON.stringify(body))
