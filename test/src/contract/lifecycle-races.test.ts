// Concurrent conflicting requests to one agent (contract, Agents).
import { setImmediate } from 'node:timers/promises'
import { createLocalTheazo, type LocalTheazo } from '@theazo/server'
import { array, asyncProperty, assert, constantFrom, nat, record } from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AgentStream } from '../support/agent-stream.ts'
import { type Answer, ApiCaller } from '../support/api-caller.ts'
import { ServerTestClock } from '../support/clock.ts'

let clock: ServerTestClock
let local: LocalTheazo
let tester: ApiCaller
let live: ApiCaller
beforeAll(async () => {
  clock = new ServerTestClock()
  local = await createLocalTheazo({ clock })
  const { key } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
  tester = new ApiCaller({ ...local, apiKey: key })
  live = new ApiCaller(local)
})
afterAll(() => local[Symbol.asyncDispose]())

async function newAgent(api: ApiCaller, options: object = {}): Promise<string> {
  const { body: session } = await api.post('/sessions', { userId: 'races' })
  return (await api.post(`/sessions/${session.id}/agents`, options)).body.id
}

const eventually = <T>(ask: () => T) => expect.poll(ask, { interval: 1, timeout: 30_000 })
const statusAndCode = ({ status, body }: Answer): string =>
  status < 300 ? `${status}` : `${status} ${body.error.code}`

/** The allowed status changes of an agent, according to the contract. */
const next: Record<string, string[]> = {
  booting: ['idle', 'failed', 'terminated'],
  idle: ['running', 'paused', 'terminated'],
  running: ['idle', 'paused', 'terminated'],
  paused: ['idle', 'running', 'terminated'],
  terminated: [],
}

/** The allowed answers to each call. */
const documented: Record<string, string[]> = {
  run: ['202', '409 conflict'],
  exec: ['200', '409 conflict'],
  pause: ['200', '409 conflict'],
  resume: ['200', '409 conflict'],
  cancel: ['200', '409 conflict'],
  terminate: ['200'],
}

const act = record({
  what: constantFrom(
    ...['run', 'exec', 'pause', 'resume'].flatMap((what) => [what, what, what, what]),
    'cancel',
    'cancel',
    'cancel',
    'terminate',
  ),
  task: constantFrom('theazo:steps=1', 'theazo:steps=3', 'theazo:steps=2 theazo:delay=2', 'theazo:error=timeout'),
  delayMs: nat(4),
  /** Turns of the event loop before the call is sent. */
  turns: nat(40),
  /** The task to cancel, counted back from the latest. */
  back: nat(1),
})

