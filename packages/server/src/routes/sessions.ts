import { Hono } from 'hono'
import { createSessionBody, listSessionsQuery, sessionForUserBody, updateSessionBody, userId } from '../schemas.ts'
import type { Sessions } from '../services/sessions.ts'
import type { Environment } from './environment.ts'
import { readBody, readQuery, validate } from './read-body.ts'

/** `/sessions` (contract, Sessions). */
export function sessionRoutes(sessions: Sessions): Hono<Environment> {
  return new Hono<Environment>()
    .post('/sessions', async (c) => {
      const body = await readBody(c, createSessionBody)
      return c.json(await sessions.create(c.var.principal, body), 201)
    })
    .post('/sessions/by-user/:userId', async (c) => {
      const body = await readBody(c, sessionForUserBody)
      const user = validate(c.req.param('userId'), userId, 'userId')
      return c.json(await sessions.forUser(c.var.principal, user, body))
    })
    .get('/sessions', async (c) => c.json(await sessions.list(c.var.principal, readQuery(c, listSessionsQuery))))
    .patch('/sessions/:id', async (c) => {
      const body = await readBody(c, updateSessionBody)
      return c.json(await sessions.update(c.var.principal, c.req.param('id'), body))
    })
    .get('/sessions/:id', async (c) => c.json(await sessions.get(c.var.principal, c.req.param('id'))))
}
