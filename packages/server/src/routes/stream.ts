import { Hono } from 'hono'
import type { EventStreams } from '../events/event-streams.ts'
import { streamQuery } from '../schemas.ts'
import { findAgent } from '../services/agent-rows.ts'
import type { Database } from '../store/database.ts'
import { answer } from './answer.ts'
import type { Environment } from './environment.ts'
import { readHeader, setHeader } from './headers.ts'
import { readQuery, validate } from './read-body.ts'

const type = 'text/event-stream'

/** `GET /agents/:id/stream` (contract, Events). */
export function streamRoutes(database: Database, streams: EventStreams): Hono<Environment> {
  return new Hono<Environment>().get('/agents/:id/stream', async (c) => {
    const query = readQuery(c, streamQuery)
    const header = readHeader(c.req.raw, c.env, 'last-event-id')
    const { lastEventId } = header === undefined ? query : validate({ lastEventId: header }, streamQuery, 'headers')
    const id = c.req.param('id')
    setHeader(c.env, 'x-accel-buffering', 'no') // nginx would hold events back
    if (c.req.method === 'HEAD') {
      await findAgent(database, c.env.principal, id)
      return answer(c.env, null, type) // nobody would read or close a stream
    }
    const body = await streams.open(id, async () => {
      const agent = await findAgent(database, c.env.principal, id)
      const isEnded = agent.status === 'terminated'
      // Without an event id, a stream starts now; for a terminated agent it replays all stored events.
      // The id of a future event is replaced by the latest one: otherwise the client would miss the next events.
      return { after: Math.min(lastEventId ?? (isEnded ? 0 : Infinity), agent.event_count), isEnded }
    })
    return answer(c.env, body, type)
  })
}
