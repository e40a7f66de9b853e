import { expect } from 'vitest'
import type { Chance } from '../support/chance.ts'
import { readEvents } from '../support/event-reader.ts'
import {
  type Answer,
  CutError,
  type KillWire,
  type KnownAgent,
  type KnownTask,
  type Mode,
  type Stage,
} from './kill-ledger.ts'

/** One client, which sends requests until the server is killed. */
export type KillClient = (wire: KillWire, chance: Chance) => Promise<void>

/** The clients, which run at the same time. */
export const killClients: Record<string, KillClient> = {
  liveSessions: (wire, chance) => useSessions('live', wire, chance),
  testSessions: (wire, chance) => useSessions('test', wire, chance),
  counter: countRuns,
  liveAgents: useLiveAgents,
  runsA: (wire, chance) => useRuns('runsA', wire, chance),
  runsB: (wire, chance) => useRuns('runsB', wire, chance),
  watcher: watchAgents,
}

async function useSessions(mode: Mode, wire: KillWire, chance: Chance): Promise<never> {
  const { ledger } = wire
  for (;;) {
    const n = ledger.next()
    const known = [...ledger.sessions.values()].filter(
      (session) => session.mode === mode && 'n' in session.reported.metadata,
    )
    const session = known[chance.between(0, known.length - 1)]
    if (session && chance.percent(40)) {
      session.maybe = { n }
      ledger.touched.add(session.reported.id)
      const { body } = expectStatus(
        await wire.send(mode, 'PATCH', `/sessions/${session.reported.id}`, { metadata: { n } }),
        200,
      )
      session.reported = body
      delete session.maybe
    } else if (chance.percent(50)) {
      const { body } = expectStatus(
        await wire.send(mode, 'POST', '/sessions', { userId: `user-${n}`, metadata: { n } }),
        201,
      )
      ledger.addSession(mode, body)
    } else {
      const user = `shared-${chance.between(1, 30)}`
      const { body } = expectStatus(await wire.send(mode, 'POST', `/sessions/by-user/${user}`, { metadata: {} }), 200)
      ledger.addSession(mode, body)
    }
  }
}

/** Owner of the one agent that lives until the end. Its files show if code ran twice. */
export const counterOwner = 'counter'

async function countRuns(wire: KillWire, chance: Chance): Promise<never> {
  const { ledger } = wire
  const agent = ledger.agentsOf(counterOwner)[0] ?? (await makeAgent(wire, 'live', counterOwner))
  agent.uid ??= Number((await exec(wire, agent, 'id -u')).body.stdout)
  for (;;) {
    const n = ledger.next()
    const wait = chance.percent(30) ? `sleep 0.${chance.between(0, 3)}` : 'true'
    const answer = await exec(wire, agent, `echo x >> count-${n}; ${wait}; echo ${n} > file-${n}; echo done ${n}`)
    expect(answer.body).toMatchObject({ stdout: `done ${n}\n`, exitCode: 0 })
    agent.files.set(`file-${n}`, `${n}\n`)
    agent.files.set(`count-${n}`, 'x\n')
  }
}

async function useLiveAgents(wire: KillWire, chance: Chance): Promise<never> {
  const { ledger } = wire
  for (;;) {
    const old = ledger.agentsOf('liveAgents')
    const agent = old.length > 1 && old[0] ? old[0] : await makeAgent(wire, 'live', 'liveAgents')
    if (agent.stage === 'paused') await move(wire, agent, 'resume', 'alive')
    const n = ledger.next()
    const { body } = await exec(wire, agent, `id -u; echo ${n} > kept-${n}`)
    agent.uid = Number(body.stdout)
    agent.files.set(`kept-${n}`, `${n}\n`)
    if (chance.percent(50)) {
      await move(wire, agent, 'pause', 'paused')
      if (chance.percent(30)) continue // leaves the agent alive
      await move(wire, agent, 'resume', 'alive')
    }
    if (chance.percent(30)) continue
    await move(wire, agent, 'terminate', 'terminated')
    const usage = await wire.get('live', `/usage/summary?from=2020-01-01&until=2100-01-01&sessionId=${agent.sessionId}`)
    ledger.closedUsage.set(agent.sessionId, expectStatus(usage, 200).body.compute)
  }
}

