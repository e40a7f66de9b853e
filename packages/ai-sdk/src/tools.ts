import {
  type RunCodeData,
  type RunCodeInput,
  runCode,
  type SandboxSource,
  type Tool as TheazoTool,
} from '@theazo/core/tools'
import type { Tool } from 'ai'

/** What the tools work on. */
export interface TheazoToolsOptions {
  /** The sandbox that every call runs in, or a function that gives it; used as it is and never terminated here. */
  agent: SandboxSource
}

/** The tools by name, exactly typed. An alias: an interface is not assignable to the AI SDK's `ToolSet`. */
export type TheazoToolSet = {
  run_code: Tool<RunCodeInput, RunCodeData>
}

/**
 * The Theazo tools for the AI SDK: today `run_code`.
 *
 * The output is typed data; the model is shown text, and pictures beside it. A fault of the API is thrown, which the AI SDK shows the model as a
 * tool error; an abort of the call (`abortSignal`, `timeout`) kills the code.
 *
 * @example
 * ```ts
 * await using agent = await session.agents.create()
 * const { text } = await generateText({ model, prompt, tools: theazoTools({ agent }), stopWhen: isStepCount(10) })
 * ```
 */
export function theazoTools({ agent }: TheazoToolsOptions): TheazoToolSet {
  return { run_code: toAiSdkTool(runCode, agent) }
}

/** What the model is shown, in the AI SDK's form. */
type ModelOutput =
  | { type: 'text'; value: string }
  | {
      type: 'content'
      value: (
        | { type: 'text'; text: string }
        | { type: 'file'; mediaType: string; data: { type: 'data'; data: string } }
      )[]
    }

/** What a wrapped tool is while its types are still open; the AI SDK's own type is a conditional one, checked above. */
interface WrappedTool<Input, Data> {
  description: string
  inputSchema: TheazoTool<string, Input, Data>['input']
  outputSchema: TheazoTool<string, Input, Data>['output']
  execute: (input: Input, options: { abortSignal?: AbortSignal | undefined }) => Promise<Data>
  toModelOutput: (result: { output: Data }) => ModelOutput
}

function toAiSdkTool<Input, Data>(
  tool: TheazoTool<string, Input, Data>,
  sandbox: SandboxSource,
): WrappedTool<Input, Data> {
  return {
    description: tool.description,
    inputSchema: tool.input,
    outputSchema: tool.output,
    async execute(input, { abortSignal }) {
      const result = await tool.run(input, { sandbox, signal: abortSignal })
      if (result.isError) throw result.error
      return result.data
    },
    toModelOutput({ output }) {
      const text = tool.toText(output)
      const images = tool.toImages?.(output) ?? []
      if (images.length === 0) return { type: 'text', value: text }
      const files = images.map(({ mediaType, base64 }) => {
        return { type: 'file' as const, mediaType, data: { type: 'data' as const, data: base64 } }
      })
      return { type: 'content', value: [{ type: 'text', text }, ...files] }
    },
  }
}
