import type { Session, Theazo } from '@theazo/core'
import { SandboxPool } from '@theazo/core/pool'
import type { UsageReport } from '../protocol.ts'

/** Sandboxes cost money while they wait, so they end soon after their last use. */
const idleTtlMs = 300_000

const separator = '/'

/** The key of a chat's sandbox in the pool. Both ids are UUIDs. */
export function sandboxKey(chat: { id: string; userId: string }): string {
  return `${chat.userId}${separator}${chat.id}`
}

/** One sandbox for each chat, in the session of its user, named for the chat: chats do not share files, and a user has one cap. */
export function createPool(theazo: Theazo, capCents: number): SandboxPool {
  return new SandboxPool(theazo, {
    sessionOf: (key) => sessionOf(theazo, key.split(separator)[0] ?? '', capCents),
    nameOf: (key) => key.split(separator)[1],
    idleTtlMs,
    maxSize: 50,
  })
}

/** What a user's sandboxes have cost today, and the user's cap. It makes no session: a report must not cost anything. */
export async function usageOf(theazo: Theazo, userId: string, capCents: number): Promise<UsageReport> {
  const today = new Date().toISOString().slice(0, 'yyyy-mm-dd'.length)
  for await (const { id, data } of theazo.sessions.list({ userId })) {
    if (data.status === 'terminated') continue
    const { total } = await theazo.usage.summary({ sessionId: id, from: today })
    return { spentCents: total.amount, capCents }
  }
  return { spentCents: 0, capCents }
}

/** The session of a user, with the cap of today's settings. The cap applies to each UTC day. */
async function sessionOf(theazo: Theazo, userId: string, capCents: number): Promise<Session> {
  const limits = { maxCost: { amount: capCents, currency: 'usd', period: 'day' } } as const
  const session = await theazo.sessions.forUser(userId, { limits }) // the limits of a session that exists stay
  return session.data.limits.maxCost?.amount === capCents ? session : await session.update({ limits })
}
