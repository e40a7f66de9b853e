// A task on the server's own model loop. A person approves a call, the server restarts in the middle, the task goes on.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AgentEvent, Theazo } from '@theazo/core'
import { createLocalTheazo } from '@theazo/server'
import { chooseModels } from './models.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'theazo-orchestrator-'))
const { models, description } = chooseModels(process.env)
console.log(`Model: ${description}`)

try {
  const { agentId, taskId, lastEventId } = await firstServer()
  console.log('\nThe server ends and starts again.\n')
  await secondServer(agentId, taskId, lastEventId)
} finally {
  rmSync(dataDir, { recursive: true, force: true })
}

/** Starts the task, and pauses the agent after the first call of a tool. */
async function firstServer(): Promise<{ agentId: string; taskId: string; lastEventId: string }> {
  await using local = await createLocalTheazo({ dataDir, models })
  const theazo = new Theazo(local)
  const session = await theazo.sessions.forUser('user_123', {
    limits: { maxCost: { amount: 100, currency: 'usd', period: 'day' } },
  })
  const agent = await session.agents.create({ approvals: ['delete_file'], timeoutSeconds: 600 })
  const run = agent.run(
    'Write the squares of 1 to 5 to squares.txt with Python, one on each line. Then add them up with Bash. Then delete squares.txt.',
  )
  const taskId = await run.taskId
  let lastEventId = '0'
  for await (const event of run) {
    print(event)
    lastEventId = event.eventId ?? lastEventId
    if (event.type === 'tool_result') break
  }
  await agent.pause() // waits for the tool call that runs, and stores the state
  return { agentId: agent.id, taskId, lastEventId }
}

/** Resumes the agent, and follows the task to its end. */
async function secondServer(agentId: string, taskId: string, lastEventId: string): Promise<void> {
  await using local = await createLocalTheazo({ dataDir, models })
  const theazo = new Theazo(local)
  await using agent = await theazo.agents.get(agentId)
  await agent.resume()
  const run = agent.attach(taskId, { lastEventId })
  await run.forward({
    onEvent: print,
    onApproval({ tool, input }) {
      console.log(`  ? ${tool} ${JSON.stringify(input)}: approved by this program`)
      return true
    },
  })
  const { output, cost } = await run.result()
  const { usage } = await agent.tasks.get(taskId)
  console.log(`\nAnswer: ${output}`)
  console.log(`Tokens: ${usage.inputTokens} in, ${usage.outputTokens} out. Cost: ${(cost?.amount ?? 0) / 100} USD.`)
}

function print(event: AgentEvent): void {
  switch (event.type) {
    case 'thinking':
      return console.log(`  (${event.text})`)
    case 'tool_call':
      return console.log(`  > ${event.tool} ${JSON.stringify(event.input)}`)
    case 'tool_result':
      return console.log(`  < ${String(event.output).trim().replaceAll('\n', '\n    ')}`)
    case 'status':
      return console.log(`  - ${event.status}${event.reason === undefined ? '' : ` (${event.reason})`}`)
    default:
      return undefined // the text of the answer is printed at the end
  }
}