test('concurrent calls of any kind get documented answers, and the status of the agent matches its events', async () => {
  const seen = new Map<string, number>()
  const property = asyncProperty(array(act, { minLength: 4, maxLength: 25 }), async (acts) => {
    const id = await newAgent(tester)
    await using stream = await AgentStream.open(tester, id, 0)
    const taskIds: string[] = []
    const one = async ({ what, task, delayMs, turns, back }: (typeof acts)[number]): Promise<void> => {
      for (let n = 0; n < turns; n += 1) await setImmediate()
      const answer = await call(what, task, delayMs, back)
      if (!answer) return
      expect(documented[what], `${what} is answered ${statusAndCode(answer)}`).toContain(statusAndCode(answer))
      const key = `${what} ${statusAndCode(answer)}`
      seen.set(key, (seen.get(key) ?? 0) + 1)
      if (what === 'run' && answer.status === 202) taskIds.push(answer.body.taskId)
      if (what === 'pause' && answer.status === 200) expect(answer.body.status).not.toBe('booting')
    }
    const call = async (what: string, task: string, delayMs: number, back: number): Promise<Answer | undefined> => {
      const path = `/agents/${id}`
      if (what === 'run') return await tester.post(`${path}/run`, { task })
      if (what === 'exec') return await tester.post(`${path}/exec`, { lang: 'bash', code: `theazo:delay=${delayMs}` })
      if (what !== 'cancel') return await tester.post(`${path}/${what}`)
      const last = taskIds.at(-1 - back)
      return last === undefined ? undefined : await tester.post(`${path}/tasks/${last}/cancel`)
    }
    await Promise.all(acts.map(one))

    const agent = async () => (await tester.get(`/agents/${id}`)).body
    if ((await agent()).status === 'running') expect((await agent()).task?.status).toMatch(/running|completed|failed/)
    await eventually(async () => (await agent()).status).not.toBe('running')
    const { status, task } = await agent()
    const underWay: string[] = []
    for (const taskId of taskIds) {
      const { body } = await tester.get(`/agents/${id}/tasks/${taskId}`)
      if (body.finishedAt === undefined) underWay.push(body.status)
    }
    // Only a paused agent has an unfinished task, and only one.
    expect(underWay).toEqual(status === 'paused' && task?.status === 'paused' ? ['paused'] : [])
    if (status === 'paused') {
      const { body } = await tester.post(`/agents/${id}/resume`)
      expect(body.status).toBe(task?.status === 'paused' ? 'running' : 'idle')
      await eventually(async () => (await agent()).status).toBe('idle')
    }
    await tester.post(`/agents/${id}/terminate`)
    await stream.ended
    expect(statusAndCode(await tester.post(`/agents/${id}/exec`, { lang: 'bash', code: '' }))).toBe('409 conflict')

    const statuses = stream.events.flatMap(({ event, data }) => (event === 'status' ? [String(data.status)] : []))
    for (const [index, to] of statuses.entries()) {
      const from = statuses[index - 1] ?? 'booting'
      expect(next[from], `${from} to ${to} in ${statuses.join(' ')}`).toContain(to)
    }
    // Each task started, emitted one end, and emitted nothing after that end or while the agent was paused.
    for (const taskId of taskIds) {
      const of = stream.events.filter(({ data }) => data.taskId === taskId)
      const ends = of.filter(({ event, data }) => event === 'output' || (event === 'error' && !data.resumable))
      expect(ends).toHaveLength(1)
      const last = of.findLast(({ event }) => event !== 'status')
      expect(last).toBe(ends[0])
    }
    let at = 'booting'
    for (const { event, data } of stream.events) {
      if (event === 'status') at = data.status
      else if (event !== 'error') expect(at, `${event} of a task`).toBe('running')
    }
  })
  await assert(property, { numRuns: 120, endOnFailure: true })
  // Control: the calls did race, as each kind was both accepted and refused.
  for (const what of ['run', 'exec', 'pause', 'resume', 'cancel']) {
    for (const answer of documented[what] ?? []) expect([...seen.keys()]).toContain(`${what} ${answer}`)
  }
}, 120_000)

