import type {
  CallbackManager,
  CallbackManagerForLLMRun,
  CallbackManagerForToolRun,
} from '@langchain/core/callbacks/manager'
import { AIMessage, AIMessageChunk, type ContentBlock, HumanMessage } from '@langchain/core/messages'
import { ChatGenerationChunk } from '@langchain/core/outputs'
import type { RunTaskData, ToolEvent } from '@theazo/core/tools'
import type { TheazoToolOptions } from './theazo-tool-options.ts'

/** What LangChain shows in place of a class of its own. */
const serialized = { lc: 1, type: 'not_implemented' as const, id: ['theazo', 'agent'] }
const modelName = 'theazo_agent'

export interface ChildRunsOptions {
  /** The run of the tool; undefined if nobody listens. */
  run: CallbackManagerForToolRun | undefined
  callId: string | undefined
  mode: NonNullable<TheazoToolOptions['childRuns']>
}

/** One step of the remote agent's model, while it writes. */
interface ModelStep {
  run: CallbackManagerForLLMRun
  content: ContentBlock[]
  /** Of the last block, if it is a part of a thought. */
  thoughtId?: string | undefined
}

/**
 * The work of a remote agent as child runs of `run_task`: each step of its model, with its thoughts and its text, and
 * each of its tool calls. Output of code makes no child runs.
 */
export class ChildRuns {
  readonly #options: ChildRunsOptions
  readonly #title: string
  readonly #input: unknown
  #step: ModelStep | undefined
  /** The tool calls that run, in the order of their start. */
  readonly #calls = new Map<string, { tool: string; run: CallbackManagerForToolRun }>()

  constructor(title: string, input: unknown, options: ChildRunsOptions) {
    this.#title = title
    this.#input = input
    this.#options = options
  }

  /** Starts, continues or ends the child run of an event. */
  async add(event: ToolEvent): Promise<void> {
    const { run, mode } = this.#options
    if (!run || mode === false) return
    switch (event.type) {
      case 'thinking':
        return await this.#write(run, { type: 'reasoning', reasoning: event.text }, event.thoughtId)
      case 'output_delta':
        if (event.isRestart) this.#dropText()
        return await this.#write(run, { type: 'text', text: event.text })
      case 'tool_call':
        await this.#endStep()
        return await this.#startCall(run.getChild(mode === 'hidden' ? 'langsmith:hidden' : undefined), event)
      case 'tool_result':
        return await this.#endCall(event)
      default: // the output of code belongs to the tool's own run
    }
  }

