import { expect } from 'vitest'
import { readEvents, type ReadEvent } from '../support/event-reader.ts'
import { type Answer, type Call, type KillApi, type KnownAgent, type Mode, type Stage } from './kill-ledger.ts'
import { counterOwner, endingOf, expectStatus, expectToAgree, follow, untilEnded } from './kill-load.ts'

/** After a restart: checks that all acknowledged data is there, and that nothing is incomplete. */
export async function checkAfterRestart(api: KillApi): Promise<void> {
  const { ledger } = api
  expect(await api.text('/metrics')).not.toMatch(/^theazo_agents\{status="booting"\} [1-9]/m)
  for (const id of ledger.used) {
    if (ledger.sessions.has(id)) await checkSession(api, id)
  }
  for (const call of ledger.cut) await checkRetry(api, call)
  for (const { call, answer } of ledger.answered.slice(-5)) {
    if (call.method === 'POST') expect(withoutRequestId(await api.repeat(call))).toEqual(withoutRequestId(answer))
  }
  for (const id of ledger.used) {
    const agent = ledger.agents.get(id)
    if (agent) await checkAgent(api, agent)
  }
  for (const [sessionId, compute] of [...ledger.closedUsage].slice(-20)) {
    const usage = await api.get('live', `/usage/summary?from=2020-01-01&until=2100-01-01&sessionId=${sessionId}`)
    expect(expectStatus(usage, 200).body.compute).toEqual(compute)
  }
  await checkSessionLists(api)
  expect(ledger.faults).toEqual([])
}

/** After the last restart: checks that every task ends, and that every event log is complete. */
export async function checkAtTheEnd(api: KillApi): Promise<void> {
  const { ledger } = api
  for (const id of ledger.sessions.keys()) await checkSession(api, id)
  for (const agent of ledger.agents.values()) {
    if (agent.stage === 'paused' && agent.tasks.size > 0) {
      expectStatus(await api.send(agent.mode, 'POST', `/agents/${agent.id}/resume`), 200)
      agent.stage = 'alive'
    }
    if (agent.stage === 'alive') follow(api, agent)
    if (agent.stage === 'alive') for (const task of agent.tasks.values()) await untilEnded(agent, task)
    await checkAgent(api, agent)
    for (const task of agent.tasks.values()) {
      expect(endingOf(agent, task.id), `the end of ${task.id}`).toBeDefined()
      const { body } = expectStatus(await api.get(agent.mode, `/agents/${agent.id}/tasks/${task.id}`), 200)
      if (!task.isCancelSent && agent.stage !== 'terminated') expect(body.status).toBe('completed')
      // The last turn is the answer. An additional turn means that a turn ran twice.
      if (body.status === 'completed') expect(body.usage.inputTokens).toBe((task.steps + 1) * 100)
    }
  }
  for (const [sessionId, compute] of ledger.closedUsage) {
    const usage = await api.get('live', `/usage/summary?from=2020-01-01&until=2100-01-01&sessionId=${sessionId}`)
    expect(usage.body.compute).toEqual(compute)
  }
  await checkSessionLists(api)
  expect(ledger.faults).toEqual([])
}

async function checkSession(api: KillApi, id: string): Promise<void> {
  const session = api.ledger.sessions.get(id)
  if (!session) throw new Error(`the ledger does not contain ${id}`)
  const { body } = expectStatus(await api.get(session.mode, `/sessions/${id}`), 200)
  if (session.maybe && body.metadata.n === session.maybe.n) {
    expect(body).toEqual({ ...session.reported, metadata: session.maybe, updatedAt: body.updatedAt })
  } else {
    expect(body).toEqual(session.reported)
  }
  session.reported = body
  delete session.maybe
}

/** Errors contain the id of their request, which differs for a retry. */
function withoutRequestId({ status, body }: Answer): Answer {
  return { status, body: body.error ? { ...body.error, requestId: '' } : body }
}

/** Sends a request without a response again, with the same idempotency key. */
async function checkRetry(api: KillApi, call: Call): Promise<void> {
  if (call.method !== 'POST') return
  const { mode, path } = call
  const [answer, same] = [await api.repeat(call), await api.repeat(call)]
  expect(same).toMatchObject({ status: answer.status })
  if (path === '/sessions') await checkMadeOnce(api, call, answer)
  else if (path.startsWith('/sessions/by-user/')) {
    expectStatus(answer, 200)
    expect(same.body.id).toBe(answer.body.id)
    api.ledger.addSession(mode, answer.body)
    const userId = path.split('/').at(-1) ?? ''
    expect(await listed(api, mode, `/sessions?userId=${userId}`)).toEqual([answer.body.id])
  } else if (path.endsWith('/agents')) await checkAgentMadeOnce(api, call, answer)
  else if (/\/(exec|run)$/.test(path)) checkOnce(answer)
  else expectStatus(answer, 200, 409) // 409 if the first request took effect before the kill
}

async function checkMadeOnce(api: KillApi, { mode, body }: Call, answer: Answer): Promise<void> {
  expectStatus(answer, 201)
  expect(answer.body).toEqual((await api.get(mode, `/sessions/${answer.body.id}`)).body)
  api.ledger.addSession(mode, answer.body)
  const { userId } = body as { userId: string } // what the load sends
  if (userId.startsWith('user-')) {
    expect(await listed(api, mode, `/sessions?userId=${userId}`)).toEqual([answer.body.id])
  }
}

/**
 * Each session of the load has one agent. Whether it has a sandbox depends on the time of the kill; it never stays
 * booting.
 */
