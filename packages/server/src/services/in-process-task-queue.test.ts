import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { systemClock } from '../clock.ts'
import { EventLog } from '../events/event-log.ts'
import { type Database, databaseName, openDatabase } from '../store/database.ts'
import { newAgentRow } from './agent-rows.ts'
import { InProcessTaskQueue } from './in-process-task-queue.ts'
import type { JobEnd, TaskJob } from './task-queue.ts'

const folder = mkdtempSync(join(tmpdir(), 'theazo-queue-'))
let database: Database
let events: EventLog
beforeAll(async () => {
  database = await openDatabase(join(folder, databaseName), true)
  events = new EventLog(database, systemClock, () => {})
})
afterAll(async () => {
  await database.destroy()
  rmSync(folder, { recursive: true })
})

const job = (taskId: string): TaskJob => ({ agentId: `agent of ${taskId}`, taskId, isNew: true, isFirst: true })

/** A queue, and the ids of the tasks that it has handed out. */
async function openQueue(handle: (job: TaskJob) => Promise<JobEnd> = async () => 'done') {
  const errors: unknown[] = []
  const queue = new InProcessTaskQueue({ database, onError: (error) => errors.push(error) })
  const handedOut: string[] = []
  await queue.work(async (given) => {
    handedOut.push(given.taskId)
    return await handle(given)
  })
  return { queue, handedOut, errors }
}

test('hands out the jobs of a transaction after its commit, in their order, and before the write resolves', async () => {
  const { queue, handedOut } = await openQueue()
  const written = events.write(async (unit) => {
    await queue.add(unit, job('a'))
    await queue.add(unit, job('b'))
    expect(handedOut).toEqual([])
  })
  await written
  expect(handedOut).toEqual(['a', 'b'])
})

test('hands out a job as it was added: it survives JSON', async () => {
  const given: TaskJob[] = []
  const { queue } = await openQueue(async (handed) => {
    given.push(handed)
    return 'done'
  })
  await events.write((unit) => queue.add(unit, job('plain')))
  expect(given).toEqual([JSON.parse(JSON.stringify(job('plain')))])
})

test('hands out nothing of a transaction that fails', async () => {
  const { queue, handedOut } = await openQueue()
  const failed = events.write(async (unit) => {
    await queue.add(unit, job('lost'))
    throw new Error('rolled back')
  })
  await expect(failed).rejects.toThrow('rolled back')
  await events.write((unit) => queue.add(unit, job('next')))
  expect(handedOut).toEqual(['next'])
})

test('hands out nothing after its close, not even the job of a transaction that began before', async () => {
  const { queue, handedOut } = await openQueue()
  await events.write(async (unit) => {
    await queue.add(unit, job('late'))
    await queue.close()
  })
  await events.write((unit) => queue.add(unit, job('later')))
  expect(handedOut).toEqual([])
})

test('reports the error of a handler, and hands out the next job', async () => {
  const { queue, handedOut, errors } = await openQueue(async ({ taskId }) => {
    if (taskId === 'bad') throw new Error('mine')
    return 'again'
  })
  await events.write((unit) => queue.add(unit, job('bad')))
  await events.write((unit) => queue.add(unit, job('good')))
  expect(handedOut).toEqual(['bad', 'good'])
  expect(errors).toEqual([new Error('mine')])
})

test('hands out the running tasks of an earlier process at its start, the oldest first, and no others', async () => {
  await database
    .insertInto('sessions')
    .values({
      id: 's',
      project: 'p',
      mode: 'test',
      user_id: 'u',
      status: 'active',
      limits: '{}',
      metadata: '{}',
      created_at: 1,
      updated_at: 1,
    })
    .execute()
  const left = [
    ['x', 'running', 'task 2'],
    ['y', 'running', 'task 1'],
    ['paused', 'paused', 'task 3'],
    ['idle', 'idle', 'task 4'],
    ['fresh', 'idle', null],
  ] as const
  for (const [id, status, task] of left) {
    const row = newAgentRow({ id, session: { id: 's' }, keyId: 'k', provider: 'mock', tools: [], body: {}, now: 1 })
    await database
      .insertInto('agents')
      .values({ ...row, status, task_id: task })
      .execute()
  }
  const queue = new InProcessTaskQueue({ database, onError: () => {} })
  const given: [job: TaskJob, isRecovered: boolean][] = []
  await queue.work(async (handed, isRecovered) => {
    given.push([handed, isRecovered])
    return await new Promise<never>(() => {}) // the task runs for a long time
  })
  const flags = { isNew: false, isFirst: false }
  expect(given).toEqual([
    [{ agentId: 'y', taskId: 'task 1', ...flags }, true],
    [{ agentId: 'x', taskId: 'task 2', ...flags }, true],
  ])
  await events.write((unit) => queue.add(unit, job('new')))
  expect(given.at(-1)).toEqual([job('new'), false])
})
