import {
  type AnyTool,
  hiddenImagesText,
  inputSchemaOf,
  modelText,
  parseToolInput,
  type ToolImage,
  ToolInputError,
  type ToolSource,
} from '@theazo/core/tools'
import { jsonSchema, modelMessageSchema, type Schema } from 'ai'
import { z } from 'zod/v4'
import { approvalOf, type ApprovalRule } from './approval.ts'
import { liveResults } from './live-results.ts'
import type { LiveTool } from './live-tool.ts'
import { runningCode } from './running-code.ts'
import { runningTask } from './running-task.ts'
import { safeErrors, TheazoToolError } from './tool-error.ts'

/** How the tools of one set work. */
export interface AiToolOptions {
  source: ToolSource
  /** True, false, or the reason why images are not sent. */
  images: boolean | string
  liveIntervalMs: number
  approval: ApprovalRule
}

/** The part of the AI SDK's options of an execution that both majors have. */
interface ExecutionOptions {
  abortSignal?: AbortSignal | undefined
  toolCallId: string
}

/** The tools that report events. Each gets its own snapshots back, so that their type is not needed here. */
const liveTools: Partial<Record<string, LiveTool<unknown>>> = {
  run_code: runningCode as LiveTool<unknown>,
  run_task: runningTask as LiveTool<unknown>,
}

/** A tool of the AI SDK. `TheazoToolSet` has the exact types. */
interface AiTool {
  description: string
  inputSchema: Schema<unknown>
  outputSchema: z.ZodType
  needsApproval?: ReturnType<typeof approvalOf>
  execute: (input: unknown, options: ExecutionOptions) => Promise<unknown> | AsyncGenerator<unknown, void>
  toModelOutput: (options: { output: unknown }) => ModelOutput
}

/** A tool of the catalog as a tool of the AI SDK. It is a plain object: `tool()` would return it unchanged. */
export function aiTool(tool: AnyTool, options: AiToolOptions): AiTool {
  const live = liveTools[tool.name]
  return {
    description: tool.description,
    inputSchema: inputSchema(tool),
    outputSchema: outputSchema(tool, live),
    ...(options.approval !== 'none' && { needsApproval: approvalOf(tool, options.approval) }),
    execute: live && Number.isFinite(options.liveIntervalMs) ? streaming(tool, live, options) : atOnce(tool, options),
    toModelOutput: ({ output }) => modelOutput(tool, live, output, options.images),
  }
}

function atOnce(tool: AnyTool, { source, images }: AiToolOptions): AiTool['execute'] {
  return async (input, { abortSignal: signal, toolCallId: callId }) => {
    return await safeErrors(tool.name, signal, async () =>
      dataOf(await tool.run(input, { ...source, signal, callId, images })),
    )
  }
}

function streaming(
  tool: AnyTool,
  live: LiveTool<unknown>,
  { source, images, liveIntervalMs: intervalMs }: AiToolOptions,
): AiTool['execute'] {
  return (input, { abortSignal, toolCallId: callId }) => {
    const collector = live.collect()
    return liveResults({
      intervalMs,
      abortSignal,
      add: (event) => collector.add(event),
      snapshot: () => collector.snapshot(),
      start: async ({ signal, onEvent }) => {
        return await safeErrors(tool.name, signal, async () => {
          const data = dataOf(await tool.run(input, { ...source, signal, callId, images, onEvent }))
          return { ...data, ...collector.extras?.() }
        })
      },
    })
  }
}

function dataOf(result: Awaited<ReturnType<AnyTool['run']>>): object {
  if (result.isError) throw new TheazoToolError(result.text, result.error)
  return result.data as object // the catalog's data are objects
}

/** The result for the model, in the form that both majors of the AI SDK accept. */
type ModelOutput = { type: 'text'; value: string } | { type: 'content'; value: (TextPart | ImagePart)[] }
type TextPart = { type: 'text'; text: string }
type ImagePart =
  | { type: 'file'; mediaType: string; data: { type: 'data'; data: string } }
  | { type: 'image-data'; mediaType: string; data: string }

/** It must not throw: that would end the whole call. A stored conversation may contain an output of an older version. */
function modelOutput(
  tool: AnyTool,
  live: LiveTool<unknown> | undefined,
  output: unknown,
  images: boolean | string,
): ModelOutput {
  // After an abort the last snapshot stays in the conversation, as if it were the result.
  const snapshot = live?.schema.safeParse(output)
  if (live && snapshot?.success) return { type: 'text', value: modelText(live.toText(snapshot.data)) }
  const parsed = tool.output.safeParse(output)
  if (!parsed.success) return { type: 'text', value: `[a stored result of ${tool.name} in an unknown format]` }
  const text = tool.toText(parsed.data)
  const savedImages = tool.toImages?.(parsed.data) ?? []
  if (savedImages.length === 0) return { type: 'text', value: text }
  if (images !== true) {
    // The output contains images because an earlier model of this conversation accepted them.
    const reason = images === false ? 'images are switched off here' : images
    return { type: 'text', value: `${text}\n${hiddenImagesText(savedImages.map(({ path }) => ({ path, reason })))}` }
  }
  return { type: 'content', value: [{ type: 'text', text }, ...savedImages.map(imagePart)] }
}

function imagePart({ mediaType, base64 }: ToolImage): ImagePart {
  const file = { type: 'file', mediaType, data: { type: 'data', data: base64 } } as const
  acceptsFiles ??= isAccepted({ ...file, data: { type: 'data', data: '' } })
  return acceptsFiles ? file : { type: 'image-data', mediaType, data: base64 }
}

let acceptsFiles: boolean | undefined

/** True on the AI SDK 7. Version 6 passes such a part on unchanged, and its providers drop it. */
function isAccepted(part: ImagePart): boolean {
  const output = { type: 'content', value: [part] }
  const content = [{ type: 'tool-result', toolCallId: '1', toolName: 'any', output }]
  return modelMessageSchema.safeParse({ role: 'tool', content }).success
}

const inputSchemas = new WeakMap<AnyTool, Schema<unknown>>()

/** Created once for each tool. The model receives the strict schema; the catalog parses the model's input leniently. */
function inputSchema(tool: AnyTool): Schema<unknown> {
  const cached = inputSchemas.get(tool)
  if (cached) return cached
  const schema = jsonSchema<unknown>(inputSchemaOf(tool, { isStrict: true }), {
    validate(value) {
      try {
        return { success: true, value: parseToolInput(tool, value) }
      } catch (error) {
        if (!ToolInputError.isInstance(error)) throw error
        return { success: true, value } // execute throws the catalog's short error; the AI SDK's error would repeat the whole input
      }
    },
  })
  inputSchemas.set(tool, schema)
  return schema
}

const outputSchemas = new WeakMap<AnyTool, z.ZodType>()

/** The AI SDK validates the outputs in a stored conversation, which may end with a snapshot. */
function outputSchema(tool: AnyTool, live: LiveTool<unknown> | undefined): z.ZodType {
  if (!live) return tool.output
  const cached = outputSchemas.get(tool) ?? z.union([live.schema, tool.output])
  outputSchemas.set(tool, cached)
  return cached
}