async function checkAgentMadeOnce(api: KillApi, { mode, path, body }: Call, answer: Answer): Promise<void> {
  expectStatus(answer, 200, 201)
  expect(['idle', 'failed']).toContain(answer.body.status)
  if (answer.body.status === 'failed') expect(answer.body.reason).toMatch(/server stopped while the sandbox/)
  expect(await listed(api, mode, path)).toEqual([answer.body.id])
  const { metadata } = body as { metadata: { owner: string } } // what the load sends
  api.ledger.addAgent(mode, metadata.owner, answer.body)
}

/** Interrupted code does not run again; a result that was stored before the kill is returned. */
function checkOnce(answer: Answer): void {
  expectStatus(answer, 200, 202, 409)
  if (answer.status === 409) expect(answer.body.error.details).toEqual({ reason: 'interrupted' })
}

async function checkAgent(api: KillApi, agent: KnownAgent): Promise<void> {
  const { body } = expectStatus(await api.get(agent.mode, `/agents/${agent.id}`), 200)
  expect(body).toMatchObject({ id: agent.id, sessionId: agent.sessionId, metadata: { owner: agent.owner } })
  expect(await listed(api, agent.mode, `/sessions/${agent.sessionId}/agents`)).toEqual([agent.id])
  const stage = stageOf(body.status)
  expect([agent.stage, ...(agent.maybe ? [agent.maybe] : [])], `${agent.id} is ${body.status}`).toContain(stage)
  agent.stage = stage
  agent.maybe = undefined
  expectToAgree(body)
  if (body.task && !agent.tasks.has(body.task.id)) {
    const steps = Number(/steps=(\d+)/.exec(body.task.prompt)?.[1])
    agent.tasks.set(body.task.id, { id: body.task.id, steps, isCancelSent: false })
  }
  await checkTasks(api, agent)
  await checkEvents(api, agent)
  if (agent.mode === 'live' && stage === 'alive') await checkFiles(api, agent)
}

async function checkTasks(api: KillApi, agent: KnownAgent): Promise<void> {
  for (const task of agent.tasks.values()) {
    const { body } = expectStatus(await api.get(agent.mode, `/agents/${agent.id}/tasks/${task.id}`), 200)
    if (task.final) expect(body).toEqual(task.final)
    const ending = endingOf(agent, task.id)
    if (ending === 'output') expect(body.status).toBe('completed')
    if (ending === 'error') expect(['cancelled', 'failed']).toContain(body.status)
    if (body.status === 'failed') expect.fail(`task ${task.id} failed: ${JSON.stringify(body.error)}`)
  }
  const runs = new Set([...agent.events.values()].flatMap(({ data }) => JSON.parse(data).taskId ?? []))
  expect(runs.size).toBeLessThanOrEqual(agent.sentRuns)
}

/** Reads the whole event log: no event is missing or doubled, and each equals the event received before the kill. */
async function checkEvents(api: KillApi, agent: KnownAgent): Promise<void> {
  const most = Math.max(0, ...agent.events.keys())
  const isOver = agent.stage === 'terminated'
  const replayed: ReadEvent[] = []
  if (most > 0 || isOver) {
    for await (const event of readEvents(await api.stream(agent, 0))) {
      replayed.push(event)
      if (event.id >= most && !isOver) break
    }
  }
  expect(replayed.length).toBeGreaterThanOrEqual(most)
  expect(replayed.map(({ id }) => id)).toEqual(replayed.map((_, index) => index + 1))
  if (isOver) expect(replayed.at(-1)?.data).toMatch(/^{"status":"terminated"/)
  for (const event of replayed) api.ledger.addEvent(agent, event)
  for (const type of ['tool_call', 'tool_result']) {
    const ids = replayed.filter((event) => event.type === type).map(({ data }) => JSON.parse(data).id)
    expect(ids, `each ${type} appears once`).toEqual([...new Set(ids)])
  }
}

async function checkFiles(api: KillApi, agent: KnownAgent): Promise<void> {
  const code = 'for f in *; do [ -f "$f" ] && printf "%s\\t%s\\n" "$f" "$(cat "$f" | tr "\\n" " ")"; done; true'
  const { body } = expectStatus(await api.send('live', 'POST', `/agents/${agent.id}/exec`, { lang: 'bash', code }), 200)
  const there = new Map<string, string>()
  for (const line of String(body.stdout).split('\n')) {
    const [name = '', text = ''] = line.split('\t')
    there.set(name, text.replaceAll(' ', '\n'))
  }
  for (const [name, text] of agent.files) expect([name, there.get(name)]).toEqual([name, text])
  if (agent.owner !== counterOwner) return
  for (const [name, text] of there) if (name.startsWith('count-')) expect([name, text]).toEqual([name, 'x\n'])
}

/** Lists contain every session once, newest first. */
async function checkSessionLists(api: KillApi): Promise<void> {
  for (const mode of ['live', 'test'] as const) {
    const ids = await listed(api, mode, '/sessions?limit=100')
    expect(ids).toEqual([...new Set(ids)])
    expect(ids).toEqual(ids.toSorted().toReversed())
    const known = [...api.ledger.sessions.values()].filter((session) => session.mode === mode)
    const all = new Set(ids)
    expect(known.map(({ reported }) => reported.id).filter((id) => !all.has(id))).toEqual([])
  }
}

async function listed(api: KillApi, mode: Mode, path: string): Promise<string[]> {
  const ids: string[] = []
  for (let cursor = ''; ;) {
    const query = cursor === '' ? path : `${path}${path.includes('?') ? '&' : '?'}cursor=${cursor}`
    const { body } = expectStatus(await api.get(mode, query), 200)
    for (const { id } of body.data) ids.push(id)
    if (body.nextCursor === undefined) return ids
    cursor = body.nextCursor
  }
}

function stageOf(status: string): Stage {
  if (status === 'idle' || status === 'running') return 'alive'
  expect(['paused', 'terminated', 'failed']).toContain(status)
  return status as Stage // as was just seen
}
