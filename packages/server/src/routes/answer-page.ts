import type { Page } from '@theazo/core'
import type { Context } from 'hono'
import type { FairQueue } from '../fair-queue.ts'
import { answerJson } from './answer.ts'
import type { Environment } from './environment.ts'

/**
 * Answers with a page of a list. Reading, encoding and sending a page of large rows takes the event loop some ten
 * milliseconds, so the server makes one page at a time, and handles other events before the next one.
 *
 * @param pages a queue with one slot.
 */
export async function answerPage<Item>(
  c: Context<Environment>,
  pages: FairQueue,
  read: () => Promise<Page<Item>>,
): Promise<Response> {
  const leave = await pages.enter(c.env.principal.project, c.req.raw.signal)
  try {
    return answerJson(c.env, await read())
  } finally {
    setImmediate(leave) // the answer is sent before that
  }
}
