import type { ExecResult } from '@theazo/core'
import { Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { FairQueue } from '../fair-queue.ts'
import { createAgentRequest, execRequest, listAgentsQuery } from '../schemas.ts'
import { resumeBody, runBody } from '../task-schemas.ts'
import type { Agents } from '../services/agents.ts'
import type { Execs } from '../services/execs.ts'
import type { Pauses } from '../services/pauses.ts'
import type { Runs } from '../services/runs.ts'
import { answer, answerJson, answerText } from './answer.ts'
import { answerPage } from './answer-page.ts'
import type { RequestContext, Environment } from './environment.ts'
import { bodyOf, isLarge, resultJson } from './exec-result-json.ts'
import { answerExecStream, type ExecRun, wantsStream } from './exec-stream.ts'
import { assertDirectives } from './mock-directives.ts'
import { readBody, readQuery } from './read-body.ts'

/** The services behind these routes. */
export interface AgentRoutesOptions {
  agents: Agents
  pauses: Pauses
  execs: Execs
  runs: Runs
  clock: Clock
}

/** `/sessions/:id/agents` and `/agents` (contract, Agents), except the stream and the files. */
export function agentRoutes(
  { agents, pauses, execs, runs, clock }: AgentRoutesOptions,
  pages: FairQueue,
): Hono<Environment> {
  return new Hono<Environment>()
    .post('/sessions/:id/agents', async (c) => {
      const body = await readBody(c, createAgentRequest)
      const id = c.get('reserved') && `agt_${c.get('reserved')}`
      const { agent, isNew } = await agents.create(c.env.principal, c.req.param('id'), body, id)
      return answerJson(c.env, agent, isNew ? 201 : 200)
    })
    .get('/sessions/:id/agents', async (c) => {
      const query = readQuery(c, listAgentsQuery)
      return await answerPage(c, pages, () => agents.list(c.env.principal, c.req.param('id'), query))
    })
    .get('/agents/:id', (c) => answerText(c.env, agents.getText(c.env.principal, c.req.param('id'))))
    .get('/agents/:id/status', async (c) => {
      return answerJson(c.env, await agents.status(c.env.principal, c.req.param('id')))
    })
    .post('/agents/:id/exec', async (c) => {
      const body = await readBody(c, execRequest)
      const [request, context, id] = [c.req.raw, c.env, c.req.param('id')]
      if (context.principal.mode === 'test') assertDirectives('code', body.code)
      const hold = execs.holdOutput(context.principal)
      try {
        if (wantsStream(request, context)) {
          const run: ExecRun = (signal, onOutput) => execs.exec(context.principal, id, body, { signal, hold, onOutput })
          return await answerExecStream(request, context, clock, run, hold.release)
        }
        const result = await execs.exec(context.principal, id, body, { signal: request.signal, hold })
        if (isLarge(result)) return answerInPieces(context, result, hold.release)
        hold.release()
        return answerJson(context, result)
      } catch (error) {
        hold.release()
        throw error
      }
    })
    .post('/agents/:id/run', async (c) => {
      const { task: prompt, fresh: isFresh } = await readBody(c, runBody)
      if (c.env.principal.mode === 'test') assertDirectives('task', prompt)
      const taskId = c.get('reserved') && `task_${c.get('reserved')}`
      return answerJson(c.env, await runs.start(c.env.principal, c.req.param('id'), { prompt, isFresh, taskId }), 202)
    })
    .get('/agents/:id/tasks/:taskId', async (c) => {
      const { id, taskId } = c.req.param()
      return answerJson(c.env, await runs.get(c.env.principal, id, taskId))
    })
    .post('/agents/:id/tasks/:taskId/cancel', async (c) => {
      const { id, taskId } = c.req.param()
      await runs.cancel(c.env.principal, id, taskId)
      return answerJson(c.env, { ok: true })
    })
    .post('/agents/:id/pause', async (c) => {
      return answerJson(c.env, await pauses.pause(c.env.principal, c.req.param('id')))
    })
    .post('/agents/:id/resume', async (c) => {
      const { approve, callId, message } = await readBody(c, resumeBody)
      const approval = approve === undefined ? undefined : { approve, callId, message }
      return answerJson(c.env, await pauses.resume(c.env.principal, c.req.param('id'), approval))
    })
    .post('/agents/:id/terminate', async (c) => {
      await agents.terminate(c.env.principal, c.req.param('id'))
      return answerJson(c.env, { ok: true })
    })
}

/** Encodes the answer while the client reads it: a hundred large answers in memory would be gigabytes. */
function answerInPieces(context: RequestContext, result: ExecResult, onEnd: () => void): Response {
  context.streamOutcome = Promise.resolve({ status: 200, body: undefined, error: undefined })
  return answer(context, bodyOf(resultJson(result), onEnd), 'application/json')
}
