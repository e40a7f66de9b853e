import { expect } from 'vitest'
import type { Chance } from '../support/chance.ts'
import { readEvents } from '../support/event-reader.ts'
import {
  type Answer,
  CutError,
  type KillApi,
  type KnownAgent,
  type KnownTask,
  type Mode,
  type Stage,
} from './kill-ledger.ts'

/** One client, which sends requests until the server is killed. */
export type KillClient = (api: KillApi, chance: Chance) => Promise<void>

/** The clients, which run at the same time. */
export const killClients: Record<string, KillClient> = {
  liveSessions: (api, chance) => useSessions('live', api, chance),
  testSessions: (api, chance) => useSessions('test', api, chance),
  counter: countRuns,
  liveAgents: useLiveAgents,
  runsA: (api, chance) => useRuns('runsA', api, chance),
  runsB: (api, chance) => useRuns('runsB', api, chance),
  watcher: watchAgents,
}

async function useSessions(mode: Mode, api: KillApi, chance: Chance): Promise<never> {
  const { ledger } = api
  for (;;) {
    const n = ledger.next()
    const known = [...ledger.sessions.values()].filter(
      (session) => session.mode === mode && 'n' in session.reported.metadata,
    )
    const session = known[chance.between(0, known.length - 1)]
    if (session && chance.percent(40)) {
      session.maybe = { n }
      ledger.used.add(session.reported.id)
      const { body } = expectStatus(
        await api.send(mode, 'PATCH', `/sessions/${session.reported.id}`, { metadata: { n } }),
        200,
      )
      session.reported = body
      delete session.maybe
    } else if (chance.percent(50)) {
      const { body } = expectStatus(
        await api.send(mode, 'POST', '/sessions', { userId: `user-${n}`, metadata: { n } }),
        201,
      )
      ledger.addSession(mode, body)
    } else {
      const user = `shared-${chance.between(1, 30)}`
      const { body } = expectStatus(await api.send(mode, 'POST', `/sessions/by-user/${user}`, { metadata: {} }), 200)
      ledger.addSession(mode, body)
    }
  }
}

/** Owner of the one agent that lives until the end. Its files show if code ran twice. */
export const counterOwner = 'counter'

async function countRuns(api: KillApi, chance: Chance): Promise<never> {
  const { ledger } = api
  const agent = ledger.agentsOf(counterOwner)[0] ?? (await makeAgent(api, 'live', counterOwner))
  agent.uid ??= Number((await exec(api, agent, 'id -u')).body.stdout)
  for (;;) {
    const n = ledger.next()
    const wait = chance.percent(30) ? `sleep 0.${chance.between(0, 3)}` : 'true'
    const answer = await exec(api, agent, `echo x >> count-${n}; ${wait}; echo ${n} > file-${n}; echo done ${n}`)
    expect(answer.body).toMatchObject({ stdout: `done ${n}\n`, exitCode: 0 })
    agent.files.set(`file-${n}`, `${n}\n`)
    agent.files.set(`count-${n}`, 'x\n')
  }
}

async function useLiveAgents(api: KillApi, chance: Chance): Promise<never> {
  const { ledger } = api
  for (;;) {
    const old = ledger.agentsOf('liveAgents')
    const agent = old.length > 1 && old[0] ? old[0] : await makeAgent(api, 'live', 'liveAgents')
    if (agent.stage === 'paused') await move(api, agent, 'resume', 'alive')
    const n = ledger.next()
    const { body } = await exec(api, agent, `id -u; echo ${n} > kept-${n}`)
    agent.uid = Number(body.stdout)
    agent.files.set(`kept-${n}`, `${n}\n`)
    if (chance.percent(50)) {
      await move(api, agent, 'pause', 'paused')
      if (chance.percent(30)) continue // leaves the agent alive
      await move(api, agent, 'resume', 'alive')
    }
    if (chance.percent(30)) continue
    await move(api, agent, 'terminate', 'terminated')
    const usage = await api.get('live', `/usage/summary?from=2020-01-01&until=2100-01-01&sessionId=${agent.sessionId}`)
    ledger.closedUsage.set(agent.sessionId, expectStatus(usage, 200).body.compute)
  }
}

async function useRuns(owner: string, api: KillApi, chance: Chance): Promise<never> {
  const { ledger } = api
  for (;;) {
    const own = ledger.agentsOf(owner)
    const begun = own.find((agent) => chance.percent(50) && openTask(agent))
    if (own.length > 2 && own[0] && chance.percent(60)) await move(api, own[0], 'terminate', 'terminated')
    const agent = begun?.stage === 'alive' || begun?.stage === 'paused' ? begun : await makeAgent(api, 'test', owner)
    if (agent.stage === 'paused') await move(api, agent, 'resume', 'alive')
    follow(api, agent)
    const task = openTask(agent) ?? (await run(api, chance, agent))
    if (chance.percent(30)) {
      await move(api, agent, 'pause', 'paused')
      if (chance.percent(30)) continue // leaves the agent alive
      await move(api, agent, 'resume', 'alive')
    }
    if (chance.percent(15)) {
      task.isCancelSent = true
      ledger.used.add(agent.id)
      expectStatus(await api.send('test', 'POST', `/agents/${agent.id}/tasks/${task.id}/cancel`), 200, 409)
    }
    if (chance.percent(20)) continue // the next run starts beside this one
    await untilEnded(agent, task)
    task.final = expectStatus(await api.get('test', `/agents/${agent.id}/tasks/${task.id}`), 200).body
  }
}