async function useRuns(owner: string, wire: KillWire, chance: Chance): Promise<never> {
  const { ledger } = wire
  for (;;) {
    const own = ledger.agentsOf(owner)
    const begun = own.find((agent) => chance.percent(50) && openTask(agent))
    if (own.length > 2 && own[0] && chance.percent(60)) await move(wire, own[0], 'terminate', 'terminated')
    const agent = begun?.stage === 'alive' || begun?.stage === 'paused' ? begun : await makeAgent(wire, 'test', owner)
    if (agent.stage === 'paused') await move(wire, agent, 'resume', 'alive')
    follow(wire, agent)
    const task = openTask(agent) ?? (await run(wire, chance, agent))
    if (chance.percent(30)) {
      await move(wire, agent, 'pause', 'paused')
      if (chance.percent(30)) continue // leaves the agent alive
      await move(wire, agent, 'resume', 'alive')
    }
    if (chance.percent(15)) {
      task.isCancelSent = true
      ledger.touched.add(agent.id)
      expectStatus(await wire.send('test', 'POST', `/agents/${agent.id}/tasks/${task.id}/cancel`), 200, 409)
    }
    if (chance.percent(20)) continue // the next run starts beside this one
    await untilEnded(agent, task)
    task.final = expectStatus(await wire.get('test', `/agents/${agent.id}/tasks/${task.id}`), 200).body
  }
}

/** Reads agents all the time: the status of an agent must always agree with its task. */
async function watchAgents(wire: KillWire, chance: Chance): Promise<never> {
  const { ledger } = wire
  for (;;) {
    const all = [...ledger.agents.values()].slice(-8)
    const agent = all[chance.between(0, all.length - 1)]
    if (agent) expectToAgree(expectStatus(await wire.get(agent.mode, `/agents/${agent.id}`), 200).body)
    else await wire.get('live', '/sessions?limit=1')
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
export function follow(wire: KillWire, agent: KnownAgent): void {
  if (agent.isFollowed) return
  agent.isFollowed = true
  const read = async (): Promise<void> => {
    const response = await wire.stream(agent, agent.readTo)
    expect(response.status).toBe(200)
    for await (const event of readEvents(response)) {
      if (event.id !== agent.readTo + 1) {
        wire.ledger.faults.push(`event ${event.id} of ${agent.id} came after ${agent.readTo}`)
      }
      agent.readTo = event.id
      wire.ledger.addEvent(agent, event)
      agent.onEvent()
    }
  }
  const ended = (): void => {
    agent.isFollowed = false
    agent.onEvent()
  }
  wire.streams.push(read().then(ended, ended))
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

async function makeAgent(wire: KillWire, mode: Mode, owner: string): Promise<KnownAgent> {
  const { ledger } = wire
  const wireSession = expectStatus(await wire.send(mode, 'POST', '/sessions', { userId: owner }), 201).body
  ledger.addSession(mode, wireSession)
  const { body } = expectStatus(
    await wire.send(mode, 'POST', `/sessions/${wireSession.id}/agents`, { metadata: { owner } }),
    201,
  )
  return ledger.addAgent(mode, owner, body)
}

async function run(wire: KillWire, chance: Chance, agent: KnownAgent): Promise<KnownTask> {
  const steps = chance.between(1, 6)
  agent.sentRuns += 1
  wire.ledger.touched.add(agent.id)
  const text = `theazo:steps=${steps} theazo:delay=${chance.between(0, 60)}`
  const { body } = expectStatus(await wire.send('test', 'POST', `/agents/${agent.id}/run`, { task: text }), 202)
  const task = { id: body.taskId, steps, isCancelSent: false }
  agent.tasks.set(task.id, task)
  return task
}

async function exec(wire: KillWire, agent: KnownAgent, code: string): Promise<Answer> {
  wire.ledger.touched.add(agent.id)
  return expectStatus(await wire.send('live', 'POST', `/agents/${agent.id}/exec`, { lang: 'bash', code }), 200)
}

async function move(wire: KillWire, agent: KnownAgent, verb: string, to: Stage): Promise<void> {
  wire.ledger.touched.add(agent.id)
  agent.maybe = to
  expectStatus(await wire.send(agent.mode, 'POST', `/agents/${agent.id}/${verb}`), 200)
  agent.stage = to
  agent.maybe = undefined
}
