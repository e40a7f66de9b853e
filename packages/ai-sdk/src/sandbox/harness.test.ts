// The SDK's own HarnessAgent on our sandbox provider. The harness in it is the smallest one: each prompt is a command, which
// it runs in the sandbox. README.md shows a published harness, and readme-blocks.test.ts runs it.
import type { HarnessV1, HarnessV1Session, HarnessV1StartOptions, HarnessV1StreamPart } from '@ai-sdk/harness'
import { HarnessAgent } from '@ai-sdk/harness/agent'
import { Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { z } from 'zod'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTheazoSandbox } from './create-theazo-sandbox.ts'

let local: LocalTheazo
let theazo: Theazo
beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
})
afterAll(() => local[Symbol.asyncDispose]())

const builtinTools = {
  bash: { nativeName: 'bash', inputSchema: z.object({ command: z.string() }), outputSchema: z.string() },
}
const none = { total: 0, noCache: 0, cacheRead: 0, cacheWrite: 0, text: 0, reasoning: 0 }
const usage = { inputTokens: none, outputTokens: none }
const finishReason = { unified: 'stop', raw: 'stop' } as const

const shellHarness: HarnessV1 = {
  specificationVersion: 'harness-v1',
  harnessId: 'shell',
  builtinTools: builtinTools as never, // its own `Tool` type requires fields that the agent does not read
  async doStart(start) {
    return shellSession(start)
  },
}

function shellSession({
  sessionId,
  resumeFrom,
  sandboxSession,
  sessionWorkDir,
}: HarnessV1StartOptions): HarnessV1Session {
  const state = { harnessId: 'shell', specificationVersion: 'harness-v1', data: {} } as const
  const turn = async (command: string, emit: (part: HarnessV1StreamPart) => void, abortSignal?: AbortSignal) => {
    const call = { toolCallId: crypto.randomUUID(), toolName: 'bash' }
    emit({ type: 'tool-call', ...call, input: JSON.stringify({ command }), providerExecuted: true })
    const options = { command, workingDirectory: sessionWorkDir, ...(abortSignal && { abortSignal }) }
    const { stdout } = await sandboxSession.run(options)
    emit({ type: 'tool-result', ...call, result: stdout })
    emit({ type: 'text-start', id: '1' })
    emit({ type: 'text-delta', id: '1', delta: stdout })
    emit({ type: 'text-end', id: '1' })
    emit({ type: 'finish-step', finishReason, usage })
    emit({ type: 'finish', finishReason, totalUsage: usage })
  }
  return {
    sessionId,
    isResume: resumeFrom !== undefined,
    async doPromptTurn({ prompt, emit, abortSignal }) {
      return { submitToolResult: async () => {}, done: turn(String(prompt), emit, abortSignal) }
    },
    doContinueTurn: () => Promise.reject(new Error('not used')),
    doSuspendTurn: () => Promise.reject(new Error('not used')),
    doCompact: async () => {},
    doDetach: async () => ({ type: 'resume-session', ...state }),
    doStop: async () => ({ type: 'resume-session', ...state }),
    doDestroy: async () => {},
  }
}

test('a HarnessAgent prepares a sandbox, works in it, stops it, resumes it with its files, and ends it', async () => {
  const agent = new HarnessAgent({
    harness: shellHarness,
    sandbox: createTheazoSandbox({ userId: 'harness', client: theazo }),
    sandboxConfig: {
      bootstrapHash: 'v1',
      onBootstrap: async ({ session }) => void (await session.run({ command: 'echo set up >> bootstrap' })),
      onSession: async ({ session, sessionWorkDir }) => {
        await session.writeTextFile({ path: `${sessionWorkDir}/notes`, content: 'from onSession\n' })
      },
    },
  })
  const session = await agent.createSession()
  const first = await agent.generate({ session, prompt: 'cat notes /workspace/bootstrap; echo made > file; pwd' })
  expect(first.text).toMatch(/^from onSession\nset up\n\/workspace\/.+\n$/)
  expect(first.steps[0]?.content).toContainEqual(
    expect.objectContaining({ type: 'tool-result', output: 'from onSession\nset up\n.\n' }),
  )

  const resumeFrom = await session.stop()
  const { agents } = await theazo.sessions.forUser('harness')
  const sandbox = (await agents.list().page()).data[0]
  expect(sandbox?.data.status).toBe('paused')

  const resumed = await agent.createSession({ sessionId: session.sessionId, resumeFrom })
  const second = await agent.stream({ session: resumed, prompt: 'cat file /workspace/bootstrap' })
  expect(await second.text).toBe('made\nset up\n')
  await resumed.destroy()
  expect((await sandbox?.refresh())?.data.status).toBe('terminated')
})

test('an abort of a turn kills its processes', async () => {
  const agent = new HarnessAgent({
    harness: shellHarness,
    sandbox: createTheazoSandbox({ userId: 'harness', client: theazo }),
  })
  const session = await agent.createSession()
  const { agents } = await theazo.sessions.forUser('harness')
  const sandbox = (await agents.list({ status: 'idle' }).page()).data[0]
  const stop = new AbortController()
  const options = { session, prompt: 'echo $$ > /workspace/pid; sleep 1000', abortSignal: stop.signal }
  const turn = Promise.resolve(agent.generate(options)).catch((error: unknown) => error)
  const code = 'until [[ -s pid ]]; do sleep 0.01; done; kill -0 $(cat pid) 2>/dev/null && echo running'
  expect((await sandbox?.exec('bash', code))?.stdout).toBe('running\n')
  stop.abort()
  await turn
  await expect.poll(async () => (await sandbox?.exec('bash', code))?.stdout).toBe('')
  await session.destroy()
})
