import { Hono } from 'hono'
import type { FairQueue } from '../fair-queue.ts'
import { createSessionBody, listSessionsQuery, sessionForUserBody, updateSessionBody, userId } from '../schemas.ts'
import type { Agents } from '../services/agents.ts'
import type { Sessions } from '../services/sessions.ts'
import { answerJson } from './answer.ts'
import { answerPage } from './answer-page.ts'
import type { Environment } from './environment.ts'
import { readBody, readQuery, validate } from './read-body.ts'

/** `/sessions` (contract, Sessions). */
export function sessionRoutes(sessions: Sessions, agents: Agents, pages: FairQueue): Hono<Environment> {
  return new Hono<Environment>()
    .post('/sessions', async (c) => {
      const body = await readBody(c, createSessionBody)
      const id = c.get('reserved') && `ses_${c.get('reserved')}`
      return answerJson(c.env, await sessions.create(c.env.principal, body, id), 201)
    })
    .post('/sessions/by-user/:userId', async (c) => {
      const body = await readBody(c, sessionForUserBody)
      const user = validate(c.req.param('userId'), userId, 'userId')
      return answerJson(c.env, await sessions.forUser(c.env.principal, user, body))
    })
    .get('/sessions', async (c) => {
      const query = readQuery(c, listSessionsQuery)
      return await answerPage(c, pages, () => sessions.list(c.env.principal, query))
    })
    .patch('/sessions/:id', async (c) => {
      const body = await readBody(c, updateSessionBody)
      return answerJson(c.env, await sessions.update(c.env.principal, c.req.param('id'), body))
    })
    .post('/sessions/:id/terminate', async (c) => {
      await agents.terminateSession(c.env.principal, c.req.param('id'))
      return answerJson(c.env, { ok: true })
    })
    .get('/sessions/:id', async (c) => answerJson(c.env, await sessions.get(c.env.principal, c.req.param('id'))))
}
