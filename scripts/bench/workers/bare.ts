import { Hono } from 'hono'

export type VendorEnv = { VENDOR_URL: string; VENDOR_KEY: string }

const app = new Hono<{ Bindings: VendorEnv }>()

app.get('/health', (c) => c.text('ok'))

app.post('/v1/chat/completions', (c) =>
  fetch(`${c.env.VENDOR_URL}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${c.env.VENDOR_KEY}` },
    body: c.req.raw.body,
  }),
)

/** A proxy that only forwards: what Hono and workerd cost by themselves. */
export const worker = app
