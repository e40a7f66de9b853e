import { Hono } from 'hono'
import { createAgentBody, execBody, listAgentsQuery } from '../schemas.ts'
import type { Agents } from '../services/agents.ts'
import type { Environment } from './environment.ts'
import { readBody, readQuery } from './read-body.ts'

/** `/sessions/:id/agents` and `/agents` (contract, Agents). */
export function agentRoutes(agents: Agents): Hono<Environment> {
  return new Hono<Environment>()
    .post('/sessions/:id/agents', async (c) => {
      const body = await readBody(c, createAgentBody)
      const { agent, isNew } = await agents.create(c.var.principal, c.req.param('id'), body)
      return c.json(agent, isNew ? 201 : 200)
    })
    .get('/sessions/:id/agents', async (c) => {
      const query = readQuery(c, listAgentsQuery)
      return c.json(await agents.list(c.var.principal, c.req.param('id'), query))
    })
    .post('/sessions/:id/terminate', async (c) => {
      await agents.terminateSession(c.var.principal, c.req.param('id'))
      return c.json({ ok: true })
    })
    .get('/agents/:id', async (c) => c.json(await agents.get(c.var.principal, c.req.param('id'))))
    .post('/agents/:id/exec', async (c) => {
      const body = await readBody(c, execBody)
      return c.json(await agents.exec(c.var.principal, c.req.param('id'), body, c.req.raw.signal))
    })
    .post('/agents/:id/terminate', async (c) => {
      await agents.terminate(c.var.principal, c.req.param('id'))
      return c.json({ ok: true })
    })
}
