import type { AgentFileContent } from '@theazo/core'
import { type Context, Hono } from 'hono'
import { filePath, listFilesQuery, writeFileRequest } from '../schemas.ts'
import type { AgentFiles, FileCaller } from '../services/agent-files.ts'
import { answer, answerJson } from './answer.ts'
import type { Environment } from './environment.ts'
import { bodyOf, escaped, maxWholeChars } from './exec-result-json.ts'
import { readBody, readQuery, validate } from './read-body.ts'

/** `/agents/:id/files`, in the format of the official SDK (contract, `official-sdk`). */
export function fileRoutes(files: AgentFiles): Hono<Environment> {
  const callerOf = (c: Context<Environment>, agentId: string): FileCaller => {
    const { principal } = c.env
    return { principal, agentId, signal: c.req.raw.signal, hold: files.holdOutput(principal) }
  }
  return new Hono<Environment>()
    .get('/agents/:id/files', async (c) => {
      const { dir } = readQuery(c, listFilesQuery)
      const caller = callerOf(c, c.req.param('id'))
      try {
        return answerJson(c.env, await files.list(caller, dir))
      } finally {
        caller.hold.release()
      }
    })
    .post('/agents/:id/files', async (c) => {
      const body = await readBody(c, writeFileRequest)
      const caller = callerOf(c, c.req.param('id'))
      try {
        await files.write(caller, body)
        return answerJson(c.env, { ok: true })
      } finally {
        caller.hold.release()
      }
    })
    .get('/agents/:id/files/:path{.+}', async (c) => {
      const path = validate(c.req.param('path'), filePath, 'path')
      const caller = callerOf(c, c.req.param('id'))
      const { release } = caller.hold
      try {
        const content = await files.read(caller, path)
        // Counts against the output budget until it is read, like the output of an exec. For HEAD nobody reads it.
        if (content.data.length > maxWholeChars && c.req.method !== 'HEAD')
          return answer(c.env, bodyOf(contentJson(content), release), 'application/json')
        release()
        return answerJson(c.env, content)
      } catch (error) {
        release()
        throw error
      }
    })
}

function* contentJson({ data, encoding }: AgentFileContent): Generator<string, void, undefined> {
  yield `{"encoding":"${encoding}","data":"`
  yield* escaped(data)
  yield '"}'
}