/** Reads agents all the time: the status of an agent must always agree with its task. */
async function watchAgents(api: KillApi, chance: Chance): Promise<never> {
  const { ledger } = api
  for (;;) {
    const all = [...ledger.agents.values()].slice(-8)
    const agent = all[chance.between(0, all.length - 1)]
    if (agent) expectToAgree(expectStatus(await api.get(agent.mode, `/agents/${agent.id}`), 200).body)
    else await api.get('live', '/sessions?limit=1')
  }
}

/** Only a running agent has a running task. */
export function expectToAgree(agent: { status: string; task: { status: string } | null }): void {
  const task = agent.task?.status ?? 'none'
  const legal = agent.status === 'running' ? ['running'] : ['none', 'completed', 'failed', 'cancelled', 'paused']
  expect(legal, `an agent that is ${agent.status} has a task that is ${task}: ${JSON.stringify(agent)}`).toContain(task)
  if (task === 'paused') expect(agent.status).toBe('paused')
}

/** Reads the agent's events from the last known one, until the server is killed or the agent ends. */
export function follow(api: KillApi, agent: KnownAgent): void {
  if (agent.isFollowed) return
  agent.isFollowed = true
  const read = async (): Promise<void> => {
    const response = await api.stream(agent, agent.readTo)
    expect(response.status).toBe(200)
    for await (const event of readEvents(response)) {
      if (event.id !== agent.readTo + 1) {
        api.ledger.faults.push(`event ${event.id} of ${agent.id} came after ${agent.readTo}`)
      }
      agent.readTo = event.id
      api.ledger.addEvent(agent, event)
      agent.onEvent()
    }
  }
  const ended = (): void => {
    agent.isFollowed = false
    agent.onEvent()
  }
  api.streams.push(read().then(ended, ended))
}

/** Resolves when an event ends the task. @throws {CutError} if the stream ends before. */
export async function untilEnded(agent: KnownAgent, task: KnownTask): Promise<void> {
  for (;;) {
    const woken = Promise.withResolvers<void>()
    agent.onEvent = woken.resolve
    if (endingOf(agent, task.id)) return
    if (!agent.isFollowed) throw new CutError('the stream has ended')
    await woken.promise
  }
}

/** The event that ended the task. */
export function endingOf(agent: KnownAgent, taskId: string): string | undefined {
  for (const { type, data } of agent.events.values()) {
    if ((type === 'output' || type === 'error') && JSON.parse(data).taskId === taskId) return type
  }
  return undefined
}

/** @throws an assertion that shows the whole answer. */
export function expectStatus(answer: Answer, ...statuses: number[]): Answer {
  expect(statuses, `${answer.status} ${JSON.stringify(answer.body)}`).toContain(answer.status)
  return answer
}

function openTask(agent: KnownAgent): KnownTask | undefined {
  return [...agent.tasks.values()].find((task) => !task.final && endingOf(agent, task.id) === undefined)
}

async function makeAgent(api: KillApi, mode: Mode, owner: string): Promise<KnownAgent> {
  const { ledger } = api
  const wireSession = expectStatus(await api.send(mode, 'POST', '/sessions', { userId: owner }), 201).body
  ledger.addSession(mode, wireSession)
  const { body } = expectStatus(
    await api.send(mode, 'POST', `/sessions/${wireSession.id}/agents`, { metadata: { owner } }),
    201,
  )
  return ledger.addAgent(mode, owner, body)
}

async function run(api: KillApi, chance: Chance, agent: KnownAgent): Promise<KnownTask> {
  const steps = chance.between(1, 6)
  agent.sentRuns += 1
  api.ledger.used.add(agent.id)
  const text = `theazo:steps=${steps} theazo:delay=${chance.between(0, 60)}`
  const { body } = expectStatus(await api.send('test', 'POST', `/agents/${agent.id}/run`, { task: text }), 202)
  const task = { id: body.taskId, steps, isCancelSent: false }
  agent.tasks.set(task.id, task)
  return task
}

async function exec(api: KillApi, agent: KnownAgent, code: string): Promise<Answer> {
  api.ledger.used.add(agent.id)
  return expectStatus(await api.send('live', 'POST', `/agents/${agent.id}/exec`, { lang: 'bash', code }), 200)
}

async function move(api: KillApi, agent: KnownAgent, verb: string, to: Stage): Promise<void> {
  api.ledger.used.add(agent.id)
  agent.maybe = to
  expectStatus(await api.send(agent.mode, 'POST', `/agents/${agent.id}/${verb}`), 200)
  agent.stage = to
  agent.maybe = undefined
}
