import { theazoApproval, theazoTools, TheazoToolError, type TheazoUIMessageChunk } from '@theazo/ai-sdk'
import { FileError } from '@theazo/core'
import { type SandboxSource, ToolInputError } from '@theazo/core/tools'
import { convertToModelMessages, isStepCount, type LanguageModel, streamText, toUIMessageStream } from 'ai'
import { type ChatMessage, stoppedText } from '../protocol.ts'
import { AnswerLog } from './answer-log.ts'
import { logError } from './log-error.ts'
import { endOf, withoutOpenCalls } from './settled-message.ts'

const instructions =
  'You are an assistant with a Linux computer: the tools run in a sandbox that belongs to this chat. ' +
  'Compute, plot and check with run_code instead of guessing. The user sees the output while the code runs, the images, ' +
  'and the files that it makes in /workspace. The user must approve changes of files by the file tools. ' +
  'If the user refuses a call, do not repeat it. Answer briefly, in Markdown.'

/** The calls that wait for the user. Code may run without a question: it reaches nothing outside its sandbox. */
const needsApproval = theazoApproval(({ toolName }) => /^(write|edit|delete)_file$/.test(toolName))

export interface AnswerOptions {
  id: string
  /** The conversation. Its last message is the user's, or one with the user's decisions. */
  messages: ChatMessage[]
  model: LanguageModel
  /** Where the tools run. */
  sandbox: SandboxSource
  /** The user's decisions, if this answer continues the last message. */
  continues?: Continuation | undefined
  /** Called with the conversation that now contains the answer, also after a stop or a failure. */
  onEnd: (messages: ChatMessage[]) => void
}

/** The end of the user's wait for decisions. */
interface Continuation {
  /** The answer that asked for the decisions. Undefined if it ended in an earlier process, whose chunks are gone. */
  answer: Answer | undefined
  decisions: readonly TheazoUIMessageChunk[]
}

/** One answer of the model. It runs to its end whether or not somebody reads it; only `stop` ends it before. */
export class Answer {
  readonly id: string
  /** The messages for a page that then reads `allChunks`. */
  readonly earlier: ChatMessage[]
  readonly log: AnswerLog
  readonly #start: number
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>
  #isRunning = true
  #hasFailed = false

  /** Starts to answer. */
  constructor(options: AnswerOptions) {
    const { id, messages, continues } = options
    this.id = id
    this.log = new AnswerLog(continues?.answer?.log)
    this.earlier = continues?.answer ? messages.slice(0, -1) : messages
    if (continues?.answer) for (const chunk of continues.decisions) this.log.append(chunk)
    this.#start = this.log.end
    this.#ended = this.#run(options)
  }

  get isRunning(): boolean {
    return this.#isRunning
  }

  /** The answer ended before the model had finished it. A stop by the user is no failure. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /** The chunks for the request that started the answer. */
  newChunks(): ReadableStream<TheazoUIMessageChunk> {
    return this.log.read(this.#start)
  }

  /** The whole message, also the part before an approval: for a page that was reloaded. */
  allChunks(): ReadableStream<TheazoUIMessageChunk> {
    return this.log.read()
  }

  /** Kills the code that runs in the sandbox, and waits for the end of the answer. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('The user stopped the answer.'))
    await this.#ended
  }

  async #run({ messages, model, sandbox, onEnd }: AnswerOptions): Promise<void> {
    let isStored = false
    const store = (all: ChatMessage[]): void => {
      isStored = true
      this.#closeCalls(all.at(-1))
      onEnd(all.map(withoutOpenCalls).filter(hasContent))
    }
    try {
      const tools = theazoTools({ agent: sandbox, model })
      const result = streamText({
        model,
        tools,
        instructions,
        messages: await convertToModelMessages(messages, { tools }),
        stopWhen: isStepCount(20),
        abortSignal: this.#stop.signal,
        toolApproval: needsApproval,
        onError: () => {}, // errorText logs it
      })
      const stream = toUIMessageStream<typeof tools, ChatMessage>({
        stream: result.stream,
        tools,
        originalMessages: messages,
        generateMessageId: () => crypto.randomUUID(),
        onError: errorText,
        onEnd: ({ messages }) => store(messages),
      })
      for await (const chunk of stream) {
        if (chunk.type === 'error') this.#hasFailed = true
        this.log.append(chunk)
        if (this.log.isFull) this.#stop.abort(new Error('The answer is too large.'))
      }
    } catch (error) {
      this.#hasFailed = true
      this.#stop.abort(error)
      if (!isStored) store(messages)
      this.log.append({ type: 'error', errorText: errorText(error) })
    } finally {
      this.#isRunning = false
      this.log.close()
    }
  }

  /** The pages that read the answer get the same end of a call as the stored message. */
  #closeCalls(message: ChatMessage | undefined): void {
    for (const part of message?.parts ?? []) {
      const end = endOf(part)
      if (end === undefined || !('toolCallId' in part)) continue
      const { toolCallId } = part
      if (end === 'refused') this.log.append({ type: 'tool-output-denied', toolCallId })
      else this.log.append({ type: 'tool-output-error', toolCallId, errorText: stoppedText })
    }
  }
}

/** False for an answer that ended before its first word or complete call. */
function hasContent({ parts }: ChatMessage): boolean {
  return parts.some(({ type }) => type !== 'step-start')
}

const failureText = 'The model could not answer.'

/** Only the texts of tool errors are made for users. Others may name hosts and accounts. */
function errorText(error: unknown): string {
  if (TheazoToolError.isInstance(error)) {
    // A wrong path or input is the model's own mistake. Anything else, such as a revoked key, is for the operator.
    if (!FileError.isInstance(error.cause) && !ToolInputError.isInstance(error.cause)) logError(error.cause ?? error)
    return error.message
  }
  const isLogged = error instanceof Error && error.message === failureText // the AI SDK reports a failure twice
  if (!isLogged) logError(error)
  return failureText
}
