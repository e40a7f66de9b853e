// Tasks over pauses, restarts and kills of the server: no finished step is repeated.
import { type AgentEvent, Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, expect, test } from 'vitest'
import { Chance } from '../support/chance.ts'
import { root, startServer } from '../support/server-process.ts'
import { isSoak, reportSoak } from '../support/soak.ts'
import { bash, modelIds, startModels } from './scripted-models.ts'

const model = { id: modelIds[0] }
const folders: string[] = []

function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'theazo-engine-'))
  folders.push(folder)
  return folder
}

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

const steps = isSoak ? 20 : 8

/** A model that makes calls with side effects, two calls in between that only read, and then answers. */
const countingModel = () =>
  startModels(({ results }) => {
    if (results.length === 3) return { toolCalls: [listFiles, listFiles] }
    return results.length < steps ? bash(`echo ${results.length} >> runs`) : { content: `done after ${results.length}` }
  })

const listFiles = { name: 'list_files', arguments: JSON.stringify({ path: '/workspace' }) }

/** The lines that the calls write. */
const written = Array.from({ length: steps }, (_, n) => n).filter((n) => n !== 3 && n !== 4)

test(
  `a pause at each step of a run of ${steps} steps, with a restart in between, gives the same transcript`,
  { timeout: 300_000 },
  async () => {
    await using models = await countingModel()
    const dataDir = dataFolder()
    let id = ''
    let taskId = ''
    {
      await using local = await createLocalTheazo({ models: models.options, dataDir })
      const session = await new Theazo(local).sessions.forUser('u')
      const agent = await session.agents.create({ model, timeoutSeconds: 300 })
      id = agent.id
      const run = agent.run('go')
      taskId = await run.taskId
      await agent.pause()
      run.close()
    }
    let paused = 0
    for (let restart = 0; restart < steps + 5; restart += 1) {
      await using local = await createLocalTheazo({ models: models.options, dataDir })
      const agent = await new Theazo(local).agents.get(id)
      if (agent.data.status !== 'paused') break
      paused += 1
      await agent.resume()
      // The pause waits for the step that runs.
      await agent.pause().catch(() => {})
    }
    expect(paused).toBeGreaterThan(2)
    await using local = await createLocalTheazo({ models: models.options, dataDir })
    const agent = await new Theazo(local).agents.get(id)
    if (agent.data.status === 'paused') await agent.resume()
    expect((await agent.attach(taskId).result()).output).toBe(`done after ${steps}`)
    expect((await agent.exec('bash', 'cat runs')).stdout).toBe(written.map((n) => `${n}\n`).join(''))
    // No call of the model was repeated either.
    expect(models.requests).toHaveLength(steps) // two calls are of one step, and the answer is one too
    await agent.terminate()
  },
)

test('a call that a kill interrupted is noted also if a cap pauses its task before the call is made again', async () => {
  const tokens = { input_tokens: 100_000, output_tokens: 10_000 }
  await using models = await startModels(({ results }) => {
    const call = 'echo x >> runs; [[ $(wc -l < runs) -gt 1 ]] || sleep 100'
    return results.length === 0 ? { ...bash(call), usage: tokens } : { content: 'done', usage: tokens }
  })
  // A slow MCP server: the cap pauses the task while the next process still opens its tools.
  const slow = createServer((_request, response) => void setTimeout(() => response.writeHead(404).end(), 1_500))
  await once(slow.listen(0, '127.0.0.1'), 'listening')
  await using _slow = { [Symbol.asyncDispose]: async () => void slow.close() }
  const dataDir = dataFolder()
  const config = join(dataDir, 'mcp.json')
  const url = `http://127.0.0.1:${(slow.address() as AddressInfo).port}/mcp`
  writeFileSync(config, JSON.stringify({ mcpServers: { slow: { url } } }))
  const args = ['serve', '--port', '0', '--json', '--data-dir', dataDir, '--mcp-config', config]
  const bin = join(root, 'packages/server/dist/bin.js')
  const start = () => startServer(process.execPath, [bin, ...args], models.environment)
  const limits = (amount: number) => ({ maxCost: { amount, currency: 'usd', period: 'session' } as const })
  const killed = await start()
  const theazo = new Theazo({ baseUrl: killed.url, apiKey: killed.apiKey })
  const session = await theazo.sessions.create({ userId: 'u', limits: limits(10_000) })
  const tools = ['run_code', 'mcp:slow']
  const agent = await session.agents.create({ model, tools, timeoutSeconds: 300 })
  const run = agent.run('go')
  await agent.exec('bash', 'until [[ -e runs ]]; do sleep 0.02; done')
  await session.update({ limits: limits(1) }) // the cap is reached; the pause waits for the call
  killed.child.kill('SIGKILL')
  await killed.ended
  run.close()

  await using next = await start()
  const reopened = new Theazo({ baseUrl: next.url, apiKey: next.apiKey })
  const again = await reopened.agents.get(agent.id)
  await expect.poll(async () => (await again.refresh()).data.status).toBe('paused')
  await (await reopened.sessions.get(session.id)).update({ limits: limits(10_000) })
  await again.resume()
  const retried: AgentEvent[] = []
  for await (const event of again.stream({ lastEventId: '0' })) {
    if (event.type === 'status' && event.reason === 'retried_tool') retried.push(event)
    if (event.type === 'output') break
  }
  expect(retried).toHaveLength(1)
  expect((await again.exec('bash', 'wc -l < runs')).stdout).toBe('2\n')
})

