import { ApiError } from '../errors.ts'
import { isNearWord, nearestWord } from '../nearest-word.ts'
import type { EngineTool, ToolOutcome, ToolRunContext } from './engine-tool.ts'
import type { ToolCall, ToolStep } from './model.ts'

/** Why a call cannot be made: its input is not JSON, or the tool's schema refuses it. Undefined if it can be made. */
export function callFault(
  { input, fault }: { input: unknown; fault?: string | undefined },
  tool: EngineTool | undefined,
): string | undefined {
  return fault ?? tool?.inputFault?.(input)
}

/** Runs one tool call. The model receives its errors as results. @throws the signal's reason, or a fault of the server. */
export async function callTool(
  call: ToolCall,
  tools: readonly EngineTool[],
  context: Omit<ToolRunContext, 'callId'>,
): Promise<ToolStep> {
  const { id, tool } = call
  const startedAt = performance.now()
  const { output, images = [], isError, isInvalid } = await outcomeOf(call, tools, context)
  return {
    kind: 'tool',
    id,
    tool,
    output,
    ...(images.length > 0 && { images }),
    isError,
    ...(isInvalid && { isInvalid }),
    durationMs: Math.round(performance.now() - startedAt),
  }
}

async function outcomeOf(
  { id, tool: name, input, fault }: ToolCall,
  tools: readonly EngineTool[],
  context: Omit<ToolRunContext, 'callId'>,
): Promise<ToolOutcome> {
  const tool = tools.find((known) => known.name === name)
  if (!tool) return invalid(unknownTool(name, tools))
  // Such a call needs no approval, so it must not run.
  const reason = callFault({ input, fault }, tool)
  if (reason !== undefined) return invalid(reason)
  try {
    return await tool.run(input, { ...context, callId: id })
  } catch (error) {
    if (context.signal.aborted || !(error instanceof ApiError)) throw error
    return { output: `${error.code}: ${error.message}`, isError: true }
  }
}

function invalid(output: string): ToolOutcome {
  return { output, isError: true, isInvalid: true }
}

function unknownTool(name: string, tools: readonly EngineTool[]): string {
  const names = tools.map((tool) => tool.name)
  const hint = isNearWord(name, names) ? ` Did you mean ${nearestWord(name, names)}?` : ''
  const known = names.length === 0 ? 'You have no tools.' : `You have ${names.join(', ')}.`
  return `There is no tool ${JSON.stringify(name.slice(0, 100))}.${hint} ${known}`
}
