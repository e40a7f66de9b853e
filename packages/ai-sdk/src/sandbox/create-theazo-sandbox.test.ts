import type { HarnessV1SandboxProvider } from '@ai-sdk/harness'
import { createJustBashSandbox } from '@ai-sdk/sandbox-just-bash'
import { type Agent, type Session, Theazo } from '@theazo/core'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { type Experimental_SandboxSession as SandboxSession, generateText, stepCountIs, tool } from 'ai'
import { createBashTool } from 'bash-tool'
import { afterAll, beforeAll, describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { scriptedModel, textsReceived } from '../testing/scripted-model.ts'
import { bashToolSandbox } from './bash-tool-sandbox.ts'
import { bindSignal } from './bind-signal.ts'
import { createTheazoSandbox, type TheazoSandboxProvider } from './create-theazo-sandbox.ts'
import { theazoSandbox } from './theazo-sandbox.ts'

let local: LocalTheazo
let theazo: Theazo
let session: Session
let agent: Agent
beforeAll(async () => {
  local = await createLocalTheazo()
  theazo = new Theazo(local)
  session = await theazo.sessions.forUser('provider')
  agent = await session.agents.create()
})
afterAll(() => local[Symbol.asyncDispose]())

describe('the provider', () => {
  test('is a sandbox provider of the harnesses', () => {
    expectTypeOf<TheazoSandboxProvider>().toExtend<HarnessV1SandboxProvider>()
    expect(createTheazoSandbox({ session })).toMatchObject({
      specificationVersion: 'harness-sandbox-v1',
      providerId: 'theazo',
    })
  })

  test('creates a sandbox by name, stops it, resumes it with its files, and ends it', async () => {
    const provider = createTheazoSandbox({ client: theazo, userId: 'provider' })
    const first: SandboxSession[] = []
    const onFirstCreate = async (created: SandboxSession) => void first.push(created)
    const sandbox = await provider.createSession({ sessionId: 'chat-7', onFirstCreate })
    expect(first).toHaveLength(1)
    expect(sandbox).toMatchObject({ id: 'chat-7', defaultWorkingDirectory: '/workspace', ports: [] })
    await sandbox.writeTextFile({ path: 'note', content: 'kept' })
    await sandbox.stop()
    await sandbox.stop()
    expect((await sandbox.agent.refresh()).data.status).toBe('paused')

    // Another process knows the name or the id.
    const other = createTheazoSandbox({ client: new Theazo(local), userId: 'provider' })
    const again = await other.resumeSession({ sessionId: 'chat-7' })
    expect(again.agent.id).toBe(sandbox.agent.id)
    expect(await again.readTextFile({ path: 'note' })).toBe('kept')
    expect((await other.resumeSession({ sessionId: sandbox.agent.id })).agent.id).toBe(sandbox.agent.id)
    expect((await other.createSession({ sessionId: 'chat-7', onFirstCreate })).agent.id).toBe(sandbox.agent.id)
    expect(first).toHaveLength(1)

    await again.stop()
    await again.destroy()
    await again.destroy()
    await again.stop()
    expect((await sandbox.agent.refresh()).data.status).toBe('terminated')
    await expect(other.resumeSession({ sessionId: 'chat-7' })).rejects.toMatchObject({ code: 'not_found' })
    await expect(other.resumeSession({ sessionId: 'chat-8' })).rejects.toMatchObject({ code: 'not_found' })
  })

  test('a failed preparation ends the sandbox, so that the next call prepares another one', async () => {
    const provider = createTheazoSandbox({ session })
    let attempts = 0
    const onFirstCreate = async (created: SandboxSession) => {
      attempts += 1
      if (attempts === 1) throw new Error('no package')
      await created.writeTextFile({ path: 'prepared', content: '' })
    }
    await expect(provider.createSession({ sessionId: 'half', onFirstCreate })).rejects.toThrow('no package')
    const sandbox = await provider.createSession({ sessionId: 'half', onFirstCreate })
    expect(await sandbox.stat({ path: 'prepared' })).toMatchObject({ type: 'file' })
    await sandbox.destroy()
  })

  test('lets the server pause or end a sandbox that a crashed app has left', async () => {
    const provider = createTheazoSandbox({ session })
    const idleTimeouts = [
      await provider.createSession({ sessionId: 'left' }),
      await provider.createSession(),
      await createTheazoSandbox({
        session,
        agentOptions: { idleTimeout: { seconds: 60, action: 'terminate' } },
      }).createSession({ sessionId: 'own' }),
    ].map((sandbox) => sandbox.agent.data.idleTimeout)
    expect(idleTimeouts).toEqual([
      { seconds: 1800, action: 'pause' },
      { seconds: 1800, action: 'terminate' },
      { seconds: 60, action: 'terminate' },
    ])
  })

  test('never pauses or ends an agent of the caller', async () => {
    const provider = createTheazoSandbox({ agent })
    for (const sandbox of [
      await provider.createSession({ sessionId: 'any' }),
      await provider.resumeSession({ sessionId: 'any' }),
    ]) {
      await sandbox.stop()
      await sandbox.destroy()
      expect(await sandbox.run({ command: 'echo on' })).toMatchObject({ stdout: 'on\n' })
    }
    expect((await agent.refresh()).data.status).toBe('idle')
  })

  test('gives restricted views, and no ports', async () => {
    const sandbox = await createTheazoSandbox({ agent }).createSession()
    const restricted = sandbox.restricted()
    for (const control of ['stop', 'destroy', 'agent', 'id']) expect(restricted).not.toHaveProperty(control)
    await expect(sandbox.getPortEndpoint({ port: 80 })).rejects.toThrow('exposes no ports')
    await expect(sandbox.getPortUrl({ port: 80 })).rejects.toThrow('exposes no ports')
  })

  test.each([{}, { agent: {} as Agent, userId: 'a' }])('needs one source: %j', (options) => {
    expect(() => createTheazoSandbox(options)).toThrow('Give exactly one of agent, session and userId.')
  })

  test('creates nothing after an abort', async () => {
    const before = (await session.agents.list().page()).data.length
    const abortSignal = AbortSignal.abort(new Error('enough'))
    await expect(createTheazoSandbox({ session }).createSession({ abortSignal })).rejects.toThrow('enough')
    expect((await session.agents.list().page()).data).toHaveLength(before)
  })
})

test('a tool receives the session as experimental_sandbox', async () => {
  const shell = tool({
    description: (options) => options.experimental_sandbox?.description ?? '',
    inputSchema: z.object({ command: z.string() }),
    async execute({ command }, { experimental_sandbox: sandbox, abortSignal }) {
      return (await sandbox?.run({ command, ...(abortSignal && { abortSignal }) }))?.stdout
    },
  })
  const model = scriptedModel([{ tool: 'shell', input: { command: 'pwd' } }], 'done')
  const experimental_sandbox = theazoSandbox(agent)
  await generateText({ model, prompt: 'go', tools: { shell }, stopWhen: stepCountIs(3), experimental_sandbox })
  expect(textsReceived(model)).toEqual(['/workspace\n'])
  expect(JSON.stringify(model.doGenerateCalls[0]?.tools)).toContain('isolated Linux sandbox')
})

test("bash-tool's tools work on it", async () => {
  const stop = new AbortController()
  const sandbox = bashToolSandbox(bindSignal(theazoSandbox(agent), stop.signal))
  const { tools } = await createBashTool({
    sandbox,
    destination: '/workspace/app',
    files: { 'src/a.txt': 'from a file\n' },
  })
  const model = scriptedModel(
    [{ tool: 'bash', input: { command: 'cat src/a.txt; exit 3' } }],
    [{ tool: 'writeFile', input: { path: 'b.txt', content: 'written' } }],
    [{ tool: 'readFile', input: { path: 'b.txt' } }],
    'done',
  )
  const { steps } = await generateText({ model, prompt: 'go', tools, stopWhen: stepCountIs(5) })
  const outputs = steps.flatMap(({ toolResults }) => toolResults.map(({ output }) => output))
  expect(outputs).toMatchObject([{ stdout: 'from a file\n', exitCode: 3 }, { success: true }, { content: 'written' }])
  stop.abort(new Error('enough'))
  await expect(sandbox.executeCommand('true')).rejects.toThrow('enough')
})

describe("the same calls give the same results as in the AI SDK's own in-memory sandbox", () => {
  let theirs: SandboxSession
  let ours: SandboxSession
  beforeAll(async () => {
    theirs = (await createJustBashSandbox({ cwd: '/workspace' }).createSession()) as unknown as SandboxSession // it pins an older `ai`
    ours = theazoSandbox(agent)
  })

  const program = 'for i in 3 1 2; do echo "line $i"; done | sort | head -2; echo "$A" >&2; exit 4'
  test.each<[string, (sandbox: SandboxSession) => PromiseLike<unknown>]>([
    ['run', (sandbox) => sandbox.run({ command: program, env: { A: "it's" } })],
    ['run in a directory', (sandbox) => sandbox.run({ command: 'pwd', workingDirectory: '/tmp' })],
    ['a missing file', (sandbox) => sandbox.readTextFile({ path: 'none' })],
    ['a missing binary file', (sandbox) => sandbox.readBinaryFile({ path: 'none/below' })],
    ['a missing stream', (sandbox) => sandbox.readFile({ path: '/none' })],
    [
      'text there and back, by lines',
      async (sandbox) => {
        await sandbox.writeTextFile({ path: 'made/here/text', content: 'a\r\nb\r\nc' })
        const read = (startLine?: number, endLine?: number) =>
          sandbox.readTextFile({ path: 'made/here/text', ...(startLine && { startLine }), ...(endLine && { endLine }) })
        return [await read(), await read(2), await read(1, 2), await read(3, 9), await read(9)]
      },
    ],
    [
      'bytes there and back',
      async (sandbox) => {
        const content = Uint8Array.from({ length: 300 }, (_, index) => index % 256)
        await sandbox.writeBinaryFile({ path: 'bytes', content })
        const stream = await sandbox.readFile({ path: '/workspace/bytes' })
        return Buffer.from(await new Response(stream as never).bytes()).equals(Buffer.from(content))
      },
    ],
    [
      'a process',
      async (sandbox) => {
        const child = await sandbox.spawn({ command: 'echo out; echo err >&2; exit 6' })
        const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => new Response(stream as never).text())
        return [await stdout, await stderr, await child.wait()]
      },
    ],
    [
      'an aborted call',
      async (sandbox) => {
        const call = sandbox.run({ command: 'true', abortSignal: AbortSignal.abort(new Error('enough')) })
        return await call.then(
          () => 'it ran',
          (error: Error) => error.message,
        )
      },
    ],
  ])('%s', async (_what, call) => {
    const expected = await call(theirs)
    expect(await call(ours)).toEqual(expected)
  })
})