  /** Ends the last step with the tokens and the cost of the task. @param data the result of any tool. */
  async end(data: unknown): Promise<void> {
    const { run, mode } = this.#options
    if (!run || mode === false || !isTask(data)) return
    if (!this.#step) await this.#startStep(run)
    const step = this.#step
    if (step && !step.content.some(({ type }) => type === 'text'))
      step.content.push({ type: 'text', text: data.output })
    await this.#endStep(data)
  }

  /** Ends the runs that are still open; otherwise a tracer would show them as running forever. */
  async fail(reason: string): Promise<void> {
    if (!this.#step && this.#calls.size === 0) return
    const error = new Error(reason)
    await this.#step?.run.handleLLMError(error)
    this.#step = undefined
    for (const { run } of this.#calls.values()) await run.handleToolError(error)
    this.#calls.clear()
  }

  /** The model began the text of the present step anew. A tracer has the final text; tokens cannot be taken back. */
  #dropText(): void {
    if (this.#step) this.#step.content = this.#step.content.filter(({ type }) => type !== 'text')
  }

  async #write(
    run: CallbackManagerForToolRun,
    block: ContentBlock.Reasoning | ContentBlock.Text,
    thoughtId?: string,
  ): Promise<void> {
    const step = this.#step ?? (await this.#startStep(run))
    if (!step) return
    const last = step.content.at(-1)
    const isSameThought = thoughtId !== undefined && thoughtId === step.thoughtId
    step.thoughtId = thoughtId
    if (block.type === 'text' && last?.type === 'text') last['text'] = String(last['text']) + block.text
    else if (block.type === 'reasoning' && last?.type === 'reasoning' && isSameThought)
      last['reasoning'] = String(last['reasoning']) + block.reasoning
    else step.content.push({ ...block })
    const text = block.type === 'text' ? block.text : ''
    const message = new AIMessageChunk({ id: this.#messageId, content: text === '' ? [block] : text })
    const chunk = new ChatGenerationChunk({ text, message })
    await step.run.handleLLMNewToken(text, undefined, undefined, undefined, undefined, { chunk })
  }

  async #startStep(run: CallbackManagerForToolRun): Promise<ModelStep | undefined> {
    const manager = run.getChild()
    manager.addMetadata({ ls_provider: 'theazo', ls_model_name: modelName, ls_model_type: 'chat' }, false)
    const prompt = [[new HumanMessage(this.#prompt)]]
    const [started] = await manager.handleChatModelStart(
      serialized,
      prompt,
      undefined,
      undefined,
      {},
      undefined,
      undefined,
      modelName,
    )
    this.#step = started && { run: started, content: [] }
    return this.#step
  }

  async #endStep(data?: RunTaskData): Promise<void> {
    const step = this.#step
    if (!step) return
    this.#step = undefined
    const { content } = step
    const only = content[0]
    const text = content.length === 1 && only?.type === 'text' ? String(only['text']) : content
    const id = this.#messageId
    const message = data ? taskMessage(id, text, data) : new AIMessage({ id, content: text })
    await step.run.handleLLMEnd({ generations: [[{ text: message.text, message } as never]] }) // the type omits the message of a chat model
  }

  async #startCall(manager: CallbackManager, event: Extract<ToolEvent, { type: 'tool_call' }>): Promise<void> {
    const { tool, input = {} } = event
    const key = event.callId ?? `${tool} ${this.#calls.size}`
    const id = `${this.#options.callId ?? 'run_task'}:${key}`
    const text = typeof input === 'string' ? input : JSON.stringify(input)
    const run = await manager.handleToolStart(serialized, text, undefined, undefined, undefined, undefined, tool, id)
    this.#calls.set(key, { tool, run })
  }

  async #endCall({ tool, callId, output, isError }: Extract<ToolEvent, { type: 'tool_result' }>): Promise<void> {
    // A server that sends no ids runs one call at a time.
    const [key] = Array.from(this.#calls).find(([key, call]) => (callId ? key === callId : call.tool === tool)) ?? []
    if (key === undefined) return
    const run = this.#calls.get(key)?.run
    this.#calls.delete(key)
    const text = typeof output === 'string' ? output : JSON.stringify(output ?? '')
    if (isError) await run?.handleToolError(new Error(text))
    else await run?.handleToolEnd(text)
  }

  /** The same for all steps, so that a reader of `streamMode: 'messages'` sees one message. */
  get #messageId(): string {
    return messageIdOf(this.#options.callId)
  }

  get #prompt(): string {
    const { task } = (this.#input ?? {}) as { task?: unknown }
    return typeof task === 'string' ? task : this.#title
  }
}

/** The id of the message that streams the answer of a task. */
export function messageIdOf(callId: string | undefined): string {
  return `theazo-${callId ?? 'run_task'}`
}

/** The answer of a task as a message, with its tokens and its cost in the fields that LangChain and tracers read. */
export function taskMessage(
  id: string,
  content: string | ContentBlock[],
  { agentId, taskId, cost, usage }: RunTaskData,
): AIMessage {
  const metadata = { model_provider: 'theazo', model_name: modelName, agentId, taskId, ...(cost && { cost }) }
  const message = new AIMessage({ id, content, response_metadata: metadata })
  if (usage) {
    const { inputTokens, outputTokens } = usage
    const tokens = { input_tokens: inputTokens, output_tokens: outputTokens, total_tokens: inputTokens + outputTokens }
    // `total_cost` in dollars is a field of LangSmith. LangChain's type of the property is never.
    message.usage_metadata = { ...tokens, ...(cost && { total_cost: cost.amount / 100 }) } as never
  }
  return message
}

function isTask(data: unknown): data is RunTaskData {
  return typeof data === 'object' && data !== null && 'taskId' in data && 'output' in data
}
