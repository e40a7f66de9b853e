import { type AnyTool, ToolInputError } from '@theazo/core/tools'
import { type AnyToolResult, RunningCall, type RunningCallOptions } from './running-call.ts'

/** The cap on calls that run, and on results that wait for `wait`. Their output needs memory, their code a sandbox. */
const maxCalls = 20

/** The calls of one MCP session. A call that has answered "still running" has an id, which its client received. */
export class RunningCalls {
  /** All calls that have not ended. */
  readonly #running = new Set<RunningCall>()
  /** The calls with an id, until the client has received their result. Oldest first. */
  readonly #byId = new Map<string, RunningCall>()
  #count = 0

  /** Starts a call: `run` must call the tool with the given options. @throws {ToolInputError} if too many calls run. */
  start(tool: AnyTool, run: (options: RunningCallOptions) => Promise<AnyToolResult>): RunningCall {
    if (this.#running.size >= maxCalls) throw new ToolInputError(this.#tooManyMessage())
    const call = new RunningCall(tool, run)
    this.#running.add(call)
    const remove = (): void => void this.#running.delete(call)
    call.ended.then(remove, remove)
    return call
  }

  /** Gives a call an id, and returns it. If there are too many, the oldest one that has ended is dropped with its result. */
  add(call: RunningCall): string {
    const known = this.#idOf(call)
    if (known !== undefined) return known
    this.#count += 1
    const id = `call_${this.#count}`
    this.#byId.set(id, call)
    const dropped = this.#byId.size > maxCalls ? this.#oldestEnded() : undefined
    if (dropped !== undefined) this.#byId.delete(dropped)
    return id
  }

  /** @throws {ToolInputError} that lists the valid ids. */
  get(id: string): RunningCall {
    const call = this.#byId.get(id.trim())
    if (call) return call
    const advice = this.#byId.size === 0 ? 'No call waits for an answer.' : `Valid: ${this.#ids()}.`
    throw new ToolInputError(`There is no running call '${id.slice(0, 60)}'. ${advice}`)
  }

  /** Removes the id of a call whose result the client receives. */
  delete(call: RunningCall): void {
    const id = this.#idOf(call)
    if (id !== undefined) this.#byId.delete(id)
  }

  /** Stops all calls: their client is gone. */
  stopAll(message: string): void {
    for (const call of this.#running) call.stop(message)
    this.#byId.clear()
  }

  #idOf(call: RunningCall): string | undefined {
    for (const [id, known] of this.#byId) if (known === call) return id
    return undefined
  }

  #oldestEnded(): string | undefined {
    for (const [id, { isEnded }] of this.#byId) if (isEnded) return id
    return undefined
  }

  #tooManyMessage(): string {
    const ids = this.#ids()
    const advice = ids === '' ? 'Wait until one of them answers.' : `Wait for one of them or stop it: ${ids}.`
    return `${maxCalls} calls still run. ${advice}`
  }

  #ids(): string {
    return Array.from(this.#byId.keys()).join(', ')
  }
}