describe('a pause', () => {
  test('waits for the running execs, and new execs and runs are refused during that wait', async () => {
    const id = await newAgent(live)
    const exec = (code: string) => live.post(`/agents/${id}/exec`, { lang: 'bash', code })
    const slow = exec('echo > started; until [ -e go ]; do sleep 0.01; done; echo done')
    await eventually(async () => (await exec('cat started')).body.exitCode).toBe(0)
    const opener = exec('echo > ready; sleep 0.5; echo > go')
    await eventually(async () => (await exec('cat ready')).body.exitCode).toBe(0)
    const pausing = live.post(`/agents/${id}/pause`)
    await eventually(async () => statusAndCode(await exec('echo new'))).toBe('409 conflict')
    expect(statusAndCode(await live.post(`/agents/${id}/pause`))).toBe('409 conflict')
    expect(await Promise.race([slow.then(() => 'exec'), pausing.then(() => 'pause')])).toBe('exec')
    expect([(await slow).body.stdout, (await opener).status]).toEqual(['done\n', 200])
    expect((await pausing).body.status).toBe('paused')
    expect(statusAndCode(await exec('echo new'))).toBe('409 conflict')
    expect((await live.post(`/agents/${id}/resume`)).body.status).toBe('idle')
    expect((await exec('ls')).body.stdout).toBe('go\nready\nstarted\n')
    await live.post(`/agents/${id}/terminate`)
  })

  test('that waits is ended by a terminate: the exec is killed, and both calls are answered', async () => {
    const id = await newAgent(live)
    const exec = (code: string) => live.post(`/agents/${id}/exec`, { lang: 'bash', code })
    const slow = exec('echo > started; sleep 300')
    await eventually(async () => (await exec('cat started')).body.exitCode).toBe(0)
    const pausing = live.post(`/agents/${id}/pause`)
    await eventually(async () => statusAndCode(await exec('echo new'))).toBe('409 conflict')
    expect(statusAndCode(await live.post(`/agents/${id}/terminate`))).toBe('200')
    expect([statusAndCode(await slow), statusAndCode(await pausing)]).toEqual(['409 conflict', '409 conflict'])
    expect((await live.get(`/agents/${id}`)).body.status).toBe('terminated')
  })

  test('of a hanging run is 504 after 120 s, and pauses nothing', async () => {
    const id = await newAgent(tester)
    await using stream = await AgentStream.open(tester, id)
    const { taskId } = (await tester.post(`/agents/${id}/run`, { task: 'theazo:hang' })).body
    const exec = () => tester.post(`/agents/${id}/exec`, { lang: 'bash', code: 'echo on' })
    const pausing = tester.post(`/agents/${id}/pause`)
    await eventually(async () => statusAndCode(await exec())).toBe('409 conflict')
    clock.jump(119_999)
    expect(statusAndCode(await exec())).toBe('409 conflict')
    clock.jump(1)
    expect(statusAndCode(await pausing)).toBe('504 timeout')
    expect((await exec()).body.stdout).toBe('on\n')
    expect((await tester.get(`/agents/${id}`)).body).toMatchObject({ status: 'running', task: { status: 'running' } })
    // The pause can be retried. If the task is cancelled during the wait, the pause succeeds immediately.
    const again = tester.post(`/agents/${id}/pause`)
    await eventually(async () => statusAndCode(await exec())).toBe('409 conflict')
    expect(statusAndCode(await tester.post(`/agents/${id}/tasks/${taskId}/cancel`))).toBe('200')
    expect((await again).body).toMatchObject({ status: 'paused', task: { id: taskId, status: 'cancelled' } })
    const { data } = await stream.first(({ event }) => event === 'error')
    expect(data).toMatchObject({ code: 'cancelled', taskId })
    expect((await tester.post(`/agents/${id}/resume`)).body.status).toBe('idle')
  })
})

test('one of a hundred concurrent runs is accepted, and its task is the only one', async () => {
  const id = await newAgent(tester)
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => tester.post(`/agents/${id}/run`, { task: 'theazo:hang' })),
  )
  const taken = answers.filter(({ status }) => status === 202)
  expect(taken).toHaveLength(1)
  expect(new Set(answers.map(statusAndCode))).toEqual(new Set(['202', '409 conflict']))
  expect((await tester.get(`/agents/${id}`)).body.task.id).toBe(taken[0]?.body.taskId)
  await tester.post(`/agents/${id}/terminate`)
})

test('a task that is cancelled while paused stays ended when its agent is resumed', async () => {
  const id = await newAgent(tester)
  await using stream = await AgentStream.open(tester, id)
  const { taskId } = (await tester.post(`/agents/${id}/run`, { task: 'theazo:steps=50 theazo:delay=5' })).body
  await stream.first(({ event }) => event === 'tool_result')
  expect((await tester.post(`/agents/${id}/pause`)).body).toMatchObject({
    status: 'paused',
    task: { status: 'paused' },
  })
  const count = stream.events.length
  expect(statusAndCode(await tester.post(`/agents/${id}/tasks/${taskId}/cancel`))).toBe('200')
  expect((await tester.get(`/agents/${id}`)).body).toMatchObject({ status: 'paused', task: { status: 'cancelled' } })
  expect((await tester.post(`/agents/${id}/resume`)).body).toMatchObject({ status: 'idle' })
  await tester.post(`/agents/${id}/terminate`)
  await stream.ended
  expect(stream.events.slice(count).map(({ event, data }) => [event, data.code ?? data.status])).toEqual([
    ['error', 'cancelled'],
    ['status', 'idle'],
    ['status', 'terminated'],
  ])
})
