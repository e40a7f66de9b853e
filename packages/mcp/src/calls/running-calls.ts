import { ToolInputError } from '@theazo/core/tools'
import type { RunningCall } from './running-call.ts'

/** The cap on calls that wait for `wait`. It bounds the memory of their output and results. */
const maxCalls = 20

/** The calls of one MCP session that have answered "still running", by the ids that its client received. */
export class RunningCalls {
  /** Oldest first. */
  readonly #calls = new Map<string, RunningCall>()
  #count = 0

  /** @throws {ToolInputError} if too many calls run: their output needs memory, their code a sandbox. */
  assertRoom(): void {
    if (this.#calls.size < maxCalls || this.#oldestEnded() !== undefined) return
    throw new ToolInputError(`${maxCalls} calls still run: ${this.#ids()}. Wait for one of them or stop it.`)
  }

  /** Stores a call and returns its id. If there are too many, the oldest one that has ended is dropped with its result. */
  add(call: RunningCall): string {
    for (const [id, known] of this.#calls) if (known === call) return id
    this.#count += 1
    const id = `call_${this.#count}`
    this.#calls.set(id, call)
    const dropped = this.#calls.size > maxCalls ? this.#oldestEnded() : undefined
    if (dropped !== undefined) this.#calls.delete(dropped)
    return id
  }

  /** @throws {ToolInputError} that lists the valid ids. */
  get(id: string): RunningCall {
    const call = this.#calls.get(id.trim())
    if (call) return call
    const advice = this.#calls.size === 0 ? 'No call waits for an answer.' : `Valid: ${this.#ids()}.`
    throw new ToolInputError(`There is no running call '${id.slice(0, 60)}'. ${advice}`)
  }

  /** Removes a call whose result the client receives. */
  delete(call: RunningCall): void {
    for (const [id, known] of this.#calls) if (known === call) this.#calls.delete(id)
  }

  /** Stops all calls: their client is gone. */
  stopAll(reason: unknown): void {
    for (const call of this.#calls.values()) call.stop(reason)
    this.#calls.clear()
  }

  #oldestEnded(): string | undefined {
    for (const [id, { isEnded }] of this.#calls) if (isEnded) return id
    return undefined
  }

  #ids(): string {
    return Array.from(this.#calls.keys()).join(', ')
  }
}