const kills = isSoak ? 200 : 3

test(
  `${kills} kills of the server: each run ends, each finished call ran once, the events have no gap`,
  { timeout: isSoak ? 3_600_000 : 240_000 },
  async () => {
    const chance = new Chance()
    console.info(`seed ${chance.seed}`) // oxlint-disable-line no-console -- it reproduces a failure
    await using models = await countingModel()
    const dataDir = dataFolder()
    const args = [join(root, 'packages/server/dist/bin.js'), 'serve', '--port', '0', '--json', '--data-dir', dataDir]
    const environment = { ...models.environment, THEAZO_MODEL: model.id }
    const start = () => startServer(process.execPath, args, environment)
    let repeated = 0
    for (let kill = 0; kill < kills; kill += 1) {
      const killed = await start()
      const theazo = new Theazo({ baseUrl: killed.url, apiKey: killed.apiKey })
      const agent = await (await theazo.sessions.forUser('u')).agents.create({ timeoutSeconds: 300 })
      const run = agent.run('go')
      const taskId = await run.taskId
      await sleep(chance.between(0, 1_500)) // the moment of the kill
      killed.child.kill('SIGKILL')
      await killed.ended
      run.close()

      await using next = await start()
      const again = await new Theazo({ baseUrl: next.url, apiKey: next.apiKey }).agents.get(agent.id)
      const events: AgentEvent[] = []
      const { output } = await again.attach(taskId, { lastEventId: '0' }).result()
      expect(output).toBe(`done after ${steps}`)
      for await (const event of again.attach(taskId, { lastEventId: '0' })) events.push(event)
      const ids = events.map(({ eventId }) => Number(eventId))
      expect(ids).toEqual(ids.toSorted((a, b) => a - b))
      expect(new Set(ids).size).toBe(ids.length)
      const results = events.filter((event) => event.type === 'tool_result')
      expect(new Set(results.map(({ callId }) => callId)).size).toBe(steps)
      expect(results).toHaveLength(steps)
      // A call in flight is made again once, and the log says so. All others have one line.
      const retried = events.filter((event) => event.type === 'status' && event.reason === 'retried_tool').length
      const lines = (await again.exec('bash', 'cat runs')).stdout.trim().split('\n').map(Number)
      repeated += lines.length - written.length
      expect(lines.length - written.length).toBeLessThanOrEqual(retried)
      expect([...new Set(lines)]).toEqual(written)
      const task = await again.tasks.get(taskId)
      const usage = await new Theazo({ baseUrl: next.url, apiKey: next.apiKey }).usage.summary()
      expect(usage.models.inputTokens).toBeGreaterThanOrEqual(task.usage.inputTokens)
      await again.terminate()
    }
    reportSoak('restarts', [
      ['kills', String(kills)],
      ['repeated calls', String(repeated)],
      ['seed', String(chance.seed)],
    ])
  },
)
