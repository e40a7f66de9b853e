// The types that users rely on. The compiler checks them; nothing executes this file.
import type { ToolCall } from '@langchain/core/messages/tool'
import type { RunCodeData, RunTaskData } from '@theazo/core/tools'
import { expectTypeOf } from 'vitest'
import { artifactOf, createTheazoNode, inputOf, theazoTools } from './index.ts'

declare const call: ToolCall

expectTypeOf(artifactOf({}, 'run_code')).toEqualTypeOf<RunCodeData | undefined>()
expectTypeOf(artifactOf({}, 'run_task')).toEqualTypeOf<RunTaskData | undefined>()
expectTypeOf(inputOf(call, 'write_file')?.content).toEqualTypeOf<string | undefined>()
expectTypeOf(inputOf(call, 'run_code')?.language).toEqualTypeOf<'python' | 'typescript' | 'bash' | undefined>()
// @ts-expect-error there is no such tool
artifactOf({}, 'run_nothing')
// @ts-expect-error there is no such group
theazoTools({ userId: 'a', groups: ['none'] })
theazoTools({ sandbox: ({ configurable }) => ({ userId: 'a', name: configurable?.['thread_id'] }) })

const node = createTheazoNode({ task: (state: { question: string }) => state.question, update: () => ({ answer: 1 }) })
expectTypeOf(node).returns.resolves.toEqualTypeOf<{ answer: number }>()
expectTypeOf(node).parameter(0).toEqualTypeOf<{ question: string }>()
