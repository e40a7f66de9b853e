// A server and a reader that is behind while events are pruned; a process of its own, which a test can end.
import { setTimeout as sleep } from 'node:timers/promises'
import { createLocalTheazo } from '@theazo/server'
import { ApiCaller } from './api-caller.ts'
import { StepClock } from './step-clock.ts'

const clock = new StepClock()
await using local = await createLocalTheazo({ clock, eventRetentionMs: 500 })
const { key } = await local.keys.create({ mode: 'test', plan: 'enterprise' })
const api = new ApiCaller({ ...local, apiKey: key })
const { body: session } = await api.post('/sessions', { userId: 'behind' })
const { body: agent } = await api.post(`/sessions/${session.id}/agents`, { tools: [] })

async function run(task: string): Promise<void> {
  const { body } = await api.post(`/agents/${agent.id}/run`, { task })
  const status = async (): Promise<string> => (await api.get(`/agents/${agent.id}/tasks/${body.taskId}`)).body.status
  while ((await status()) !== 'completed') await sleep(1)
}

clock.advance(3_599_000)
const large = `theazo:output=${'x'.repeat(300_000)}`
await run(large)
await run(large)
// More than is kept for one reader: the stream waits for it, in the middle of what is kept.
const stream = await api.open(`/agents/${agent.id}/stream?lastEventId=0`)
await sleep(50)
await run(large)
clock.advance(1_000)
await sleep(50)
const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
let text = ''
const readTo = async (number: number): Promise<void> => {
  while (!text.includes(`\nid: ${number}\n`)) text += (await reader?.read())?.value ?? ''
}
await readTo(9)
await run('theazo:output=after')
await readTo(17)
await reader?.cancel()
process.stdout.write(JSON.stringify(Array.from(text.matchAll(/\nid: (\d+)\n/g), ([, number]) => Number(number))))
