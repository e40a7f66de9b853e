/**
 * The life of agents, for a model that manages its own sandboxes: costs tokens and money, so it is offered on demand.
 *
 * @module
 */
import { z } from 'zod/v4'
import type { Agent as WireAgent } from '../wire.ts'
import { defineTool, needed, type Tool, type ToolHints } from './define-tool.ts'
import { nothing } from './schemas.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/** What these tools give programs of an agent. */
export interface AgentData {
  agentId: string
  status: string
  name?: string
}

/** What `list_agents` gives programs. */
export interface ListAgentsData {
  agents: AgentData[]
  isTruncated: boolean
}

/** What the model gives `create_agent`. */
export interface CreateAgentInput {
  name?: string | undefined
  instructions?: string | undefined
}

type NoInput = Record<string, never>

const maxAgents = 50
const readOnly: ToolHints = { readOnly: true, destructive: false, idempotent: true, openWorld: false }
const changing: ToolHints = { readOnly: false, destructive: false, idempotent: false, openWorld: false }
const ending: ToolHints = { readOnly: false, destructive: true, idempotent: true, openWorld: false }

const agent: z.ZodType<AgentData> = z
  .object({ agentId: z.string(), status: z.string(), name: z.string().optional() })
  .passthrough() as z.ZodType<AgentData> // zod types an optional key as `| undefined`

const createInput: z.ZodType<CreateAgentInput> = z.object({
  name: z.string().min(1).max(128).optional().describe('A name to find it by; an existing one gives that agent.'),
  instructions: z.string().optional().describe('What its own model is told before every task.'),
})

const agents: z.ZodType<ListAgentsData> = z
  .object({ agents: z.array(agent), isTruncated: z.boolean() })
  .passthrough() as z.ZodType<ListAgentsData>

/** Tells how the sandbox is. */
export const getAgent: Tool<'get_agent', NoInput, AgentData> = defineTool({
  name: 'get_agent',
  title: 'Get agent',
  description: 'Tell the state of the current sandbox: idle, running, paused, failed or terminated.',
  input: nothing,
  output: agent,
  hints: readOnly,
  run: async (_input, { sandbox, signal }) => dataOf((await method(sandbox, 'refresh', 'get_agent')({ signal })).data),
  toText: agentText,
})

/** Suspends the sandbox. */
export const pauseAgent: Tool<'pause_agent', NoInput, AgentData> = defineTool({
  name: 'pause_agent',
  title: 'Pause agent',
  description: 'Suspend the current sandbox: its files are kept, and it costs no compute until resume_agent.',
  input: nothing,
  output: agent,
  hints: changing,
  run: async (_input, { sandbox, signal }) => dataOf((await method(sandbox, 'pause', 'pause_agent')({ signal })).data),
  toText: agentText,
})

/** Wakes the sandbox up. */
export const resumeAgent: Tool<'resume_agent', NoInput, AgentData> = defineTool({
  name: 'resume_agent',
  title: 'Resume agent',
  description: 'Wake up the current sandbox after pause_agent.',
  input: nothing,
  output: agent,
  hints: changing,
  run: async (_input, { sandbox, signal }) =>
    dataOf((await method(sandbox, 'resume', 'resume_agent')({ signal })).data),
  toText: agentText,
})

/** Ends the sandbox for good. */
export const terminateAgent: Tool<'terminate_agent', NoInput, AgentData> = defineTool({
  name: 'terminate_agent',
  title: 'Terminate agent',
  description: 'End the current sandbox for good; all its files are deleted. Do this only when the user asks for it.',
  input: nothing,
  output: agent,
  hints: ending,
  async run(_input, { sandbox, signal }) {
    await method(sandbox, 'terminate', 'terminate_agent')({ signal })
    return { agentId: sandbox.id, status: 'terminated' }
  },
  toText: agentText,
})

/** Makes a further sandbox. */
export const createAgent: Tool<'create_agent', CreateAgentInput, AgentData> = defineTool({
  name: 'create_agent',
  title: 'Create agent',
  description: 'Make a further sandbox for this user. It costs money while it lives: end it with terminate_agent.',
  input: createInput,
  output: agent,
  hints: changing,
  async run({ name, instructions }, { account, signal }) {
    const { session } = await account()
    return dataOf((await session.agents.create({ name, instructions, signal })).data)
  },
  toText: agentText,
})

/** Lists the sandboxes of the session. */
export const listAgents: Tool<'list_agents', NoInput, ListAgentsData> = defineTool({
  name: 'list_agents',
  title: 'List agents',
  description: `List the sandboxes of this user, newest first, ${maxAgents} at most.`,
  input: nothing,
  output: agents,
  hints: readOnly,
  async run(_input, { account, signal }) {
    const { session } = await account()
    const { data, nextCursor } = await session.agents.list({ limit: maxAgents, signal }).page()
    return { agents: data.map((agent) => dataOf(agent.data)), isTruncated: Boolean(nextCursor) }
  },
  toText({ agents, isTruncated }) {
    if (agents.length === 0) return 'There are no sandboxes.'
    return [...agents.map(agentText), ...(isTruncated ? ['[there are more]'] : [])].join('\n')
  },
})

function method<Name extends 'refresh' | 'pause' | 'resume' | 'terminate'>(
  sandbox: ToolSandbox,
  name: Name,
  tool: string,
): NonNullable<ToolSandbox[Name]> {
  const found: unknown = needed(sandbox[name], tool, 'an agent of the API')
  return (found as (...args: unknown[]) => unknown).bind(sandbox) as NonNullable<ToolSandbox[Name]> // bind forgets which of the union it was
}

function dataOf({ id, status, name }: WireAgent): AgentData {
  return { agentId: id, status, ...(name !== undefined && { name }) }
}

function agentText({ agentId, status, name }: AgentData): string {
  return `${agentId}${name === undefined ? '' : ` (${name})`} is ${status}.`
}
