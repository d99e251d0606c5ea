import type { Strangers } from '../../core/admission.ts'
import type { Deps } from '../../core/context.ts'
import { AppError, DependencyError } from '../../core/errors.ts'
import { isIpAllowed, networkOf } from '../../core/ip-rules.ts'
import { addRate } from '../../http/exchange.ts'
import { nextArrival } from './local-limit.ts'
import { type Door, strangersInput, strangersScript } from './strangers-script.ts'

const MINUTE_MS = 60_000

const doors = {
  private: { amount: 60, windowMs: MINUTE_MS, burst: 10, mostPerMinute: 100, burstAlone: 1 },
  // A page of the documentation is three requests: it opens at once without Redis too.
  public: { amount: 10, windowMs: 1000, burst: 20, mostPerMinute: 0, burstAlone: 5 },
} as const satisfies Record<string, Door>

type DoorName = keyof typeof doors

const messages: Readonly<Record<DoorName | 'blocked', string>> = {
  private: 'Too many requests without an API key or access token from this address.',
  public: 'Too many requests from this address.',
  blocked: 'This address has sent far too many requests without an API key or access token, and has to wait.',
}

const MAX_REMEMBERED = 10_000

/** One's own machine is nobody to be protected from while one works on it. */
const LOCAL = ['127.0.0.0/8', '::1']

/** What this isolate remembers of an address at a door. */
type Visitor = {
  /** Until when it is refused without asking Redis, Unix ms, and whether that is a block. */
  untilMs: number
  isBlocked: boolean
  /** Requests that Redis has not been told of, and when the first of them came. */
  untold: number
  sinceMs: number
  /** Requests in the minute up to when Redis was last asked. */
  counted: number
  /** Questions to Redis that are under way. */
  asking: number
  /** Stands in for the bucket while Redis is away, Unix ms. */
  arrivalMs: number
}

type Refused = { waitMs: number; isBlocked: boolean }
const passes: Refused = { waitMs: 0, isBlocked: false }

/**
 * Holds those to a limit who show no credential, by their address (an IPv6 network counts as one). A refusal is kept in
 * memory until it ends, so a flood does not reach Redis. Without Redis a tenth passes in each isolate.
 */
export function createStrangers(): Strangers {
  const visitors = new Map<string, Visitor>()

  return async (deps, { ip, door }) => {
    if (isOneself(deps, ip)) return
    const network = networkOf(ip)
    const visitor = visitorOf(visitors, `${door} ${network}`)
    const refused = await visit(deps, visitor, { door, network })
    if (refused.waitMs > 0) throw refusalOf(door, refused)
  }
}

const isOneself = ({ settings: { environment } }: Deps, ip: string): boolean =>
  (environment === 'development' || environment === 'test') && (ip === 'unknown' || isIpAllowed(LOCAL, ip))

function visitorOf(visitors: Map<string, Visitor>, name: string): Visitor {
  const known = visitors.get(name)
  if (known) return known
  if (visitors.size >= MAX_REMEMBERED) {
    const [oldest] = visitors.keys()
    if (oldest !== undefined) visitors.delete(oldest)
  }
  const visitor = { untilMs: 0, isBlocked: false, untold: 0, sinceMs: 0, counted: 0, asking: 0, arrivalMs: 0 }
  visitors.set(name, visitor)
  return visitor
}

type Knock = { door: DoorName; network: string }

async function visit(deps: Deps, visitor: Visitor, knock: Knock): Promise<Refused> {
  const nowMs = deps.now()
  const { burst, mostPerMinute } = doors[knock.door]
  const isRefused = visitor.untilMs > nowMs
  if (isRefused && visitor.isBlocked) return { waitMs: visitor.untilMs - nowMs, isBlocked: true }
  if (nowMs - visitor.sinceMs > MINUTE_MS) Object.assign(visitor, { untold: 0, sinceMs: nowMs })
  visitor.untold += 1
  const isAbuse = mostPerMinute > 0 && visitor.counted + visitor.untold > mostPerMinute
  // More at once than the bucket holds cannot all pass: those are told to come again, whatever Redis will say.
  if (visitor.asking >= burst) return { waitMs: 1000, isBlocked: false }
  if (isRefused && !isAbuse) return { waitMs: visitor.untilMs - nowMs, isBlocked: false }
  return ask(deps, visitor, { ...knock, nowMs })
}

async function ask(deps: Deps, visitor: Visitor, { door, network, nowMs }: Knock & { nowMs: number }) {
  const requests = visitor.untold
  visitor.untold = 0
  visitor.asking += 1
  try {
    const who = await hashOf(network)
    const { keys, args } = strangersInput({ name: door, who, door: doors[door] }, { nowMs, requests })
    const reply = await deps.redis.run(strangersScript, keys, args)
    if (!Array.isArray(reply)) throw new TypeError('strangers: the script answered no list')
    const [waitMs, isBlocked, counted] = [Number(reply[0]), reply[1] === 1, Number(reply[2])]
    return refuseUntil(visitor, { waitMs, isBlocked, counted, nowMs })
  } catch (error) {
    if (!(error instanceof DependencyError)) throw error
    deps.log.warn('redis_away_for_strangers', { cause: String(error.cause) })
    return alone(visitor, doors[door], nowMs)
  } finally {
    visitor.asking -= 1
  }
}

function refuseUntil(
  visitor: Visitor,
  { waitMs, isBlocked, counted, nowMs }: Refused & { counted: number; nowMs: number },
): Refused {
  visitor.counted = counted
  if (waitMs === 0) return passes
  visitor.untilMs = Math.max(visitor.untilMs, nowMs + waitMs)
  visitor.isBlocked = isBlocked
  return { waitMs, isBlocked }
}

/** Without Redis: a share of the door's rate, and nobody is blocked. */
function alone(visitor: Visitor, { amount, windowMs, burstAlone }: Door, nowMs: number): Refused {
  const { arrivalMs, waitMs } = nextArrival(visitor.arrivalMs, { nowMs, windowMs, amount, burst: burstAlone })
  if (waitMs === 0) visitor.arrivalMs = arrivalMs
  return refuseUntil(visitor, { waitMs, isBlocked: false, counted: visitor.counted, nowMs })
}

function refusalOf(door: DoorName, { waitMs, isBlocked }: Refused): AppError {
  const { amount } = doors[door]
  const headers: Record<string, string> = {}
  addRate(headers, 'requests', { limit: amount, remaining: 0, resetSeconds: waitMs / 1000 })
  return new AppError('rate_limit_exceeded', messages[isBlocked ? 'blocked' : door], {
    headers,
    details: { limit_id: isBlocked ? 'address_blocked' : `address_${door}` },
    retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)),
  })
}

/** Where somebody is does not stand in Redis. */
async function hashOf(network: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(network))
  return Buffer.from(digest).toString('base64url').slice(0, 22)
}
