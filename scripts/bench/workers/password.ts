import { hashPassword, verifyNothing, verifyPassword } from '../../../src/features/passwords/service.ts'

const PEPPER = 'pepper-of-the-benchmarks-pepper-of-the-benchmarks'
const PASSWORD = 'correct horse of a benchmark'

let stored: string | undefined

/** `/hash`, `/wrong` (a wrong password of a known user) and `/nobody` (an unknown user) do one piece of work each. */
export const worker = {
  async fetch(request: Request): Promise<Response> {
    stored ??= await hashPassword(PEPPER, PASSWORD)
    const { pathname } = new URL(request.url)
    if (pathname === '/hash') return new Response(await hashPassword(PEPPER, PASSWORD))
    if (pathname === '/wrong') return Response.json(await verifyPassword(PEPPER, 'a wrong password', stored))
    if (pathname === '/nobody') return Response.json(await verifyNothing(PEPPER, 'a wrong password'))
    return new Response(null, { status: 404 })
  },
}
