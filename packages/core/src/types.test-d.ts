// The types that users rely on. The compiler checks them; nothing executes this file.
import { expectTypeOf } from 'vitest'
import type {
  Agent,
  AgentEvent,
  ExecChunk,
  ExecResult,
  Money,
  Run,
  RunResult,
  Session,
  Theazo,
  TheazoError,
  TheazoErrorCode,
  WireErrorCode,
} from './index.ts'
import { ConflictError, type Feature, TheazoError as ErrorClass, TimeoutError } from './index.ts'
import { type RunCodeData, runCode, type ToolResult, type ToolSandbox } from './tools/index.ts'

declare const agent: Agent
declare const theazo: Theazo

/** `type` discriminates events, and a switch over all types is exhaustive. */
export function labelOf(event: AgentEvent): string {
  switch (event.type) {
    case 'thinking':
    case 'output_delta':
    case 'tool_output':
      return event.text
    case 'tool_call':
      expectTypeOf(event.input).toEqualTypeOf<unknown>()
      return event.tool
    case 'tool_result':
      expectTypeOf(event.isError).toEqualTypeOf<boolean>()
      return event.tool
    case 'output':
      expectTypeOf(event.cost).toEqualTypeOf<Money | undefined>()
      return event.text
    case 'error':
      return event.code
    case 'status':
      return event.status
    case 'unknown':
      return event.event
    case 'stream_error':
      return event.error.message
    default:
      return event satisfies never
  }
}

/** A switch over the documented codes is exhaustive. */
export function statusOf(code: WireErrorCode): number {
  switch (code) {
    case 'unauthorized':
      return 401
    case 'session_limit_exceeded':
      return 402
    case 'forbidden':
      return 403
    case 'not_found':
      return 404
    case 'conflict':
      return 409
    case 'unprocessable_entity':
      return 422
    case 'rate_limited':
      return 429
    case 'internal_error':
      return 500
    case 'provider_error':
      return 502
    case 'timeout':
      return 504
    default:
      return code satisfies never
  }
}

/** `isInstance` narrows an error to its class. */
export function messageOf(error: unknown): string {
  if (ConflictError.isInstance(error)) {
    expectTypeOf(error.name).toEqualTypeOf<'ConflictError'>()
    return error.message
  }
  if (TimeoutError.isInstance(error)) expectTypeOf(error).toEqualTypeOf<TimeoutError>()
  if (!ErrorClass.isInstance(error)) return String(error)
  expectTypeOf(error).toEqualTypeOf<TheazoError>()
  // A server may send its own codes, so that any string is comparable; editors suggest the known ones.
  expectTypeOf<TheazoErrorCode>().toExtend<typeof error.code>()
  return error.code === 'a code of the server' ? error.code : error.message
}

export async function calls(): Promise<void> {
  const run = agent.run('task', { timeoutMs: 1000, idleTimeoutMs: 10 })
  expectTypeOf(run).toEqualTypeOf<Run>()
  expectTypeOf(await run.result()).toEqualTypeOf<RunResult>()
  for await (const event of run) expectTypeOf(event).toEqualTypeOf<AgentEvent>()
  await run.forward({ onOutput: async ({ text, cost }) => [text, cost?.amount], onToolCall: ({ tool }) => tool })
  for await (const chunk of agent.execStream('bash', 'ls')) {
    expectTypeOf(chunk).toEqualTypeOf<ExecChunk>()
    if (chunk.type === 'exit') expectTypeOf(chunk.result).toEqualTypeOf<ExecResult>()
    else expectTypeOf(chunk.text).toEqualTypeOf<string>()
  }
  for await (const session of theazo.sessions.list({ status: 'active' })) {
    expectTypeOf(session).toEqualTypeOf<Session>()
  }
  // An agent is a sandbox for tools, and isError discriminates the results of tools.
  expectTypeOf(agent).toExtend<ToolSandbox>()
  const result = await runCode.run({ language: 'python', code: '1' }, { sandbox: agent })
  expectTypeOf(result).toEqualTypeOf<ToolResult<RunCodeData>>()
  if (result.isError) expectTypeOf(result.error).toEqualTypeOf<TheazoError>()
  else expectTypeOf(result.data.exitCode).toEqualTypeOf<number>()
  expectTypeOf<'idempotency'>().toExtend<Feature>()
}

export async function refused(): Promise<void> {
  // @ts-expect-error the API does not have this language
  await agent.exec('ruby', 'puts 1')
  // @ts-expect-error the loop replaces the callbacks
  agent.execStream('bash', 'ls', { onStdout: () => {} })
  // @ts-expect-error a cap is in cents of US dollars
  await theazo.sessions.forUser('u', { limits: { maxCost: { amount: 1, currency: 'eur', period: 'day' } } })
  // @ts-expect-error lastEventId is for a run that another process started
  agent.run('task', { lastEventId: '1' })
  // @ts-expect-error there is no such status
  theazo.sessions.list({ status: 'asleep' })
}
