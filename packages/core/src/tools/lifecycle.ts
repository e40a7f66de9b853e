/**
 * Tools for a model that manages its own sandboxes. They cost tokens and money, and are therefore not selected by default.
 *
 * @module
 */
import { z } from 'zod/v4'
import { createIdleAgent } from '../pool/sandbox-lifecycle.ts'
import type { Agent as WireAgent } from '../wire.ts'
import { defineTool, requireCapability, type Tool, type ToolContext, type ToolHints } from './define-tool.ts'
import { noInput } from './schemas.ts'
import { ToolInputError } from './tool-input-error.ts'
import type { ToolSandbox } from './tool-sandbox.ts'

/** Data of the tools that act on one agent. */
export interface AgentData {
  agentId: string
  status: string
  name?: string
}

/** Data of `list_agents`. */
export interface ListAgentsData {
  agents: AgentData[]
  isTruncated: boolean
}

/** Input of `get_agent`, `pause_agent`, `resume_agent` and `terminate_agent`. */
export interface AgentInput {
  agentId?: string | undefined
}

/** Input of `create_agent`. */
export interface CreateAgentInput {
  name?: string | undefined
  instructions?: string | undefined
}

type NoInput = Record<string, never>

const maxAgents = 50
/** The cap on ids in an error message. */
const maxNamed = 10
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
    .describe('The id of the sandbox, from create_agent or list_agents. Default: the current one.'),
})

const createInput: z.ZodType<CreateAgentInput> = z.object({
  name: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('A name for the sandbox. If a sandbox has this name already, that one is returned.'),
  instructions: z.string().optional().describe('Instructions for its own model, added before every task.'),
})

const agents: z.ZodType<ListAgentsData> = z
  .object({ agents: z.array(agent), isTruncated: z.boolean() })
  .passthrough() as z.ZodType<ListAgentsData>

/**
 * Reports the status of a sandbox.
 *
 * @example
 * ```ts
 * import { getAgent } from '@theazo/core/tools'
 *
 * const { text } = await getAgent.run({}, { sandbox: agent })
 * ```
 */
export const getAgent: Tool<'get_agent', AgentInput, AgentData> = defineTool({
  name: 'get_agent',
  title: 'Get agent',
  description: 'Report the status of a sandbox: idle, running, paused, failed or terminated.',
  input: agentInput,
  output: agent,
  hints: readOnly,
  async run(input, context) {
    const refresh = requireMethod(await sandboxOf(input, context), 'refresh', 'get_agent')
    return dataOf((await refresh({ signal: context.signal })).data)
  },
  toText: agentText,
})

/**
 * Pauses a sandbox.
 *
 * @example
 * ```ts
 * import { pauseAgent } from '@theazo/core/tools'
 *
 * const { text } = await pauseAgent.run({}, { sandbox: agent })
 * ```
 */
export const pauseAgent: Tool<'pause_agent', AgentInput, AgentData> = defineTool({
  name: 'pause_agent',
  title: 'Pause agent',
  description: 'Pause a sandbox. Its files are retained, and it costs no compute until resume_agent.',
  input: agentInput,
  output: agent,
  hints: changing,
  async run(input, context) {
    const pause = requireMethod(await sandboxOf(input, context), 'pause', 'pause_agent')
    return dataOf((await pause({ signal: context.signal })).data)
  },
  toText: agentText,
})

/**
 * Resumes a paused sandbox.
 *
 * @example
 * ```ts
 * import { resumeAgent } from '@theazo/core/tools'
 *
 * const { text } = await resumeAgent.run({}, { sandbox: agent })
 * ```
 */
export const resumeAgent: Tool<'resume_agent', AgentInput, AgentData> = defineTool({
  name: 'resume_agent',
  title: 'Resume agent',
  description: 'Resume a sandbox after pause_agent.',
  input: agentInput,
  output: agent,
  hints: changing,
  async run(input, context) {
    const resume = requireMethod(await sandboxOf(input, context), 'resume', 'resume_agent')
    return dataOf((await resume({ signal: context.signal })).data)
  },
  toText: agentText,
})

/**
 * Terminates a sandbox and deletes its files.
 *
 * @example
 * ```ts
 * import { terminateAgent } from '@theazo/core/tools'
 *
 * const { text } = await terminateAgent.run({}, { sandbox: agent })
 * ```
 */
export const terminateAgent: Tool<'terminate_agent', AgentInput, AgentData> = defineTool({
  name: 'terminate_agent',
  title: 'Terminate agent',
  description: 'End a sandbox permanently and delete all its files. Do this only if the user asks for it.',
  input: agentInput,
  output: agent,
  hints: ending,
  async run(input, context) {
    const sandbox = await sandboxOf(input, context)
    await requireMethod(sandbox, 'terminate', 'terminate_agent')({ signal: context.signal })
    return { agentId: sandbox.id, status: 'terminated' }
  },
  toText: agentText,
})

/**
 * Creates an additional sandbox in the session. It ends after 30 minutes without use.
 *
 * @example
 * ```ts
 * import { createAgent } from '@theazo/core/tools'
 *
 * const account = { usage: theazo.usage, session }
 * const { text } = await createAgent.run({ name: 'build' }, { sandbox: agent, account })
 * ```
 */
export const createAgent: Tool<'create_agent', CreateAgentInput, AgentData> = defineTool({
  name: 'create_agent',
  title: 'Create agent',
  description:
    'Create another sandbox for this user. It costs money while it exists: end it with terminate_agent and its agentId.',
  input: createInput,
  output: agent,
  hints: changing,
  async run({ name, instructions }, { account, signal }) {
    const { session } = await account()
    const options = { ...(name !== undefined && { name }), ...(instructions !== undefined && { instructions }), signal }
    return dataOf((await createIdleAgent(session.agents, options)).data)
  },
  toText: agentText,
})

/**
 * Lists the sandboxes of the session.
 *
 * @example
 * ```ts
 * import { listAgents } from '@theazo/core/tools'
 *
 * const { text } = await listAgents.run({}, { sandbox: agent, account: { usage: theazo.usage, session } })
 * ```
 */
export const listAgents: Tool<'list_agents', NoInput, ListAgentsData> = defineTool({
  name: 'list_agents',
  title: 'List agents',
  description: `List the sandboxes of this user, newest first, at most ${maxAgents}.`,
  input: noInput,
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

/** The sandbox that a call names: the current one, or another one of the same session. Other sessions are not reachable. */
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

function requireMethod<Name extends 'refresh' | 'pause' | 'resume' | 'terminate'>(
  sandbox: ToolSandbox,
  name: Name,
  tool: string,
): NonNullable<ToolSandbox[Name]> {
  const found: unknown = requireCapability(sandbox[name], tool, 'an agent of the API')
  return (found as (...args: unknown[]) => unknown).bind(sandbox) as NonNullable<ToolSandbox[Name]> // bind loses the type of the method
}

function dataOf({ id, status, name }: WireAgent): AgentData {
  return { agentId: id, status, ...(name !== undefined && { name }) }
}

function agentText({ agentId, status, name }: AgentData): string {
  return `${agentId}${name === undefined ? '' : ` (${name})`} is ${status}.`
}
