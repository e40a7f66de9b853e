/**
 * The life of agents, for a model that manages its own sandboxes: costs tokens and money, so they are offered on demand.
 *
 * @module
 */
import { z } from 'zod/v4'
import { createIdleAgent } from '../pool/sandbox-maker.ts'
import type { Agent as WireAgent, IdleTimeout } from '../wire.ts'
import { defineTool, needed, type Tool, type ToolContext, type ToolHints } from './define-tool.ts'
import { nothing } from './schemas.ts'
import { ToolInputError } from './tool-input-error.ts'
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

/** What the model gives `get_agent`, `pause_agent`, `resume_agent` and `terminate_agent`. */
export interface AgentInput {
  agentId?: string | undefined
}

/** What the model gives `create_agent`. */
export interface CreateAgentInput {
  name?: string | undefined
  instructions?: string | undefined
}

type NoInput = Record<string, never>

const maxAgents = 50
/** Ids that an error names. */
const maxNamed = 10
/** A further sandbox that everybody forgets ends by itself. */
const idleTimeout: IdleTimeout = { seconds: 1800, action: 'terminate' }
const readOnly: ToolHints = { readOnly: true, destructive: false, idempotent: true, openWorld: false }
const changing: ToolHints = { readOnly: false, destructive: false, idempotent: false, openWorld: false }
const ending: ToolHints = { readOnly: false, destructive: true, idempotent: true, openWorld: false }

const agent: z.ZodType<AgentData> = z
  .object({ agentId: z.string(), status: z.string(), name: z.string().optional() })
  .passthrough() as z.ZodType<AgentData> // zod types an optional key as `| undefined`

const agentInput: z.ZodType<AgentInput> = z.object({
  agentId: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('Which sandbox, by the id that create_agent or list_agents gave. Default: the current one.'),
})

const createInput: z.ZodType<CreateAgentInput> = z.object({
  name: z.string().min(1).max(128).optional().describe('A name to find it by; an existing one gives that agent.'),
  instructions: z.string().optional().describe('What its own model is told before every task.'),
})

const agents: z.ZodType<ListAgentsData> = z
  .object({ agents: z.array(agent), isTruncated: z.boolean() })
  .passthrough() as z.ZodType<ListAgentsData>

/** Reports the state of a sandbox. */
export const getAgent: Tool<'get_agent', AgentInput, AgentData> = defineTool({
  name: 'get_agent',
  title: 'Get agent',
  description: 'Report the state of a sandbox: idle, running, paused, failed or terminated.',
  input: agentInput,
  output: agent,
  hints: readOnly,
  async run(input, context) {
    const refresh = method(await sandboxOf(input, context), 'refresh', 'get_agent')
    return dataOf((await refresh({ signal: context.signal })).data)
  },
  toText: agentText,
})

/** Suspends a sandbox. */
export const pauseAgent: Tool<'pause_agent', AgentInput, AgentData> = defineTool({
  name: 'pause_agent',
  title: 'Pause agent',
  description: 'Suspend a sandbox: its files are kept, and it costs no compute until resume_agent.',
  input: agentInput,
  output: agent,
  hints: changing,
  async run(input, context) {
    const pause = method(await sandboxOf(input, context), 'pause', 'pause_agent')
    return dataOf((await pause({ signal: context.signal })).data)
  },
  toText: agentText,
})

/** Wakes a sandbox up. */
export const resumeAgent: Tool<'resume_agent', AgentInput, AgentData> = defineTool({
  name: 'resume_agent',
  title: 'Resume agent',
  description: 'Wake up a sandbox after pause_agent.',
  input: agentInput,
  output: agent,
  hints: changing,
  async run(input, context) {
    const resume = method(await sandboxOf(input, context), 'resume', 'resume_agent')
    return dataOf((await resume({ signal: context.signal })).data)
  },
  toText: agentText,
})

/** Ends a sandbox for good. */
export const terminateAgent: Tool<'terminate_agent', AgentInput, AgentData> = defineTool({
  name: 'terminate_agent',
  title: 'Terminate agent',
  description: 'End a sandbox for good; all its files are deleted. Do this only if the user asks for it.',
  input: agentInput,
  output: agent,
  hints: ending,
  async run(input, context) {
    const sandbox = await sandboxOf(input, context)
    await method(sandbox, 'terminate', 'terminate_agent')({ signal: context.signal })
    return { agentId: sandbox.id, status: 'terminated' }
  },
  toText: agentText,
})

/** Makes a further sandbox. */
export const createAgent: Tool<'create_agent', CreateAgentInput, AgentData> = defineTool({
  name: 'create_agent',
  title: 'Create agent',
  description:
    'Make a further sandbox for this user. It costs money while it lives: end it with terminate_agent and its agentId.',
  input: createInput,
  output: agent,
  hints: changing,
  async run({ name, instructions }, { account, signal }) {
    const { session } = await account()
    const options = { ...(name !== undefined && { name }), ...(instructions !== undefined && { instructions }), signal }
    return dataOf((await createIdleAgent(session.agents, options, idleTimeout)).data)
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

/** The sandbox that a call is about: the current one, or another one of the same session and of no other. */
async function sandboxOf({ agentId }: AgentInput, { sandbox, account, signal }: ToolContext): Promise<ToolSandbox> {
  if (agentId === undefined || agentId === sandbox.id) return sandbox
  const { session } = await account()
  const ids: string[] = []
  for await (const agent of session.agents.list({ signal })) {
    if (agent.id === agentId) return agent
    if (ids.length < maxNamed) ids.push(agent.id)
  }
  throw new ToolInputError(`There is no sandbox ${agentId} of this user; there are ${ids.join(', ') || 'none'}.`)
}

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
