import { type Session, Theazo } from '@theazo/core'
import type { LocalTheazo } from '@theazo/server'

/** The statuses of a session's agents, newest first. */
export async function statusesOf(session: Session): Promise<string[]> {
  const statuses: string[] = []
  for await (const { data } of session.agents.list()) statuses.push(data.status)
  return statuses
}

/** A client whose requests fail with 500 if their path contains `part`, while `isBroken` returns true. */
export function clientThatFails(local: LocalTheazo, part: string, isBroken: () => boolean = () => true): Theazo {
  const failing: typeof fetch = async (input, init) => {
    const request = new Request(input, init)
    if (!isBroken() || !new URL(request.url).pathname.includes(part)) return await local.fetch(request)
    return Response.json({ error: { code: 'internal_error', message: 'out of order' } }, { status: 500 })
  }
  return new Theazo({ ...local, fetch: failing, maxRetries: 0 })
}
