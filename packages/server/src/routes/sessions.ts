import { Hono } from 'hono'
import { createSessionBody, listSessionsQuery, sessionForUserBody, updateSessionBody, userId } from '../schemas.ts'
import type { Agents } from '../services/agents.ts'
import type { Sessions } from '../services/sessions.ts'
import { answerJson } from './answer.ts'
import type { Environment } from './environment.ts'
import { readBody, readQuery, validate } from './read-body.ts'

/** `/sessions` (contract, Sessions). */
export function sessionRoutes(sessions: Sessions, agents: Agents): Hono<Environment> {
  return new Hono<Environment>()
    .post('/sessions', async (c) => {
      const body = await readBody(c, createSessionBody)
      const id = c.get('reserved') && `ses_${c.get('reserved')}`
      return answerJson(c, await sessions.create(c.get('principal'), body, id), 201)
    })
    .post('/sessions/by-user/:userId', async (c) => {
      const body = await readBody(c, sessionForUserBody)
      const user = validate(c.req.param('userId'), userId, 'userId')
      return answerJson(c, await sessions.forUser(c.get('principal'), user, body))
    })
    .get('/sessions', async (c) =>
      answerJson(c, await sessions.list(c.get('principal'), readQuery(c, listSessionsQuery))),
    )
    .patch('/sessions/:id', async (c) => {
      const body = await readBody(c, updateSessionBody)
      return answerJson(c, await sessions.update(c.get('principal'), c.req.param('id'), body))
    })
    .post('/sessions/:id/terminate', async (c) => {
      await agents.terminateSession(c.get('principal'), c.req.param('id'))
      return answerJson(c, { ok: true })
    })
    .get('/sessions/:id', async (c) => answerJson(c, await sessions.get(c.get('principal'), c.req.param('id'))))
}
