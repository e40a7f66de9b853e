import { Hono } from 'hono'
import { usageQuery } from '../schemas.ts'
import type { Usage } from '../services/usage.ts'
import { answerJson } from './answer.ts'
import type { Environment } from './environment.ts'
import { readQuery } from './read-body.ts'

/** `/usage` (contract, Usage), and the usage of a session (`official-sdk`). */
export function usageRoutes(usage: Usage): Hono<Environment> {
  return new Hono<Environment>()
    .get('/usage/summary', async (c) => {
      return answerJson(c.env, await usage.summary(c.env.principal, readQuery(c, usageQuery)))
    })
    .get('/sessions/:id/usage', async (c) => {
      return answerJson(c.env, await usage.ofSession(c.env.principal, c.req.param('id')))
    })
}
